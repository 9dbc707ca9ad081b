//! Queues and homes come and go: what fails leaves nothing behind, what stays is accounted for.

use crate::common::{DOM0, Vif, assert_account, finish, home, packet, pool};
use netfront_rs::{Queue, QueueError};
use netif::Features;
use page_pool::PagePool;
use xen_hal::fake::FakeHal;

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
        let mut back = netif::fakes::Backend::connect(pool.hal(), DOM0, info);
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
