//! What becomes of a home's pages: filled by us, copied into, lent, posted, and given back.

use crate::common::{DOM0, Vif, assert_account, bytes, finish, home, packet, pool};
use netfront_rs::{Queue, SendError};
use netif::Features;
use netif::fakes::Delivery;
use netif::messages::{Checksum, Extra, Gso, GsoKind, RxFlags};
use page_pool::{HomeId, PagePool};
use xen_hal::fake::FakeHal;
use xen_hal::{DomId, PAGE_SIZE};

#[test]
fn local_frames_have_up_to_64_kib() {
    let mut pool = pool();
    pool.add_home(HomeId::LOCAL, 20).unwrap();
    for len in [1, 4096, 4097, 65_535] {
        let frame = pool.alloc_frame(HomeId::LOCAL, &packet(len, 5)).unwrap();
        assert_eq!(frame.slots(), len.div_ceil(PAGE_SIZE));
        assert_eq!(bytes(&pool, &frame), packet(len, 5));
        pool.free(frame);
        assert_eq!(pool.stats().home(HomeId::LOCAL).free, 20);
    }
    assert!(pool.alloc_frame(HomeId::LOCAL, &[]).is_none());
    assert!(
        pool.alloc_frame(HomeId::LOCAL, &packet(65_536, 0))
            .is_none()
    );
    let first = pool.alloc_frame(HomeId::LOCAL, &packet(65_535, 0)).unwrap();
    assert!(
        pool.alloc_frame(HomeId::LOCAL, &packet(5 * 4096, 0))
            .is_none()
    );
    assert_eq!(pool.stats().home(HomeId::LOCAL).held, 16);
    pool.free(first);
    finish(pool, [], 0);
}

#[test]
fn between_backends_frames_are_copied() {
    let hal = FakeHal::new();
    let mut pools = [DOM0, DomId(3)].map(|peer| PagePool::new(hal, peer));
    let [ours, theirs] = &mut pools;
    theirs.add_home(HomeId::LOCAL, 40).unwrap();
    let mut a = Vif::new(ours, 0, 64, Features::all());
    let mut b = Vif::new(theirs, 0, 16, Features::all());
    for len in [60, 1514, 4096, 5000, 65_535] {
        let gso = Gso {
            kind: GsoKind::TcpV4,
            size: 1000,
        };
        let how = Delivery {
            flags: RxFlags::CSUM_BLANK | RxFlags::DATA_VALIDATED,
            extras: vec![Extra::Gso(gso)],
            offset: 0,
            fragment: 4096,
        };
        assert!(a.back.deliver_as(&packet(len, 8), &how));
        a.back.publish();
        let (frame, _) = a.receive(ours).remove(0);
        let unsent = b.queue.send(theirs, frame).unwrap_err();
        assert_eq!(unsent.why, SendError::OtherPool);
        let front = ours.header(&unsent.frame);
        let front = &front[..len.min(64)];
        let frame = &unsent.frame;
        let copy = PagePool::copy_between(ours, frame, front, 64, theirs, HomeId::LOCAL);
        let copy = copy.unwrap();
        ours.free(unsent.frame);
        assert_eq!(theirs.gso(&copy), Some(gso));
        b.queue.send(theirs, copy).unwrap();
        b.queue.publish();
        let sent = b.back.transmit();
        assert_eq!(
            (&sent[0].bytes, sent[0].checksum),
            (&packet(len, 8), Checksum::all())
        );
        for gref in &sent[0].grefs {
            assert!(
                hal.peer_page(DOM0, *gref).is_none(),
                "a page seen by two backends"
            );
        }
        b.back.publish();
        b.queue.reap(theirs).unwrap();
        a.queue.refill(ours);
        a.queue.publish();
        assert_account(ours);
        assert_account(theirs);
    }
    a.queue.close(ours);
    b.queue.close(theirs);
    for pool in pools {
        assert_eq!(pool.close().leaked, 0);
    }
    assert_eq!((hal.pages(), hal.grants(), hal.ports()), (0, 0, 0));
}

#[test]
fn a_stuck_ring_cannot_take_the_last_receive_pages() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 64, Features::all());
    let mut stuck = Vif::new(&mut pool, 1, 64, Features::all());
    let (mut sent, mut refused) = (0, 0);
    assert_eq!(pool.lendable(home(0)), 48);
    for round in 0..50 {
        while a.back.deliver(&packet(60, round)) {}
        a.back.publish();
        for (frame, _) in a.receive(&mut pool) {
            if pool.may_lend(&frame) && stuck.queue.send(&mut pool, frame).is_ok() {
                sent += 1;
            } else {
                // Dropped: whatever `send` had refused would have to be freed.
                refused += 1;
            }
        }
        stuck.queue.publish();
        a.queue.refill(&mut pool);
        a.queue.publish();
        assert_account(&pool);
        if refused > 0 {
            break;
        }
    }
    assert!(sent <= 64 && refused > 0);
    finish(pool, [a, stuck], refused);
}

