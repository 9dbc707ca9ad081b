//! The data path against an honest backend.

use crate::common::{DOM0, Vif, assert_account, bytes, finish, home, packet, pool};
use netfront_rs::fake::Delivery;
use netfront_rs::netif::{Checksum, Extra, Gso, GsoKind, MAX_SLOTS, RSP_DROPPED, RxFlags};
use netfront_rs::{Features, Frame, HomeId, PagePool, Ports, Queue, QueueError, SendError, Wake};
use proptest::prelude::*;
use xen_hal::fake::FakeHal;
use xen_hal::{DomId, PAGE_SIZE};

/// Sends `bytes` in to `from`, forwards them to `to`, and returns what came out.
fn forward(pool: &mut PagePool<FakeHal>, from: &mut Vif, to: &mut Vif, data: &[u8]) -> Vec<u8> {
    assert!(from.back.deliver(data));
    from.back.publish();
    let mut frames = from.receive(pool);
    assert_eq!(frames.len(), 1);
    let (frame, header) = frames.remove(0);
    let start = data.len().min(64);
    assert_eq!(header[..start], data[..start]);
    assert_eq!(bytes(pool, &frame), data);
    to.queue.send(pool, frame).expect("room on the ring");
    to.queue.publish();
    let mut sent = to.back.transmit();
    to.back.publish();
    assert_eq!(sent.len(), 1);
    to.queue.reap(pool).expect("an honest backend");
    from.queue.refill(pool);
    from.queue.publish();
    sent.remove(0).bytes
}

#[test]
fn frames_of_every_length_go_through() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 64, Features::all());
    let mut b = Vif::new(&mut pool, 1, 64, Features::all());
    let lengths = (1..200).chain([1500, 1514, 4095, 4096, 4097, 9000, 8192, 60_000, 65_535]);
    for (i, len) in lengths.enumerate() {
        let data = packet(len, i as u8);
        assert_eq!(
            forward(&mut pool, &mut a, &mut b, &data),
            data,
            "{len} bytes"
        );
        assert_account(&pool);
    }
    let counters = (a.queue.counters(), b.queue.counters());
    assert_eq!(counters.0.rx_frames, 208);
    assert_eq!(counters.1.tx_frames, 208);
    assert_eq!(counters.0.rx_bytes, counters.1.tx_bytes);
    finish(pool, [a, b], 0);
}

#[test]
fn rings_go_round_many_times() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 300, Features::all());
    let mut b = Vif::new(&mut pool, 1, 20, Features::all());
    for round in 0..40_u8 {
        for i in 0..200 {
            assert!(a.back.deliver(&packet(60, i ^ round)));
        }
        a.back.publish();
        for (i, (frame, header)) in a.receive(&mut pool).into_iter().enumerate() {
            assert_eq!(header[..60], packet(60, i as u8 ^ round));
            b.queue.send(&mut pool, frame).unwrap();
        }
        b.queue.publish();
        let sent = b.back.transmit();
        assert_eq!(sent.len(), 200);
        for (i, sent) in sent.into_iter().enumerate() {
            assert_eq!(sent.bytes, packet(60, i as u8 ^ round));
        }
        b.back.publish();
        assert_eq!(b.queue.reap(&mut pool), Ok(200));
        assert_eq!(a.queue.refill(&mut pool), 200);
        a.queue.publish();
        assert_account(&pool);
    }
    finish(pool, [a, b], 0);
}

#[test]
fn no_grant_is_made_or_ended_for_a_packet() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 64, Features::all());
    let mut b = Vif::new(&mut pool, 1, 64, Features::all());
    let before = (
        pool.hal().grants(),
        pool.hal().grants_ever(),
        pool.hal().pages_ever(),
    );
    for i in 0..100 {
        forward(&mut pool, &mut a, &mut b, &packet(1000, i));
    }
    let after = (
        pool.hal().grants(),
        pool.hal().grants_ever(),
        pool.hal().pages_ever(),
    );
    assert_eq!(before, after);
    finish(pool, [a, b], 0);
}

