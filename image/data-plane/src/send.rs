//! Sending: what the fast path forwards, what the router makes, and what has to be done to a frame
//! for a backend that doesn't take it as it is.

use crate::egress::{Cut, Refused};
use netfront_rs::netif::Checksum;

use super::*;

/// A large frame of which segments wait, and all that comes after it with them.
pub(super) struct Cutting {
    pub(super) cut: Cut,
    pub(super) way: Way,
    /// When a segment was last sent.
    pub(super) progress: u64,
}

/// Where frames come from, and how they leave.
#[derive(Clone, Copy)]
pub(super) struct Way {
    /// Index of their pool.
    pub(super) from: usize,
    /// The interface that they leave by, and the tags they get there.
    pub(super) out: InterfaceId,
    pub(super) tags: Tags,
    pub(super) now: u64,
}

/// Calls `f` with pool `at`, and pool `other` if that is another.
pub(super) fn with_pools<H: Hal, T: Default>(
    pools: &mut [Option<PagePool<H>>],
    at: usize,
    other: Option<usize>,
    f: impl FnOnce(&mut PagePool<H>, Option<&mut PagePool<H>>) -> T,
) -> T {
    match other {
        None => match pools.get_mut(at) {
            Some(Some(pool)) => f(pool, None),
            _ => T::default(),
        },
        Some(other) => match pools.get_disjoint_mut([at, other]) {
            Ok([Some(pool), other]) => f(pool, other.as_mut()),
            _ => T::default(),
        },
    }
}

/// Frames that found no room.
#[derive(Default)]
pub(super) struct Lost {
    pub(super) frames: u64,
    pub(super) bytes: u64,
}

impl Lost {
    fn of(len: usize) -> Self {
        Self {
            frames: 1,
            bytes: len as u64,
        }
    }

    fn add(&mut self, len: usize) {
        self.join(Self::of(len));
    }

    fn join(&mut self, other: Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
    }
}

/// Hands a frame to the router's slow path, which takes no large ones: those come to it as the
/// segments that they would have been.
pub(super) fn punt<H: Hal>(
    lane: &mut Lane,
    router: &Router,
    input: InterfaceId,
    meta: FrameMeta,
    pool: &PagePool<H>,
    frame: &Frame,
) {
    let cut = frame.is_gso()
        && egress::each_segment(pool, frame, |len, write| {
            let flags = FrameFlags::DATA_VALIDATED;
            let meta = FrameMeta {
                flags,
                ..FrameMeta::plain(len)
            };
            lane.punt(router, input, meta, |bytes| write(bytes));
        });
    if !cut {
        lane.punt(router, input, meta, |bytes| {
            pool.copy_out(frame, 0, bytes);
        });
    }
}

/// Writes new headers into frames, and sends them on one link:
/// as they are if its backend is the same and takes them so, else as copies in pages that only
/// the other backend sees. They were just received into pages of `home`.
#[inline(never)]
pub(super) fn forward_run<H: Hal>(
    link: Option<&mut Link<H>>,
    pools: &mut [Option<PagePool<H>>],
    way: &Way,
    home: HomeId,
    headers: &[Header],
    frames: &mut [Frame],
) -> Lost {
    let from = way.from;
    let mut lost = Lost::default();
    let to = link.as_ref().map(|link| link.pool);
    let (source, target) = match to {
        Some(to) if to != from => match pools.get_disjoint_mut([from, to]) {
            Ok([source, target]) => (source.as_mut(), target.as_mut()),
            Err(_) => return lost,
        },
        _ => (pools.get_mut(from).and_then(Option::as_mut), None),
    };
    let Some(source) = source else { return lost };
    match (link, target) {
        (Some(link), None) if !way.tags.is_empty() => {
            for (frame, header) in frames.iter_mut().zip(headers) {
                let frame = take(frame);
                lost.join(forward_tagged(link, source, way, frame, &header.0));
            }
        }
        (Some(link), None) => {
            let Link { queue, cutting, .. } = link;
            let mut at = 0;
            while at < frames.len() {
                if source.may_lend_from(home) {
                    at += forward_plain(queue, source, &mut frames[at..], &headers[at..]);
                }
                let (Some(frame), Some(header)) = (frames.get_mut(at), headers.get(at)) else {
                    break;
                };
                let frame = take(frame);
                lost.join(forward_one(queue, cutting, source, way, frame, &header.0));
                at += 1;
            }
        }
        (Some(link), Some(target)) => {
            for (frame, header) in frames.iter_mut().zip(headers) {
                let mut frame = take(frame);
                source.write_header(&mut frame, &header.0, REWRITTEN);
                let tags = way.tags.as_bytes();
                match egress::send_copy(&mut link.queue, target, source, &frame, tags) {
                    Ok(()) => source.free(frame),
                    Err(Refused::Lost) => {
                        lost.add(frame.len());
                        source.free(frame);
                    }
                    Err(Refused::ToCut) => {
                        let Link { queue, cutting, .. } = &mut *link;
                        lost.join(cut(queue, cutting, target, Some(source), way, frame));
                    }
                }
            }
        }
        _ => {
            for frame in frames {
                lost.add(frame.len());
                source.free(take(frame));
            }
        }
    }
    lost
}

/// Sends the plain frames that `frames` begins with, as far as there is room. Apart from all
/// else, so that all of its values are in registers. Returns how many.
#[inline(never)]
fn forward_plain<H: Hal>(
    queue: &mut Queue<H>,
    pool: &mut PagePool<H>,
    frames: &mut [Frame],
    headers: &[Header],
) -> usize {
    let headers = headers.iter().map(|header| &header.0);
    queue.forward(pool, frames.iter_mut().zip(headers), REWRITTEN)
}

