//! What is received: first bytes, read and written back; a budget; failures, which are counted.

use crate::common::{Vif, bytes, finish, packet, pool};
use netif::Features;
use netif::fakes::Delivery;
use netif::messages::{RSP_DROPPED, RxFlags};
use page_pool::HomeId;

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