#[test]
fn the_same_page_goes_out_that_came_in() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 32, Features::all());
    let mut b = Vif::new(&mut pool, 1, 32, Features::all());
    let request = a.back.take_rx().unwrap();
    let page = a.back.page(request.gref).unwrap();
    page.get_mut().write(0, &packet(60, 1));
    a.back.answer_rx([u32::from(request.id), 60 << 16]);
    a.back.publish();
    let (frame, _) = a.receive(&mut pool).remove(0);
    b.queue.send(&mut pool, frame).unwrap();
    b.queue.publish();
    assert_eq!(b.back.take_sent().unwrap().grefs, [request.gref]);
    finish(pool, [a, b], 0);
}

#[test]
fn sg_in_2_to_18_slots_both_ways() {
    for slots in 2..=MAX_SLOTS {
        let mut pool = pool();
        let mut a = Vif::new(&mut pool, 0, 64, Features::all());
        let mut b = Vif::new(&mut pool, 1, 64, Features::all());
        let data = packet(slots * 100 - 7, slots as u8);
        let how = Delivery {
            fragment: 100,
            offset: 128,
            ..Delivery::default()
        };
        assert!(a.back.deliver_as(&data, &how));
        a.back.publish();
        let (frame, header) = a.receive(&mut pool).remove(0);
        assert_eq!(frame.slots(), slots);
        assert_eq!(header[..], data[..64]);
        assert_eq!(bytes(&pool, &frame), data);
        assert_eq!(pool.stats().home(home(0)).held, slots);
        b.queue.send(&mut pool, frame).unwrap();
        assert_eq!(b.queue.tx_free(), 256 - slots);
        b.queue.publish();
        assert_eq!(b.queue.counters().tx_frames, 1);
        let sent = b.back.transmit();
        assert_eq!((sent[0].ids.len(), &sent[0].bytes), (slots, &data));
        b.back.publish();
        assert_eq!(b.queue.reap(&mut pool), Ok(slots));
        finish(pool, [a, b], 0);
    }
}

#[test]
fn headers_split_over_slots_are_gathered() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 32, Features::all());
    let data = packet(150, 9);
    let how = Delivery {
        fragment: 9,
        offset: 3,
        ..Delivery::default()
    };
    assert!(a.back.deliver_as(&data, &how));
    a.back.publish();
    let (mut frame, mut header) = a.receive(&mut pool).remove(0);
    assert_eq!(header[..], data[..64]);
    header[..40].copy_from_slice(&packet(40, 77));
    pool.write_header(&mut frame, &header, 40);
    let now = bytes(&pool, &frame);
    assert_eq!((&now[..40], &now[40..]), (&packet(40, 77)[..], &data[40..]));
    pool.free(frame);
    finish(pool, [a], 0);
}

#[test]
fn headers_are_written_back_at_any_offset() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 32, Features::all());
    for offset in [0, 1, 8, 13, 256, 4096 - 70] {
        for len in [0, 1, 14, 34, 40, 60, 64] {
            let data = packet(70, offset as u8);
            let how = Delivery {
                offset,
                ..Delivery::default()
            };
            assert!(a.back.deliver_as(&data, &how));
            a.back.publish();
            let (mut frame, mut header) = a.receive(&mut pool).remove(0);
            assert_eq!(header[..], data[..64]);
            for byte in &mut header[..len] {
                *byte = !*byte;
            }
            pool.write_header(&mut frame, &header, len);
            let now = bytes(&pool, &frame);
            assert_eq!(now[..64], header);
            assert_eq!(now[64..], data[64..]);
            pool.free(frame);
            a.queue.refill(&mut pool);
            a.queue.publish();
        }
    }
    finish(pool, [a], 0);
}

#[test]
fn checksum_state_is_carried() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 32, Features::all());
    let mut b = Vif::new(&mut pool, 1, 32, Features::all());
    let (blank, valid) = (RxFlags::CSUM_BLANK, RxFlags::DATA_VALIDATED);
    for (flags, wanted) in [
        (RxFlags::empty(), Checksum::empty()),
        (blank, Checksum::BLANK),
        (valid, Checksum::VALIDATED),
        (blank | valid, Checksum::all()),
    ] {
        for fragment in [4096, 50] {
            let how = Delivery {
                flags,
                fragment,
                ..Delivery::default()
            };
            assert!(a.back.deliver_as(&packet(100, 1), &how));
            a.back.publish();
            let (frame, _) = a.receive(&mut pool).remove(0);
            assert_eq!(frame.checksum(), wanted);
            b.queue.send(&mut pool, frame).unwrap();
            b.queue.publish();
            assert_eq!(b.back.transmit()[0].checksum, wanted);
        }
    }
    finish(pool, [a, b], 0);
}

