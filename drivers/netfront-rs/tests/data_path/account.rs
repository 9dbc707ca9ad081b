//! Whatever happens between honest backends, every page is accounted for.

use crate::common::{Vif, assert_account, finish, home, packet, pool};
use netfront_rs::SendError;
use netif::Features;
use netif::fakes::Delivery;
use netif::messages::MAX_SLOTS;
use page_pool::HomeId;
use proptest::prelude::*;

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