#[test]
fn a_floor_keeps_the_receive_ring_alive() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 64, Features::all());
    let mut stuck = Vif::new(&mut pool, 1, 64, Features::all());
    for round in 0..50 {
        // One at a time, so that what is lent shows at once.
        assert!(
            a.back.deliver(&packet(60, round)),
            "starved in round {round}"
        );
        a.back.publish();
        for (frame, _) in a.receive(&mut pool) {
            if pool.may_lend(&frame) {
                stuck.queue.send(&mut pool, frame).unwrap();
            } else {
                pool.free(frame);
            }
        }
        a.queue.refill(&mut pool);
        a.queue.publish();
    }
    let account = pool.stats().home(home(0));
    assert_eq!((account.sending, account.posted), (48, 16));
    assert_eq!(pool.lendable(home(0)), 0);
    finish(pool, [a, stuck], 0);
}

#[test]
fn no_ring_gets_more_than_its_share() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 64, Features::all());
    let mut outputs = [1, 2].map(|n| Vif::new(&mut pool, n, 16, Features::all()));
    pool.set_floor(home(0), 8);
    pool.set_share(home(0), 28);
    for round in 0..8 {
        for seed in 0..8 {
            let delivered = a.back.deliver(&packet(60, seed));
            assert!(delivered, "starved in round {round}");
        }
        a.back.publish();
        let out = &mut outputs[round % 2].queue;
        for (frame, _) in a.receive(&mut pool) {
            let lendable = pool.lendable_to(out.id(), home(0));
            if lendable > 0 {
                out.send(&mut pool, frame).unwrap();
                assert_eq!(pool.lendable_to(out.id(), home(0)), lendable - 1);
            } else {
                pool.free(frame);
            }
        }
        a.queue.refill(&mut pool);
        a.queue.publish();
    }
    for out in &outputs {
        assert_eq!(pool.lent_to(out.queue.id(), home(0)), 28);
    }
    // What comes back counts no longer, nor what is of no home any more.
    let [b, c] = &mut outputs;
    b.queue.publish();
    assert_eq!(b.back.drain(10), 10);
    b.back.publish();
    assert_eq!(b.queue.reap(&mut pool), Ok(10));
    assert_eq!(pool.lent_to(b.queue.id(), home(0)), 18);
    a.queue.close(&mut pool);
    pool.remove_home(home(0)).unwrap();
    assert_eq!(pool.lent_to(b.queue.id(), home(0)), 0);
    for out in [b, c] {
        out.queue.publish();
        out.back.drain(usize::MAX);
        out.back.publish();
        out.queue.reap(&mut pool).unwrap();
    }
    assert_eq!(pool.stats().spare().total(), 64);
    assert_eq!(pool.stats().spare().free, 64);
    finish(pool, outputs, 0);
}

#[test]
fn a_copy_begins_with_what_was_checked() {
    let mut pool = pool();
    pool.add_home(home(0), 8).unwrap();
    for len in [20, 64, 100, 5000] {
        let bytes = packet(len, 3);
        let frame = pool.alloc_frame(home(0), &bytes).unwrap();
        for front in [&[9][..], &[9; 12], &[9; 72]] {
            let copy = pool.copy(&frame, front, 64, home(0)).unwrap();
            let mut all = vec![0; 6000];
            let length = pool.copy_out(&copy, 0, &mut all);
            assert_eq!(length, copy.len());
            assert_eq!(
                all[..length],
                [front, bytes.get(64..).unwrap_or(&[])].concat()
            );
            pool.free(copy);
        }
        pool.free(frame);
    }
    assert!(pool.stats().sum().held == 0);
}

#[test]
fn a_post_limit_leaves_pages_to_copy_into() {
    let hal = FakeHal::new();
    let (mut from, mut to) = (PagePool::new(hal, DomId(1)), PagePool::new(hal, DomId(2)));
    let home = HomeId::vif(0).unwrap();
    from.add_home(home, 64).unwrap();
    to.add_home(home, 64).unwrap();
    let (mut queue, _) = Queue::new(&mut to, home, Features::all()).unwrap();
    queue.set_post_limit(48);
    assert_eq!(queue.refill(&mut to), 48);
    assert_eq!(queue.refill(&mut to), 0);
    let frame = from.alloc_frame(home, &[7; 100]).unwrap();
    let copy = PagePool::copy_between(&from, &frame, &[], 0, &mut to, home).unwrap();
    assert_eq!(copy.len(), 100);
    to.free(copy);
    from.free(frame);
    queue.close(&mut to);
}

#[test]
fn pages_of_several_homes_come_back_in_any_order() {
    let mut pool = pool();
    let mut vifs = [0, 1, 2].map(|n| Vif::new(&mut pool, n, 64, Features::all()));
    for round in 0..30_u8 {
        // In trains of different lengths, of all three homes, out of the first vif.
        for (at, len) in [(0, 3), (1, 1), (0, 1), (2, 4), (1, 2), (2, 1)] {
            for seed in 0..len {
                assert!(vifs[at].back.deliver(&packet(60, seed ^ round)));
            }
            vifs[at].back.publish();
            for (frame, _) in vifs[at].receive(&mut pool) {
                vifs[0].queue.send(&mut pool, frame).expect("room");
            }
        }
        vifs[0].queue.publish();
        assert_eq!(vifs[0].back.transmit().len(), 12);
        vifs[0].back.publish();
        assert_eq!(vifs[0].queue.reap(&mut pool), Ok(12));
        for (n, vif) in (0..).zip(&mut vifs) {
            vif.queue.refill(&mut pool);
            vif.queue.publish();
            let account = pool.stats().home(home(n));
            assert_eq!((account.posted, account.total()), (64, 64), "vif {n}");
        }
    }
    finish(pool, vifs, 0);
}