#[test]
fn gso_is_carried_and_its_responses_are_counted() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 64, Features::all());
    let mut b = Vif::new(&mut pool, 1, 64, Features::all());
    for kind in [GsoKind::TcpV4, GsoKind::TcpV6] {
        for len in [1000, 60_000] {
            let gso = Gso { kind, size: 1448 };
            let hash = Extra::Hash {
                kind: 1,
                algorithm: 1,
                value: 0x1234_5678,
            };
            let extras = vec![hash, Extra::Gso(gso), Extra::Unknown(200)];
            let data = packet(len, 3);
            assert!(a.back.deliver_as(
                &data,
                &Delivery {
                    extras,
                    ..Delivery::default()
                }
            ));
            a.back.publish();
            let (frame, _) = a.receive(&mut pool).remove(0);
            assert!(frame.is_gso());
            assert_eq!(pool.gso(&frame), Some(gso));
            b.queue.send(&mut pool, frame).unwrap();
            b.queue.publish();
            let sent = b.back.transmit();
            assert_eq!((sent[0].gso, &sent[0].bytes), (Some(gso), &data));
            b.back.publish();
            let slots = len.div_ceil(PAGE_SIZE) + 1;
            assert_eq!(b.queue.reap(&mut pool), Ok(slots));
            a.queue.refill(&mut pool);
            a.queue.publish();
            assert_account(&pool);
        }
    }
    assert_eq!(b.queue.counters().tx_frames, 4);
    finish(pool, [a, b], 0);
}

#[test]
fn what_a_backend_cannot_take_comes_back() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 64, Features::all());
    let mut plain = Vif::new(&mut pool, 1, 32, Features::empty());
    let how = Delivery {
        flags: RxFlags::CSUM_BLANK,
        ..Delivery::default()
    };
    assert!(a.back.deliver_as(&packet(100, 1), &how));
    assert!(a.back.deliver(&packet(5000, 1)));
    let extras = vec![Extra::Gso(Gso {
        kind: GsoKind::TcpV4,
        size: 100,
    })];
    assert!(a.back.deliver_as(
        &packet(1000, 1),
        &Delivery {
            extras,
            ..Delivery::default()
        }
    ));
    a.back.publish();
    let frames = a.receive(&mut pool);
    let wanted = [
        SendError::NoChecksum,
        SendError::NoScatter,
        SendError::NoGso,
    ];
    for ((frame, _), wanted) in frames.into_iter().zip(wanted) {
        let unsent = plain.queue.send(&mut pool, frame).unwrap_err();
        assert_eq!(unsent.why, wanted);
        let mut frame = unsent.frame;
        if wanted == SendError::NoChecksum {
            frame.set_checksum(Checksum::empty());
            plain.queue.send(&mut pool, frame).unwrap();
        } else {
            pool.free(frame);
        }
    }
    plain.queue.publish();
    assert_eq!(plain.back.transmit().len(), 1);
    finish(pool, [a, plain], 0);
}

