//! What an honest backend sends goes out to another as it was, but for first bytes we replace.

use crate::common::{Vif, assert_account, bytes, finish, home, packet, pool};
use netfront_rs::SendError;
use netif::Features;
use netif::fakes::Delivery;
use netif::messages::{Checksum, Extra, Gso, GsoKind, MAX_SLOTS, RxFlags};
use page_pool::PagePool;
use xen_hal::PAGE_SIZE;
use xen_hal::fake::FakeHal;

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
        at += b.queue.forward(&mut pool, home(0), rest, 40);
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
        assert_eq!(b.queue.forward(&mut pool, home(0), all, 40), room.min(200));
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
