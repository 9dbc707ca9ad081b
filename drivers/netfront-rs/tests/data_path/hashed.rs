//! Packets with a hash behind them.

use netfront_rs::{Budget, PeerFault};
use netif::Features;
use netif::fakes::Delivery;
use netif::messages::{Extra, ExtraInfo, Gso, GsoKind, RxFlags, RxResponse};
use proptest::prelude::*;

use super::common::*;

const HASH: Extra = Extra::Hash {
    kind: 1,
    algorithm: 1,
    value: 0x1234_5678,
};

fn hashed(flags: RxFlags) -> Delivery {
    Delivery {
        flags,
        extras: vec![HASH],
        ..Delivery::default()
    }
}

#[test]
fn a_backend_that_hashes_is_noticed_and_forgotten() {
    let mut pool = pool();
    let mut vif = Vif::new(&mut pool, 0, 64, Features::all());
    for round in 0..40u8 {
        // Every fifth time there is none with a hash.
        let hashes = round % 5 != 4;
        for i in 0..3u8 {
            let how = if hashes {
                hashed(RxFlags::empty())
            } else {
                Delivery::default()
            };
            assert!(
                vif.back
                    .deliver_as(&packet(60 + usize::from(i), round), &how)
            );
        }
        vif.back.publish();
        let frames = vif.receive(&mut pool);
        assert_eq!(frames.len(), 3);
        for (i, (frame, header)) in frames.into_iter().enumerate() {
            assert_eq!((frame.slots(), frame.is_gso()), (1, false));
            assert_eq!(bytes(&pool, &frame), packet(60 + i, round));
            assert_eq!(header[..60], packet(60, round));
            pool.free(frame);
        }
        assert_eq!(vif.queue.sends_hashes(), hashes);
        assert_account(&pool);
        vif.queue.refill(&mut pool);
        vif.queue.publish();
    }
    assert_eq!(vif.queue.counters().rx_frames, 120);
    finish(pool, [vif], 0);
}

#[test]
fn checksum_state_comes_along() {
    let mut pool = pool();
    let mut vif = Vif::new(&mut pool, 0, 64, Features::all());
    let kinds = [
        RxFlags::empty(),
        RxFlags::DATA_VALIDATED,
        RxFlags::CSUM_BLANK,
    ];
    // The first of all goes the slow way.
    for flags in kinds.into_iter().chain(kinds) {
        assert!(vif.back.deliver_as(&packet(100, 1), &hashed(flags)));
    }
    vif.back.publish();
    let frames = vif.receive(&mut pool);
    let found: Vec<_> = frames.iter().map(|(frame, _)| frame.checksum()).collect();
    assert_eq!(found[..3], found[3..]);
    frames.into_iter().for_each(|(frame, _)| pool.free(frame));
    finish(pool, [vif], 0);
}

/// What follows a packet with a hash, on a queue that knows of hashes.
fn after_a_hash(answer: impl FnOnce(&mut Vif)) -> Result<usize, PeerFault> {
    let mut pool = pool();
    let mut vif = Vif::new(&mut pool, 0, 64, Features::all());
    for _ in 0..2 {
        assert!(
            vif.back
                .deliver_as(&packet(60, 1), &hashed(RxFlags::empty()))
        );
        vif.back.publish();
        vif.receive(&mut pool)
            .into_iter()
            .for_each(|(frame, _)| pool.free(frame));
    }
    assert!(vif.queue.sends_hashes());
    answer(&mut vif);
    vif.back.publish();
    let (frames, outcome) = vif.try_receive(&mut pool);
    frames.into_iter().for_each(|(frame, _)| pool.free(frame));
    assert_account(&pool);
    finish(pool, [vif], 0);
    outcome
}

fn answer(vif: &mut Vif, id: Option<u16>, flags: RxFlags, status: i16) {
    let request = vif.back.take_rx().expect("a request");
    let id = id.unwrap_or(request.id);
    let response = RxResponse {
        id,
        offset: 0,
        flags,
        status,
    };
    vif.back.answer_rx(response.encode());
}

fn answer_extra(vif: &mut Vif, words: [u32; 2]) {
    let _ = vif.back.take_rx();
    vif.back.answer_rx(words);
}