#[test]
fn a_full_transmit_ring_gives_the_frame_back() {
    let mut pool = pool();
    pool.add_home(HomeId::LOCAL, 300).unwrap();
    let mut a = Vif::new(&mut pool, 0, 16, Features::all());
    for i in 0..256_usize {
        assert_eq!(a.queue.tx_free(), 256 - i);
        let frame = pool.alloc_frame(HomeId::LOCAL, &packet(60, 0)).unwrap();
        a.queue.send(&mut pool, frame).unwrap();
    }
    for len in [60, 5000] {
        let frame = pool.alloc_frame(HomeId::LOCAL, &packet(len, 1)).unwrap();
        let unsent = a.queue.send(&mut pool, frame).unwrap_err();
        assert_eq!((unsent.why, unsent.frame.len()), (SendError::Full, len));
        pool.free(unsent.frame);
    }
    assert_eq!(pool.stats().home(HomeId::LOCAL).sending, 256);
    a.queue.publish();
    assert_eq!(a.back.transmit().len(), 256);
    a.back.publish();
    assert_eq!(a.queue.reap(&mut pool), Ok(256));
    assert_eq!(pool.stats().home(HomeId::LOCAL).free, 300);
    finish(pool, [a], 0);
}

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
        let copy = PagePool::copy_between(ours, &unsent.frame, theirs, HomeId::LOCAL).unwrap();
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
fn one_event_at_most_for_a_burst() {
    for features in [
        Features::all(),
        Features::all() - Features::SPLIT_EVENT_CHANNELS,
    ] {
        let mut pool = pool();
        let mut a = Vif::new(&mut pool, 0, 64, features);
        let hal = pool.hal();
        let ports = match a.queue.info().ports {
            Ports::Shared(port) => vec![port],
            Ports::Split { tx, rx } => vec![tx, rx],
        };
        assert_eq!(
            ports.len() == 2,
            features.contains(Features::SPLIT_EVENT_CHANNELS)
        );
        let sent = || ports.iter().map(|port| hal.sent(*port)).sum::<u64>();
        // The backend is awake after it has looked at the rings.
        a.back.publish();
        let before = sent();
        for _ in 0..20 {
            assert!(a.back.deliver(&packet(60, 1)));
        }
        a.back.publish();
        for (frame, _) in a.receive(&mut pool) {
            a.queue.send(&mut pool, frame).unwrap();
        }
        let events = a.queue.publish();
        assert_eq!(u64::from(events), sent() - before);
        assert_eq!(events, 1);
        assert_eq!(a.queue.publish(), 0);
        assert_eq!(
            a.queue.counters().notifications,
            2,
            "the first was for the receive ring"
        );
        finish(pool, [a], 0);
    }
}

#[test]
fn armed_queues_get_their_events() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 64, Features::all());
    assert!(!a.queue.arm(Wake::default()));
    assert!(!a.queue.take_pending());
    a.back.deliver(&packet(60, 0));
    assert!(!a.queue.rx_pending());
    a.back.publish();
    assert!(a.queue.rx_pending());
    assert!(a.queue.take_pending());
    assert!(!a.queue.take_pending());
    assert!(a.queue.arm(Wake::default()), "a frame is there");
    let (frame, _) = a.receive(&mut pool).remove(0);
    // Four frames ahead.
    assert!(!a.queue.arm(Wake {
        rx: Some(4),
        tx: None
    }));
    for i in 1..=4 {
        a.back.deliver(&packet(60, i));
        a.back.publish();
        assert_eq!(a.queue.take_pending(), i == 4);
    }
    for (frame, _) in a.receive(&mut pool) {
        pool.free(frame);
    }
    // Transmit responses only where asked for.
    a.queue.send(&mut pool, frame).unwrap();
    a.queue.publish();
    assert!(!a.queue.arm(Wake::default()));
    a.back.transmit();
    a.back.publish();
    assert!(!a.queue.take_pending());
    assert!(
        a.queue.arm(Wake {
            rx: Some(1),
            tx: Some(1)
        }),
        "the response is there"
    );
    a.queue.reap(&mut pool).unwrap();
    assert!(
        !a.queue.arm(Wake {
            rx: Some(1),
            tx: Some(1)
        }),
        "there is none to come"
    );
    // More than can come is as many as can come.
    while a.back.deliver(&packet(60, 9)) {}
    assert!(!a.queue.arm(Wake {
        rx: Some(1000),
        tx: None
    }));
    a.back.publish();
    assert!(a.queue.take_pending());
    for (frame, _) in a.receive(&mut pool) {
        pool.free(frame);
    }
    finish(pool, [a], 0);
}

#[test]
fn half_a_packet_is_no_work() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 64, Features::all());
    let more = u32::from(RxFlags::MORE_DATA.bits());
    for part in 0..3 {
        let request = a.back.take_rx().unwrap();
        a.back
            .page(request.gref)
            .unwrap()
            .get_mut()
            .write(0, &packet(100, part));
        a.back.answer_rx([u32::from(request.id), more | 100 << 16]);
        a.back.publish();
        assert!(a.queue.rx_pending());
        assert_eq!(a.receive(&mut pool).len(), 0);
        assert!(!a.queue.rx_pending());
        assert!(!a.queue.arm(Wake::default()), "the rest is to come");
        a.queue.take_pending();
    }
    let request = a.back.take_rx().unwrap();
    a.back
        .page(request.gref)
        .unwrap()
        .get_mut()
        .write(0, &packet(100, 3));
    a.back.answer_rx([u32::from(request.id), 100 << 16]);
    a.back.publish();
    assert!(a.queue.take_pending());
    let (frame, _) = a.receive(&mut pool).remove(0);
    let wanted: Vec<u8> = (0..4).flat_map(|part| packet(100, part)).collect();
    assert_eq!(bytes(&pool, &frame), wanted);
    pool.free(frame);
    finish(pool, [a], 0);
}

