//! What is work for a queue, what isn't, and the events that tell of it.

use crate::common::{Vif, bytes, finish, packet, pool};
use netfront_rs::Wake;
use netif::messages::RxFlags;
use netif::{Features, Ports};

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
