//! Frames that can't be sent come back, with the reason.

use crate::common::{Vif, finish, home, packet, pool};
use netfront_rs::SendError;
use netif::Features;
use netif::fakes::Delivery;
use netif::messages::{Checksum, Extra, Gso, GsoKind, RxFlags};
use page_pool::{Frame, HomeId};

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
fn no_frame_is_never_sent() {
    let mut pool = pool();
    let mut a = Vif::new(&mut pool, 0, 64, Features::all());
    let mut none = [Frame::default()];
    let all = none.iter_mut().map(|frame| (frame, &[0; 64]));
    assert_eq!(a.queue.forward(&mut pool, home(0), all, 40), 0);
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
    assert_eq!(a.queue.forward(&mut pool, home(0), all, 40), 0);
    let unsent = a.queue.send(&mut pool, Frame::default());
    assert_eq!(unsent.map_err(|unsent| unsent.why), Err(SendError::Closed));
    pool.free(Frame::default());
    finish(pool, [a], 0);
}