#[test]
fn failed_packets_are_counted_and_their_pages_used_again() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 32, Features::all());
    pool.add_home(HomeId::LOCAL, 4).unwrap();
    for round in 0..100 {
        let status: i16 = [-1, -2, -32_768, 0][round % 4];
        let request = a.back.take_rx().unwrap();
        let status = u32::from(status.cast_unsigned()) << 16;
        if round % 3 == 0 {
            // The first of two fragments failed.
            let more = u32::from(RxFlags::MORE_DATA.bits());
            a.back.answer_rx([u32::from(request.id), more | status]);
            let request = a.back.take_rx().unwrap();
            a.back.answer_rx([u32::from(request.id), 100 << 16]);
        } else {
            a.back.answer_rx([u32::from(request.id), status]);
        }
        a.back.publish();
        let (frames, outcome) = a.try_receive(&mut pool);
        assert_eq!((frames.len(), outcome), (0, Ok(0)));
        assert_eq!(
            a.queue.refill(&mut pool),
            if round % 3 == 0 { 2 } else { 1 }
        );
        a.queue.publish();
    }
    let frame = pool.alloc_frame(HomeId::LOCAL, &packet(60, 0)).unwrap();
    a.queue.send(&mut pool, frame).unwrap();
    a.queue.publish();
    let sent = a.back.take_sent().unwrap();
    a.back.complete(&sent, RSP_DROPPED);
    a.back.publish();
    assert_eq!(a.queue.reap(&mut pool), Ok(1));
    assert_eq!(a.queue.counters().tx_errors, 1);
    assert_eq!(a.queue.counters().rx_errors, 100);
    finish(pool, [a], 0);
}

#[test]
fn a_budget_is_kept() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 64, Features::all());
    for i in 0..30 {
        assert!(
            a.back
                .deliver(&packet(if i % 3 == 0 { 4200 } else { 60 }, i))
        );
    }
    a.back.publish();
    let mut seen = 0;
    for budget in [0, 1, 2, 5, 7, 100] {
        let mut frames = Vec::new();
        let count = a
            .queue
            .receive(&mut pool, budget, |frame, _, _| frames.push(frame))
            .unwrap();
        assert_eq!(count, budget.min(30 - seen));
        for frame in frames {
            assert_eq!(bytes(&pool, &frame)[..60], packet(60, seen as u8)[..]);
            pool.free(frame);
            seen += 1;
        }
    }
    assert_eq!(seen, 30);
    finish(pool, [a], 0);
}

#[test]
fn creation_that_fails_leaves_nothing_behind() {
    let hal = FakeHal::new();
    let mut pool = PagePool::new(hal, DOM0);
    assert!(matches!(
        Queue::new(&mut pool, home(0), Features::all()),
        Err(QueueError::NoSuchHome)
    ));
    for n in 0..10 {
        hal.fail_page_after(n);
        assert!(pool.add_home(home(0), 20).is_err());
        assert_eq!((hal.pages(), hal.grants(), pool.stats().total), (0, 0, 0));
        hal.fail_grant_after(n);
        assert!(pool.add_home(home(0), 20).is_err());
        assert_eq!((hal.pages(), hal.grants(), pool.stats().total), (0, 0, 0));
    }
    pool.add_home(home(0), 20).unwrap();
    for n in 0..2 {
        hal.fail_page_after(n);
        assert!(Queue::new(&mut pool, home(0), Features::all()).is_err());
        hal.fail_grant_after(n);
        assert!(Queue::new(&mut pool, home(0), Features::all()).is_err());
        hal.fail_port_after(n);
        assert!(Queue::new(&mut pool, home(0), Features::all()).is_err());
        assert_eq!((hal.pages(), hal.grants(), hal.ports()), (20, 20, 0));
    }
    let mut queues = Vec::new();
    loop {
        match Queue::new(&mut pool, home(0), Features::all()) {
            Ok((queue, _)) => queues.push(queue),
            Err(error) => {
                assert_eq!(error, QueueError::TooManyQueues);
                break;
            }
        }
    }
    assert_eq!(queues.len(), 64);
    for queue in queues {
        assert_eq!(queue.close(&mut pool), 0);
    }
    finish(pool, [], 0);
}

