//! A backend driven by the input: mostly honest, at any point not.
//!
//! Runs a fixed number of inputs under `cargo test`; `cargo bolero test backend` fuzzes it.

use bolero::{TypeGenerator, check};
use netfront_rs::{Queue, Wake};
use netif::Features;
use netif::fakes::{Backend, Delivery, Ring};
use netif::messages::RxFlags;
use page_pool::{Frame, HomeId, PagePool};
use xen_hal::DomId;
use xen_hal::fake::FakeHal;

#[derive(Clone, Debug, TypeGenerator)]
enum Step {
    // The backend.
    Deliver {
        len: u16,
        fragment: u16,
        flags: u8,
    },
    AnswerRx {
        flags: u8,
        offset: u16,
        status: i16,
        honest_id: bool,
    },
    ExtraRx {
        kind: u8,
        more: bool,
        word: u32,
    },
    RawRx {
        words: [u32; 2],
    },
    Transmit,
    /// The ids are off by the bits of `id`.
    AnswerTx {
        id: u8,
        status: i8,
    },
    RawTx {
        word: u32,
    },
    Poke {
        tx: bool,
        word: u16,
        value: u32,
    },
    Index {
        tx: bool,
        delta: i16,
    },
    Publish,
    // The frontend.
    Receive {
        budget: u8,
        keep: bool,
    },
    Forward,
    Local {
        len: u16,
    },
    Reap,
    Refill,
    FrontPublish,
    Arm {
        rx: u8,
        tx: Option<u8>,
    },
}

struct World {
    pool: PagePool<FakeHal>,
    queue: Queue<FakeHal>,
    back: Backend,
    held: Vec<Frame>,
    /// The frontend's requests can't be understood once the backend has written over them.
    scribbled: bool,
}

fn step(world: &mut World, step: &Step) {
    let World {
        pool,
        queue,
        back,
        held,
        scribbled,
    } = world;
    match *step {
        Step::Deliver {
            len,
            fragment,
            flags,
        } if !*scribbled => {
            let flags = RxFlags::from_bits_retain(u16::from(flags) & 3);
            let fragment = usize::from(fragment % 4096) + 1;
            let how = Delivery {
                fragment,
                flags,
                ..Delivery::default()
            };
            back.deliver_as(&vec![7; usize::from(len)], &how);
        }
        Step::AnswerRx {
            flags,
            offset,
            status,
            honest_id,
        } if !*scribbled => {
            if let Some(request) = back.take_rx() {
                let id = if honest_id {
                    request.id
                } else {
                    request.id ^ 1
                };
                let status = u32::from(status.cast_unsigned());
                let offset = u32::from(offset % 5000);
                back.answer_rx([
                    u32::from(id) | offset << 16,
                    u32::from(flags) | status << 16,
                ]);
            }
        }
        Step::ExtraRx { kind, more, word } => {
            if !*scribbled {
                *scribbled |= back.take_rx().is_none();
            }
            back.answer_rx([u32::from(kind) | u32::from(more) << 8, word]);
        }
        Step::RawRx { words } => {
            *scribbled = true;
            back.answer_rx(words);
        }
        Step::Transmit if !*scribbled => {
            back.transmit();
        }
        Step::AnswerTx { id, status } if !*scribbled => {
            if let Some(sent) = back.take_sent() {
                let status = u32::from(i16::from(status).cast_unsigned());
                for right in &sent.ids {
                    back.answer_tx([u32::from(*right ^ u16::from(id)) | status << 16]);
                }
                if sent.gso.is_some() {
                    back.answer_tx([1 << 16]);
                }
            }
        }
        Step::RawTx { word } => {
            *scribbled = true;
            back.answer_tx([word]);
        }
        Step::Poke { tx, word, value } => {
            *scribbled = true;
            back.poke(if tx { Ring::Tx } else { Ring::Rx }, word.into(), value);
        }
        Step::Index { tx, delta } => {
            let ring = if tx { Ring::Tx } else { Ring::Rx };
            back.set_index(ring, back.index(ring).wrapping_add_signed(delta.into()));
        }
        Step::Publish => back.publish(),
        Step::Receive { budget, keep } => {
            let before = held.len();
            let _ = queue.receive(pool, usize::from(budget), |frame, _, _| held.push(frame));
            if !keep {
                for frame in held.drain(before..) {
                    pool.free(frame);
                }
            }
        }
        Step::Forward => {
            if let Some(mut frame) = held.pop() {
                let header = pool.header(&frame);
                let len = frame.len().min(40);
                pool.write_header(&mut frame, &header, len);
                if let Err(unsent) = queue.send(pool, frame) {
                    held.push(unsent.frame);
                }
            }
        }
        Step::Local { len } => {
            if let Some(frame) = pool.alloc_frame(HomeId::LOCAL, &vec![1; usize::from(len)])
                && let Err(unsent) = queue.send(pool, frame)
            {
                pool.free(unsent.frame);
            }
        }
        Step::Reap => {
            let _ = queue.reap(pool);
        }
        Step::Refill => {
            queue.refill(pool);
        }
        Step::FrontPublish => {
            queue.publish();
        }
        Step::Arm { rx, tx } => {
            let ready = queue.arm(Wake {
                rx: Some(rx.into()),
                tx: tx.map(u32::from),
            });
            assert!(
                !(ready && queue.fault().is_some()),
                "a broken queue keeps us awake"
            );
        }
        Step::Deliver { .. } | Step::AnswerRx { .. } | Step::AnswerTx { .. } | Step::Transmit => {}
    }
}

/// Whatever a backend does: no panic, no page lost, and everything is given back at the end.
#[test]
fn backend() {
    check!()
        .with_iterations(3000)
        .with_type::<(u32, Vec<Step>)>()
        .for_each(|(start, steps)| {
            let hal = FakeHal::new();
            let peer = DomId(1);
            let mut pool = PagePool::new(hal, peer);
            let vif = HomeId::vif(0).unwrap();
            pool.add_home(vif, 40).unwrap();
            pool.add_home(HomeId::LOCAL, 10).unwrap();
            let made = Queue::starting_at(&mut pool, vif, Features::all(), *start);
            let (mut queue, info) = made.unwrap();
            queue.refill(&mut pool);
            queue.publish();
            let back = Backend::connect(hal, peer, info);
            let mut world = World {
                pool,
                queue,
                back,
                held: Vec::new(),
                scribbled: false,
            };
            for it in steps {
                step(&mut world, it);
                let stats = world.pool.stats();
                assert_eq!(stats.sum().total(), stats.total, "after {it:?}");
                let held: usize = world.held.iter().map(Frame::slots).sum();
                assert_eq!(stats.sum().held, held, "after {it:?}");
            }
            let World {
                mut pool,
                queue,
                held,
                ..
            } = world;
            assert_eq!(queue.close(&mut pool), 0);
            for frame in held {
                pool.free(frame);
            }
            let stats = pool.stats();
            assert_eq!(stats.sum().free, stats.total);
            assert_eq!(pool.close().leaked, 0);
            assert_eq!((hal.pages(), hal.grants(), hal.ports()), (0, 0, 0));
        });
}