/// Writes the new header into a frame of the queue's own pool, does for it what
/// the backend can't, and sends it.
#[inline(never)]
fn forward_one<H: Hal>(
    queue: &mut Queue<H>,
    cutting: &mut Option<Cutting>,
    pool: &mut PagePool<H>,
    way: &Way,
    mut frame: Frame,
    header: &netfront_rs::Header,
) -> Lost {
    let len = frame.len();
    let sent = if pool.may_lend(&frame) {
        pool.write_header(&mut frame, header, REWRITTEN);
        queue
            .send(pool, frame)
            .or_else(|unsent| egress::resend(queue, pool, unsent))
    } else {
        // Its page would be missed on the ring it was received on.
        Err((frame, Refused::Lost))
    };
    conclude(queue, cutting, pool, way, len, sent)
}

/// The same for a frame that gets tags.
fn forward_tagged<H: Hal>(
    link: &mut Link<H>,
    pool: &mut PagePool<H>,
    way: &Way,
    mut frame: Frame,
    header: &netfront_rs::Header,
) -> Lost {
    let Link { queue, cutting, .. } = link;
    let len = frame.len();
    let sent = if pool.may_lend(&frame) {
        pool.write_header(&mut frame, header, REWRITTEN);
        egress::send_tagged(queue, pool, frame, way.tags.as_bytes())
    } else {
        Err((frame, Refused::Lost))
    };
    conclude(queue, cutting, pool, way, len, sent)
}

/// Cuts or frees a frame of the queue's own pool, of `len` bytes, if it could not be sent.
#[inline(always)]
fn conclude<H: Hal>(
    queue: &mut Queue<H>,
    cutting: &mut Option<Cutting>,
    pool: &mut PagePool<H>,
    way: &Way,
    len: usize,
    sent: Result<(), (Frame, Refused)>,
) -> Lost {
    match sent {
        Ok(()) => Lost::default(),
        Err((frame, Refused::ToCut)) => cut(queue, cutting, pool, None, way, frame),
        Err((frame, Refused::Lost)) => {
            pool.free(frame);
            Lost::of(len)
        }
    }
}

/// Begins to cut a large frame for a queue whose pool is `pool`. The frame's pool is `source` if
/// that is another.
#[cold]
fn cut<H: Hal>(
    queue: &mut Queue<H>,
    cutting: &mut Option<Cutting>,
    pool: &mut PagePool<H>,
    mut source: Option<&mut PagePool<H>>,
    way: &Way,
    frame: Frame,
) -> Lost {
    let len = frame.len();
    let cut = if cutting.is_none() {
        let tags = way.tags.as_bytes();
        Cut::new(source.as_deref().unwrap_or(pool), frame, tags)
    } else {
        Err(frame)
    };
    match cut {
        Ok(cut) => {
            *cutting = Some(Cutting {
                cut,
                way: *way,
                progress: way.now,
            });
            go_on_cutting(queue, cutting, pool, source, way.now)
        }
        Err(frame) => {
            source.take().unwrap_or(pool).free(frame);
            Lost::of(len)
        }
    }
}

/// Sends segments of the frame that a link cuts, as many as can be. They wait no longer than
/// frames on a ring do.
pub(super) fn go_on_cutting<H: Hal>(
    queue: &mut Queue<H>,
    cutting: &mut Option<Cutting>,
    pool: &mut PagePool<H>,
    source: Option<&mut PagePool<H>>,
    now: u64,
) -> Lost {
    let Some(this) = cutting else {
        return Lost::default();
    };
    if this.cut.send(queue, pool, source.as_deref()) > 0 {
        this.progress = now;
    }
    let done = this.cut.is_done();
    if (done || now.saturating_sub(this.progress) > STUCK)
        && let Some(Cutting { cut, .. }) = cutting.take()
    {
        let left = cut.left();
        source.unwrap_or(pool).free(cut.into_frame());
        if !done {
            return Lost::of(left);
        }
    }
    Lost::default()
}

/// The way out for frames that the router makes.
pub(super) struct Outgoing<'a, H: Hal> {
    pub(super) ports: &'a [(InterfaceId, Tags)],
    pub(super) links: &'a mut [Option<Link<H>>],
    pub(super) pools: &'a mut [Option<PagePool<H>>],
}

impl<H: Hal> Egress for Outgoing<'_, H> {
    fn send(&mut self, out: InterfaceId, bytes: &[u8], meta: FrameMeta) -> Result<(), NoRoom> {
        let &(vif, tags) = self.ports.get(out.index()).ok_or(NoRoom)?;
        let link = self
            .links
            .get_mut(vif.index())
            .and_then(Option::as_mut)
            .ok_or(NoRoom)?;
        let pool = self
            .pools
            .get_mut(link.pool)
            .and_then(Option::as_mut)
            .ok_or(NoRoom)?;
        if !link.up || link.unanswered >= LOCAL_PAGES_PER_VIF {
            return Err(NoRoom);
        }
        let mut frame = pool.alloc_frame(HomeId::LOCAL, bytes).ok_or(NoRoom)?;
        frame.set_checksum(Checksum::from_bits_truncate(meta.flags.bits()));
        match egress::send_tagged(&mut link.queue, pool, frame, tags.as_bytes()) {
            Ok(()) => {
                link.unanswered += 1;
                Ok(())
            }
            Err((frame, _)) => {
                pool.free(frame);
                Err(NoRoom)
            }
        }
    }
}