#[test]
fn homes_come_and_go_while_their_pages_are_out() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 40, Features::all());
    let mut b = Vif::new(&mut pool, 1, 40, Features::all());
    for i in 0..20 {
        assert!(a.back.deliver(&packet(60, i)));
    }
    a.back.publish();
    let mut held = Vec::new();
    for (i, (frame, _)) in a.receive(&mut pool).into_iter().enumerate() {
        if i < 10 {
            b.queue.send(&mut pool, frame).unwrap();
        } else {
            held.push(frame);
        }
    }
    b.queue.publish();
    assert!(pool.remove_home(home(0)).is_err(), "pages are posted");
    assert_eq!(a.queue.close(&mut pool), 0);
    pool.remove_home(home(0)).unwrap();
    assert!(!pool.has_home(home(0)));
    let spare = pool.stats().spare();
    assert_eq!((spare.free, spare.sending, spare.held), (20, 10, 10));
    assert_account(&pool);
    // Another vif gets the pages that are free; the others follow when they are.
    let pages = pool.hal().pages();
    let c = Vif::new(&mut pool, 2, 20, Features::all());
    assert_eq!(pool.hal().pages(), pages + 2, "two rings, no packet pages");
    b.back.transmit();
    b.back.publish();
    b.queue.reap(&mut pool).unwrap();
    for frame in held {
        pool.free(frame);
    }
    assert_eq!(pool.stats().spare().free, 20);
    assert_eq!(pool.stats().home(home(2)).posted, 20);
    finish(pool, [b, c], 0);
}

#[test]
fn spare_pages_at_the_end_go_back_to_the_machine() {
    let mut pool = pool();
    pool.add_home(home(0), 30).unwrap();
    pool.add_home(home(1), 50).unwrap();
    pool.remove_home(home(1)).unwrap();
    let gref = {
        // The backend maps one of them.
        pool.add_home(home(2), 50).unwrap();
        let frame = pool.alloc_frame(home(2), &packet(10, 0)).unwrap();
        let (mut queue, info) = Queue::new(&mut pool, home(2), Features::all()).unwrap();
        queue.send(&mut pool, frame).unwrap();
        queue.publish();
        let mut back = netfront_rs::fake::Backend::connect(pool.hal(), DOM0, info);
        let gref = back.take_sent().unwrap().grefs[0];
        queue.close(&mut pool);
        gref
    };
    pool.remove_home(home(2)).unwrap();
    pool.hal().hold(gref);
    pool.trim();
    assert_account(&pool);
    let left = pool.stats();
    assert_eq!(left.spare().free, left.total - 30);
    pool.hal().release(gref);
    pool.trim();
    assert_eq!(pool.stats().total, 30);
    assert_eq!((pool.hal().pages(), pool.hal().grants()), (30, 30));
    assert_account(&pool);
    finish(pool, [], 0);
}

#[test]
fn what_the_backend_still_maps_is_leaked_and_counted() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 8, Features::all());
    let hal = pool.hal();
    let mapped = a.back.take_rx().unwrap().gref;
    hal.hold(mapped);
    hal.hold(a.queue.info().tx_ring);
    assert_eq!(a.queue.close(&mut pool), 1);
    let closed = pool.close();
    assert_eq!((closed.freed, closed.leaked), (7, 1));
    assert_eq!((hal.pages(), hal.grants()), (2, 2));
}