#[test]
fn what_a_hostile_backend_sends_instead() {
    const EXTRA: RxFlags = RxFlags::EXTRA_INFO;
    let hash = |more| ExtraInfo { extra: HASH, more }.encode();
    // As it should be, twice.
    let outcome = after_a_hash(|vif| {
        for _ in 0..2 {
            answer(vif, None, EXTRA, 100);
            answer_extra(vif, hash(false));
        }
    });
    assert_eq!(outcome, Ok(2));
    // Empty, failed, longer than a page.
    for status in [0, -1] {
        let outcome = after_a_hash(|vif| {
            answer(vif, None, EXTRA, status);
            answer_extra(vif, hash(false));
        });
        assert_eq!(outcome, Ok(0), "{status}");
    }
    let outcome = after_a_hash(|vif| {
        answer(vif, None, EXTRA, 4097);
        answer_extra(vif, hash(false));
    });
    assert_eq!(
        outcome,
        Err(PeerFault::RxBounds {
            offset: 0,
            len: 4097
        })
    );
    // Another packet's page.
    let outcome = after_a_hash(|vif| {
        answer(vif, Some(77), EXTRA, 100);
        answer_extra(vif, hash(false));
    });
    assert!(
        matches!(outcome, Err(PeerFault::RxId { id: 77, .. })),
        "{outcome:?}"
    );
    // A hash that isn't there yet, and one without end.
    let outcome = after_a_hash(|vif| answer(vif, None, EXTRA, 100));
    assert_eq!(outcome, Ok(0));
    let outcome = after_a_hash(|vif| {
        answer(vif, None, EXTRA, 100);
        (0..20).for_each(|_| answer_extra(vif, hash(true)));
    });
    assert_eq!(outcome, Err(PeerFault::RxTooManySlots));
    // No hash at all.
    let outcome = after_a_hash(|vif| {
        answer(vif, None, EXTRA, 100);
        answer_extra(vif, [0, 0]);
    });
    assert_eq!(outcome, Err(PeerFault::RxExtra { kind: 0 }));
}

/// A shape that a packet can have.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Plain,
    Hashed,
    HashedParts,
    HashedLarge,
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        2 => Just(Shape::Plain),
        5 => Just(Shape::Hashed),
        1 => Just(Shape::HashedParts),
        1 => Just(Shape::HashedLarge),
    ]
}

proptest! {
    /// Whatever comes between them, packets arrive once, whole and in order, however many are
    /// taken at a time, and every page is somewhere.
    #[test]
    fn every_mixture_arrives(
        turns in prop::collection::vec((prop::collection::vec(shape(), 0..12), 1usize..8, 1usize..40), 1..30),
    ) {
        let mut pool = pool();
        let mut vif = Vif::new(&mut pool, 0, 256, Features::all());
        let (mut sent, mut got) = (0u8, 0u8);
        for (shapes, frames, slots) in turns {
            for shape in shapes {
                let gso = Gso { kind: GsoKind::TcpV4, size: 1000 };
                let how = match shape {
                    Shape::Plain => Delivery::default(),
                    Shape::Hashed => hashed(RxFlags::empty()),
                    Shape::HashedParts => Delivery { fragment: 50, ..hashed(RxFlags::empty()) },
                    Shape::HashedLarge => Delivery {
                        extras: vec![HASH, Extra::Gso(gso)],
                        ..Delivery::default()
                    },
                };
                if vif.back.deliver_as(&packet(120, sent), &how) {
                    sent = sent.wrapping_add(1);
                }
            }
            vif.back.publish();
            let budget = Budget { frames, slots, large: 1 };
            let mut received = Vec::new();
            let outcome = if vif.queue.sends_hashes() {
                vif.queue.receive_hashed(&mut pool, budget, |frame, _, _| received.push(frame))
            } else {
                vif.queue.receive(&mut pool, budget, |frame, _, _| received.push(frame))
            };
            prop_assert_eq!(outcome, Ok(received.len()));
            prop_assert!(received.len() <= frames);
            prop_assert!(received.iter().map(|frame| frame.tx_slots()).sum::<usize>() <= slots);
            for frame in received {
                prop_assert_eq!(bytes(&pool, &frame), packet(120, got));
                got = got.wrapping_add(1);
                pool.free(frame);
            }
            assert_account(&pool);
            vif.queue.refill(&mut pool);
            vif.queue.publish();
        }
        finish(pool, [vif], 0);
    }
}
