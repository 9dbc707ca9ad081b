//! The data path against backends that break the protocol.

use netfront_rs::{PeerFault, Queue, SendError, Wake};
use netif::Features;
use netif::fakes::Ring;
use netif::messages::{Extra, ExtraInfo, Gso, GsoKind, RSP_NULL, RxFlags, RxResponse, TxResponse};
use page_pool::{HomeId, PagePool};
use xen_hal::fake::FakeHal;

use crate::common::{NEAR_WRAP, Vif, assert_account, finish, packet, pool};

const MORE: RxFlags = RxFlags::MORE_DATA;
const EXTRA: RxFlags = RxFlags::EXTRA_INFO;

/// A response on the receive ring to the next request, as told.
fn answer(vif: &mut Vif, offset: u16, flags: RxFlags, status: i16) -> u16 {
    let request = vif.back.take_rx().expect("a posted page");
    vif.back.answer_rx(
        RxResponse {
            id: request.id,
            offset,
            flags,
            status,
        }
        .encode(),
    );
    request.id
}

/// An extra info on the receive ring, in place of the response to the next request.
fn answer_extra(vif: &mut Vif, words: [u32; 2]) {
    vif.back.take_rx().expect("a posted page");
    vif.back.answer_rx(words);
}

/// Lets `crime` happen on a vif that has received two good frames, sent one, and has more to
/// come, and returns what the next receive says. Whatever it was, the vif refuses to go on, can
/// be closed, and every page is accounted for.
fn receive_after(crime: impl FnOnce(&mut Vif, &mut PagePool<FakeHal>)) -> Result<usize, PeerFault> {
    let mut pool = pool();
    let mut vif = Vif::new(&mut pool, 0, 100, Features::all());
    let bystander = Vif::new(&mut pool, 1, 20, Features::all());
    for i in 0..2 {
        assert!(vif.back.deliver(&packet(60, i)));
    }
    vif.back.publish();
    let mut frames = vif.receive(&mut pool).into_iter();
    vif.queue.send(&mut pool, frames.next().unwrap().0).unwrap();
    vif.queue.publish();
    let kept = frames.next().unwrap().0;
    assert!(vif.back.deliver(&packet(60, 2)));
    crime(&mut vif, &mut pool);
    vif.back.publish();
    let (frames, outcome) = vif.try_receive(&mut pool);
    assert_account(&pool);
    for (frame, _) in frames {
        pool.free(frame);
    }
    if let Err(fault) = outcome {
        stays_broken(&mut vif.queue, &mut pool, fault);
    }
    // The frame that was received before is as good as ever.
    assert_eq!(pool.header(&kept)[..60], packet(60, 1));
    pool.free(kept);
    finish(pool, [vif, bystander], 0);
    outcome
}

/// Asserts that a broken queue does nothing and keeps nobody awake.
fn stays_broken(queue: &mut Queue<FakeHal>, pool: &mut PagePool<FakeHal>, fault: PeerFault) {
    assert_eq!(queue.fault(), Some(fault));
    assert_eq!(
        queue.receive(pool, 10, |_, _, _| panic!("a frame")),
        Err(fault)
    );
    assert_eq!(queue.reap(pool), Err(fault));
    assert_eq!((queue.refill(pool), queue.publish()), (0, 0));
    assert!(!queue.arm(Wake {
        rx: Some(1),
        tx: Some(1)
    }));
    assert!(!queue.rx_pending());
    if !pool.has_home(HomeId::LOCAL) {
        pool.add_home(HomeId::LOCAL, 4).unwrap();
    }
    for len in [60, 5000] {
        let frame = pool.alloc_frame(HomeId::LOCAL, &packet(len, 0)).unwrap();
        let unsent = queue.send(pool, frame).unwrap_err();
        assert_eq!(unsent.why, SendError::Closed);
        pool.free(unsent.frame);
    }
}