/// What can happen between two vifs.
#[derive(Clone, Debug)]
enum Step {
    Deliver {
        vif: usize,
        len: usize,
        fragment: usize,
    },
    Forward {
        vif: usize,
        budget: usize,
        drop: u8,
    },
    Local {
        vif: usize,
        len: usize,
    },
    Transmit {
        vif: usize,
        hold: usize,
    },
    Reap {
        vif: usize,
    },
    Refill {
        vif: usize,
    },
    Publish {
        vif: usize,
    },
    Reconnect {
        vif: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let vif = 0_usize..2;
    prop_oneof![
        4 => (vif.clone(), 1_usize..70_000, 60_usize..=4096)
            .prop_map(|(vif, len, fragment)| Step::Deliver { vif, len, fragment }),
        4 => (vif.clone(), 1_usize..200).prop_map(|(vif, len)| Step::Deliver { vif, len, fragment: 4096 }),
        6 => (vif.clone(), 0_usize..80, any::<u8>())
            .prop_map(|(vif, budget, drop)| Step::Forward { vif, budget, drop }),
        2 => (vif.clone(), 0_usize..10_000).prop_map(|(vif, len)| Step::Local { vif, len }),
        4 => (vif.clone(), 0_usize..20).prop_map(|(vif, hold)| Step::Transmit { vif, hold }),
        4 => vif.clone().prop_map(|vif| Step::Reap { vif }),
        4 => vif.clone().prop_map(|vif| Step::Refill { vif }),
        4 => vif.clone().prop_map(|vif| Step::Publish { vif }),
        1 => vif.prop_map(|vif| Step::Reconnect { vif }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens between honest ends, no page is lost or doubled and every frame
    /// arrives as it was sent, or is dropped by us.
    #[test]
    fn the_account_always_balances(steps in proptest::collection::vec(step(), 1..120)) {
        let mut pool = pool();
        pool.add_home(HomeId::LOCAL, 8).unwrap();
        let mut vifs: Vec<Option<Vif>> =
            (0..2).map(|vif| Some(Vif::new(&mut pool, vif, 48, Features::all()))).collect();
        let mut seed = 0_u8;
        for step in steps {
            match step {
                Step::Deliver { vif, len, fragment } => {
                    seed = seed.wrapping_add(1);
                    let back = &mut vifs[vif].as_mut().unwrap().back;
                    let how = Delivery { fragment, ..Delivery::default() };
                    let len = len.min(65_535).min(fragment * MAX_SLOTS);
                    // The seed is the first byte, so that what arrives can be checked.
                    back.deliver_as(&packet(len, seed), &how);
                    back.publish();
                }
                Step::Forward { vif, budget, drop } => {
                    let mut frames = Vec::new();
                    let from = vifs[vif].as_mut().unwrap();
                    from.queue.receive(&mut pool, budget, |frame, _, _| frames.push(frame)).unwrap();
                    let to = vifs[1 - vif].as_mut().unwrap();
                    for (i, frame) in frames.into_iter().enumerate() {
                        if (drop as usize + i).is_multiple_of(7) || !pool.may_lend(&frame) {
                            pool.free(frame);
                        } else if let Err(unsent) = to.queue.send(&mut pool, frame) {
                            prop_assert_eq!(unsent.why, SendError::Full);
                            pool.free(unsent.frame);
                        }
                    }
                }
                Step::Local { vif, len } => {
                    if let Some(frame) = pool.alloc_frame(HomeId::LOCAL, &packet(len, 0)) {
                        let to = &mut vifs[vif].as_mut().unwrap().queue;
                        if let Err(unsent) = to.send(&mut pool, frame) {
                            pool.free(unsent.frame);
                        }
                    }
                }
                Step::Transmit { vif, hold } => {
                    let back = &mut vifs[vif].as_mut().unwrap().back;
                    let mut taken = Vec::new();
                    while let Some(sent) = back.take_sent() {
                        prop_assert_eq!(&sent.bytes, &packet(sent.bytes.len(), sent.bytes[0]));
                        taken.push(sent);
                    }
                    // Answered in another order.
                    let middle = hold.min(taken.len());
                    taken.rotate_left(middle);
                    for sent in &taken {
                        back.complete(sent, 0);
                    }
                    back.publish();
                }
                Step::Reap { vif } => {
                    vifs[vif].as_mut().unwrap().queue.reap(&mut pool).unwrap();
                }
                Step::Refill { vif } => {
                    vifs[vif].as_mut().unwrap().queue.refill(&mut pool);
                }
                Step::Publish { vif } => {
                    vifs[vif].as_mut().unwrap().queue.publish();
                }
                Step::Reconnect { vif } => {
                    let old = vifs[vif].take().unwrap();
                    prop_assert_eq!(old.queue.close(&mut pool), 0);
                    pool.remove_home(home(vif as u8)).unwrap();
                    vifs[vif] = Some(Vif::new(&mut pool, vif as u8, 48, Features::all()));
                }
            }
            assert_account(&pool);
        }
        finish(pool, vifs.into_iter().flatten(), 0);
    }
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
    let copy = PagePool::copy_between(&from, &frame, &mut to, home).unwrap();
    assert_eq!(copy.len(), 100);
    to.free(copy);
    from.free(frame);
    queue.close(&mut to);
}

#[test]
fn forward_replaces_the_first_bytes() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 256, Features::all());
    let mut b = Vif::new(&mut pool, 1, 64, Features::all());
    // Plain ones, shorter than what is replaced too, and what takes several slots between them.
    let lengths = [60, 34, 1500, 9000, 4096, 64, 5000, 60];
    for (seed, len) in lengths.into_iter().enumerate() {
        assert!(a.back.deliver(&packet(len, seed as u8)));
    }
    a.back.publish();
    let received = a.receive(&mut pool);
    let headers: Vec<_> = received
        .iter()
        .map(|(_, header)| {
            let mut new = *header;
            new[..40].iter_mut().for_each(|byte| *byte ^= 0x5a);
            new
        })
        .collect();
    let mut frames: Vec<_> = received.into_iter().map(|(frame, _)| frame).collect();
    let mut others = Vec::new();
    let mut at = 0;
    while at < frames.len() {
        let rest = frames[at..].iter_mut().zip(&headers[at..]);
        at += b.queue.forward(&mut pool, rest, 40);
        if let Some(frame) = frames.get_mut(at) {
            let mut frame = std::mem::take(frame);
            others.push(frame.len());
            pool.write_header(&mut frame, &headers[at], 40);
            b.queue.send(&mut pool, frame).expect("room on the ring");
            at += 1;
        }
    }
    assert!(
        frames.iter().all(|frame| frame.slots() == 0),
        "all are taken"
    );
    assert_eq!(others, [9000, 5000]);
    b.queue.publish();
    let sent = b.back.transmit();
    assert_eq!(sent.len(), lengths.len());
    for ((seed, len), sent) in lengths.into_iter().enumerate().zip(&sent) {
        let mut data = packet(len, seed as u8);
        data.iter_mut().take(40).for_each(|byte| *byte ^= 0x5a);
        assert!(sent.bytes == data, "{len} bytes");
    }
    b.back.publish();
    assert_eq!(b.queue.reap(&mut pool), Ok(lengths.len() + 3));
    let counters = b.queue.counters();
    assert_eq!(counters.tx_frames as usize, lengths.len());
    assert_eq!(counters.tx_bytes as usize, lengths.into_iter().sum());
    finish(pool, [a, b], 0);
}

#[test]
fn forward_leaves_what_finds_no_room() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 512, Features::all());
    let mut b = Vif::new(&mut pool, 1, 64, Features::all());
    for room in [256, 56] {
        for seed in 0..200 {
            assert!(a.back.deliver(&packet(60, seed)));
        }
        a.back.publish();
        let (mut frames, headers): (Vec<_>, Vec<_>) = a.receive(&mut pool).into_iter().unzip();
        let all = frames.iter_mut().zip(&headers);
        assert_eq!(b.queue.forward(&mut pool, all, 40), room.min(200));
        for frame in frames.drain(..).skip(room) {
            assert_eq!((frame.len(), frame.slots()), (60, 1));
            let unsent = b
                .queue
                .send(&mut pool, frame)
                .expect_err("the ring is full");
            assert_eq!(unsent.why, SendError::Full);
            pool.free(unsent.frame);
        }
        a.queue.refill(&mut pool);
        a.queue.publish();
    }
    b.queue.publish();
    assert_eq!(b.back.transmit().len(), 256);
    finish(pool, [a, b], 0);
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

#[test]
fn no_frame_is_never_sent() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 64, Features::all());
    let mut none = [Frame::default()];
    let all = none.iter_mut().map(|frame| (frame, &[0; 64]));
    assert_eq!(a.queue.forward(&mut pool, all, 40), 0);
    let unsent = a.queue.send(&mut pool, Frame::default());
    assert_eq!(
        unsent.map_err(|unsent| unsent.why),
        Err(SendError::OtherPool)
    );
    // Nor by a queue that is of no more use.
    a.back.answer_tx([7]);
    a.back.publish();
    assert!(a.queue.reap(&mut pool).is_err());
    let all = none.iter_mut().map(|frame| (frame, &[0; 64]));
    assert_eq!(a.queue.forward(&mut pool, all, 40), 0);
    let unsent = a.queue.send(&mut pool, Frame::default());
    assert_eq!(unsent.map_err(|unsent| unsent.why), Err(SendError::Closed));
    pool.free(Frame::default());
    finish(pool, [a], 0);
}