#[test]
fn wrong_ids() {
    for wrong in [1, 2, 99, 256, 0x7fff, 0xffff] {
        let outcome = receive_after(|vif, _| {
            let request = vif.back.take_rx().unwrap();
            let id = request.id.wrapping_add(wrong);
            let flags = RxFlags::empty();
            vif.back.answer_rx(
                RxResponse {
                    id,
                    offset: 0,
                    flags,
                    status: 60,
                }
                .encode(),
            );
        });
        assert!(
            matches!(outcome, Err(PeerFault::RxId { .. })),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_response_twice() {
    let outcome = receive_after(|vif, _| {
        let id = answer(vif, 0, RxFlags::empty(), 60);
        vif.back.take_rx().unwrap();
        let flags = RxFlags::empty();
        vif.back.answer_rx(
            RxResponse {
                id,
                offset: 0,
                flags,
                status: 60,
            }
            .encode(),
        );
    });
    assert!(
        matches!(outcome, Err(PeerFault::RxId { .. })),
        "{outcome:?}"
    );
}

#[test]
fn lengths_beyond_the_page() {
    for (offset, len) in [
        (0, 4097),
        (0, 32_767),
        (1, 4096),
        (4095, 2),
        (4096, 1),
        (4097, 1),
        (65_535, 1),
        (65_535, 32_767),
    ] {
        for flags in [RxFlags::empty(), RxFlags::CSUM_BLANK, MORE] {
            let outcome = receive_after(|vif, _| {
                answer(vif, offset, flags, len);
            });
            let len = len.cast_unsigned();
            assert_eq!(outcome, Err(PeerFault::RxBounds { offset, len }));
        }
    }
    for (offset, len) in [(0, 4096), (4095, 1), (1, 4095)] {
        let outcome = receive_after(|vif, _| {
            answer(vif, offset, RxFlags::empty(), len);
        });
        assert_eq!(outcome, Ok(2));
    }
}

#[test]
fn negative_statuses_are_errors_of_one_packet() {
    for status in [-1, -2, -3, i16::MIN] {
        for offset in [0, 100, 65_535] {
            let outcome = receive_after(|vif, _| {
                answer(vif, offset, RxFlags::empty(), status);
                assert!(vif.back.deliver(&packet(60, 4)));
            });
            assert_eq!(outcome, Ok(2), "the two around it");
        }
    }
}

#[test]
fn index_jumps() {
    for jump in [
        101,
        255,
        256,
        257,
        1 << 16,
        0x7fff_ffff,
        0x8000_0000,
        u32::MAX - 300,
    ] {
        let mut pool = pool();
        let mut vif = Vif::new(&mut pool, 0, 100, Features::all());
        vif.back.set_index(Ring::Rx, NEAR_WRAP.wrapping_add(jump));
        assert!(vif.queue.rx_pending());
        assert!(vif.queue.arm(Wake::default()), "the fault is to be found");
        let outcome = vif.try_receive(&mut pool).1;
        let Err(fault @ PeerFault::RxIndex(_)) = outcome else {
            panic!("{outcome:?}")
        };
        stays_broken(&mut vif.queue, &mut pool, fault);
        finish(pool, [vif], 0);

        let mut pool = common_pool_with_sent(2);
        pool.1
            .back
            .set_index(Ring::Tx, NEAR_WRAP.wrapping_add(jump));
        let outcome = pool.1.queue.reap(&mut pool.0);
        let Err(fault @ PeerFault::TxIndex(_)) = outcome else {
            panic!("{outcome:?}")
        };
        stays_broken(&mut pool.1.queue, &mut pool.0, fault);
        finish(pool.0, [pool.1], 0);
    }
}

#[test]
fn an_index_that_goes_back() {
    let outcome = receive_after(|vif, pool| {
        vif.back.publish();
        for (frame, _) in vif.receive(pool) {
            pool.free(frame);
        }
        // `publish` will not set it again if nothing is answered, so this stays.
        let back = vif.back.index(Ring::Rx).wrapping_sub(1);
        vif.back.set_index(Ring::Rx, back);
        assert!(matches!(
            vif.try_receive(pool).1,
            Err(PeerFault::RxIndex(_))
        ));
    });
    assert!(matches!(outcome, Err(PeerFault::RxIndex(_))), "{outcome:?}");
}

#[test]
fn a_chain_without_end() {
    let outcome = receive_after(|vif, _| {
        for _ in 0..30 {
            answer(vif, 0, MORE, 100);
        }
    });
    assert_eq!(outcome, Err(PeerFault::RxTooManySlots));
    // Even if it is just as long as a packet may be, but goes on.
    let outcome = receive_after(|vif, _| {
        for _ in 0..19 {
            answer(vif, 0, MORE, 100);
        }
    });
    assert_eq!(outcome, Err(PeerFault::RxTooManySlots));
    // One that stops in the middle is waited for, without a loop.
    let outcome = receive_after(|vif, pool| {
        for _ in 0..18 {
            answer(vif, 0, MORE, 100);
        }
        vif.back.publish();
        for (frame, _) in vif.receive(pool) {
            pool.free(frame);
        }
        for _ in 0..10 {
            assert!(!vif.queue.rx_pending());
            assert!(!vif.queue.arm(Wake::default()));
            assert_eq!(vif.try_receive(pool).1, Ok(0));
        }
    });
    assert_eq!(outcome, Ok(0));
}

#[test]
fn extra_without_extra() {
    // The response after is taken for the extra info: its type is the low byte of an id.
    let outcome = receive_after(|vif, _| {
        answer(vif, 0, EXTRA, 100);
        answer_extra(vif, [0, 60 << 16]);
    });
    assert_eq!(outcome, Err(PeerFault::RxExtra { kind: 0 }));
    // None at all: it is waited for.
    let outcome = receive_after(|vif, _| {
        answer(vif, 0, EXTRA, 100);
    });
    assert_eq!(outcome, Ok(1));
    // Not on the first fragment.
    let outcome = receive_after(|vif, _| {
        answer(vif, 0, MORE, 100);
        answer(vif, 0, EXTRA, 100);
        answer_extra(vif, [0x0101, 0]);
    });
    assert_eq!(outcome, Err(PeerFault::RxFlags(EXTRA.bits())));
    let outcome = receive_after(|vif, _| {
        answer(vif, 0, RxFlags::GSO_PREFIX, 100);
    });
    assert_eq!(outcome, Err(PeerFault::RxFlags(RxFlags::GSO_PREFIX.bits())));
}

#[test]
fn extras_without_end_or_sense() {
    let hash = Extra::Hash {
        kind: 0,
        algorithm: 0,
        value: 0,
    };
    let outcome = receive_after(|vif, _| {
        answer(vif, 0, EXTRA, 100);
        for _ in 0..20 {
            answer_extra(
                vif,
                ExtraInfo {
                    extra: hash,
                    more: true,
                }
                .encode(),
            );
        }
    });
    assert_eq!(outcome, Err(PeerFault::RxTooManySlots));
    for words in [[1, 1], [0x0005_0001, 0], [0x0005_0001, 3], [0x0000_0001, 1]] {
        let outcome = receive_after(|vif, _| {
            answer(vif, 0, EXTRA, 100);
            answer_extra(vif, words);
        });
        assert_eq!(outcome, Err(PeerFault::RxExtra { kind: 1 }));
    }
    let gso = Extra::Gso(Gso {
        kind: GsoKind::TcpV4,
        size: 1,
    });
    let outcome = receive_after(|vif, _| {
        answer(vif, 0, EXTRA | MORE, -1);
        answer_extra(
            vif,
            ExtraInfo {
                extra: gso,
                more: false,
            }
            .encode(),
        );
        answer(vif, 0, RxFlags::empty(), 10);
    });
    assert_eq!(outcome, Ok(1), "a failed packet, with all its slots");
}

#[test]
fn packets_longer_than_can_be() {
    let outcome = receive_after(|vif, _| {
        for i in 0..18 {
            answer(vif, 0, if i < 17 { MORE } else { RxFlags::empty() }, 4096);
        }
    });
    assert_eq!(outcome, Ok(1), "counted and dropped");
}

/// A pool with a vif that has sent this many frames, which its backend has not answered.
fn common_pool_with_sent(frames: usize) -> (PagePool<FakeHal>, Vif) {
    let mut pool = pool();
    let mut vif = Vif::new(&mut pool, 0, 32, Features::all());
    pool.add_home(HomeId::LOCAL, 40).unwrap();
    for i in 0..frames {
        let frame = pool
            .alloc_frame(HomeId::LOCAL, &packet(60, i as u8))
            .unwrap();
        vif.queue.send(&mut pool, frame).unwrap();
    }
    vif.queue.publish();
    (pool, vif)
}

/// Lets the backend answer three frames that were sent with these, and returns what the next
/// reap says.
fn reap_after(answers: impl FnOnce([u16; 3], u16) -> Vec<(u16, i16)>) -> Result<usize, PeerFault> {
    let (mut pool, mut vif) = common_pool_with_sent(3);
    let ids: Vec<u16> = (0..3)
        .map(|_| vif.back.take_sent().unwrap().ids[0])
        .collect();
    let posted = vif.back.take_rx().unwrap().id;
    for (id, status) in answers(ids.try_into().unwrap(), posted) {
        vif.back.answer_tx(TxResponse { id, status }.encode());
    }
    vif.back.publish();
    let outcome = vif.queue.reap(&mut pool);
    assert_account(&pool);
    if let Err(fault) = outcome {
        stays_broken(&mut vif.queue, &mut pool, fault);
    }
    finish(pool, [vif], 0);
    outcome
}

#[test]
fn transmit_responses_that_cannot_be() {
    assert_eq!(
        reap_after(|[a, b, c], _| vec![(c, 0), (a, -1), (b, -2)]),
        Ok(3)
    );
    assert_eq!(
        reap_after(|[a, ..], _| vec![(a, 0), (a, 0)]),
        Err(PeerFault::TxId(at(0)))
    );
    assert_eq!(
        reap_after(|[a, ..], _| vec![(a, -1), (a, -1)]),
        Err(PeerFault::TxId(at(0)))
    );
    assert_eq!(
        reap_after(|_, _| vec![(0xffff, 0)]),
        Err(PeerFault::TxId(0xffff))
    );
    assert_eq!(reap_after(|_, _| vec![(72, 0)]), Err(PeerFault::TxId(72)));
    let mut posted = 0;
    let outcome = reap_after(|_, id| {
        posted = id;
        vec![(id, 0)]
    });
    assert_eq!(
        outcome,
        Err(PeerFault::TxId(posted)),
        "a page of the receive ring"
    );
    assert_eq!(
        reap_after(|[a, ..], _| vec![(a, 2)]),
        Err(PeerFault::TxStatus(2))
    );
    assert_eq!(
        reap_after(|[a, ..], _| vec![(a, i16::MAX)]),
        Err(PeerFault::TxStatus(i16::MAX))
    );
    assert_eq!(
        reap_after(|[a, ..], _| vec![(a, RSP_NULL)]),
        Err(PeerFault::TxNull)
    );
    let four = |[a, b, c]: [u16; 3], _| vec![(a, 0), (b, 0), (c, 0), (c, 0)];
    assert!(matches!(reap_after(four), Err(PeerFault::TxIndex(_))));
}

/// The page of the first local frame: free lists are last in, first out.
fn at(frame: usize) -> u16 {
    let mut id = 0;
    let _ = reap_after(|ids, _| {
        id = ids[frame];
        Vec::new()
    });
    id
}

#[test]
fn one_vif_cannot_answer_for_another() {
    let (mut pool, mut vif) = common_pool_with_sent(2);
    let mut other = Vif::new(&mut pool, 1, 8, Features::all());
    let frame = pool.alloc_frame(HomeId::LOCAL, &packet(60, 0)).unwrap();
    other.queue.send(&mut pool, frame).unwrap();
    other.queue.publish();
    let id = other.back.take_sent().unwrap().ids[0];
    vif.back.answer_tx(TxResponse { id, status: 0 }.encode());
    vif.back.publish();
    assert_eq!(vif.queue.reap(&mut pool), Err(PeerFault::TxId(id)));
    // The other one is none the worse for it.
    other.back.answer_tx(TxResponse { id, status: 0 }.encode());
    other.back.publish();
    assert_eq!(other.queue.reap(&mut pool), Ok(1));
    finish(pool, [vif, other], 0);
}

/// A double fetch: what was checked is read a second time.
#[test]
fn xsa_155_bytes_that_change_after_they_were_read() {
    let mut pool = pool();
    let mut vif = Vif::new(&mut pool, 0, 32, Features::all());
    let request = vif.back.take_rx().unwrap();
    let page = vif.back.page(request.gref).unwrap();
    page.get_mut().write(0, &packet(60, 1));
    vif.back.answer_rx([u32::from(request.id), 60 << 16]);
    vif.back.publish();
    let (mut frame, header) = vif.receive(&mut pool).remove(0);
    page.get_mut().write(0, &[0xff; 60]);
    assert_eq!(header[..60], packet(60, 1));
    // What was checked is what goes out, as far as it is written back.
    pool.write_header(&mut frame, &header, 40);
    assert_eq!(pool.header(&frame)[..40], packet(40, 1));
    pool.free(frame);
    finish(pool, [vif], 0);
}

#[test]
fn the_ring_page_full_of_anything() {
    for pattern in [
        0,
        0x0101_0101,
        0xffff_ffff,
        0x0c0c_0c0c,
        0x8000_0000,
        0x0000_ffff,
    ] {
        let (mut pool, mut vif) = common_pool_with_sent(5);
        for ring in [Ring::Rx, Ring::Tx] {
            for word in 16..1024 {
                vif.back.poke(ring, word, pattern);
            }
        }
        vif.back.set_index(Ring::Rx, NEAR_WRAP.wrapping_add(32));
        vif.back.set_index(Ring::Tx, NEAR_WRAP.wrapping_add(5));
        for _ in 0..3 {
            for (frame, _) in vif.try_receive(&mut pool).0 {
                pool.free(frame);
            }
            let _ = vif.queue.reap(&mut pool);
            vif.queue.refill(&mut pool);
            vif.queue.publish();
            assert_account(&pool);
        }
        finish(pool, [vif], 0);
    }
}
