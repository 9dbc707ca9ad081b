//! What becomes of the frames of a burst: those that are forwarded leave by another vif, punted
//! ones go to the router's slow path.

use core::mem::take;

use netfront_rs::Queue;
use page_pool::{Frame, HomeId, PagePool};
use router::{FrameFlags, FrameMeta, Header, InterfaceId, Lane, REWRITTEN, Tables};
use xen_hal::Hal;

use crate::egress::{self, Refused};
use crate::segmentation::{PendingSegments, begin_segmentation};
use crate::tx::{TxDrops, TxPath};
use crate::vif::Vif;

/// Hands a frame to the router's slow path, which takes no large ones: those come to it as the
/// segments that they would have been.
pub(crate) fn punt<H: Hal>(
    lane: &mut Lane,
    tables: &Tables,
    input: InterfaceId,
    meta: FrameMeta,
    pool: &PagePool<H>,
    frame: &Frame,
) {
    let segmented = frame.is_gso()
        && egress::each_segment(pool, frame, |len, write| {
            let flags = FrameFlags::DATA_VALIDATED;
            let meta = FrameMeta {
                flags,
                ..FrameMeta::plain(len)
            };
            lane.punt(tables, input, meta, |bytes| write(bytes));
        });
    if !segmented {
        lane.punt(tables, input, meta, |bytes| {
            pool.copy_out(frame, 0, bytes);
        });
    }
}

/// Writes new headers into frames, and sends them on one vif:
/// as they are if its backend is the same and takes them so, else as copies in pages that only
/// the other backend sees. They were just received into pages of `home`.
#[inline(never)]
pub(crate) fn forward_run<H: Hal>(
    vif: Option<&mut Vif<H>>,
    pools: &mut [Option<PagePool<H>>],
    path: &TxPath,
    home: HomeId,
    headers: &[Header],
    frames: &mut [Frame],
) -> TxDrops {
    let from = path.from;
    let mut lost = TxDrops::default();
    let to = vif.as_ref().map(|vif| vif.pool);
    let (source, target) = match to {
        Some(to) if to != from => match pools.get_disjoint_mut([from, to]) {
            Ok([source, target]) => (source.as_mut(), target.as_mut()),
            Err(_) => return lost,
        },
        _ => (pools.get_mut(from).and_then(Option::as_mut), None),
    };
    let Some(source) = source else { return lost };
    match (vif, target) {
        (Some(vif), None) if !path.tags.is_empty() => {
            for (frame, header) in frames.iter_mut().zip(headers) {
                let frame = take(frame);
                lost.join(forward_tagged(vif, source, path, frame, &header.0));
            }
        }
        (Some(vif), None) => {
            let Vif { queue, pending, .. } = vif;
            let mut at = 0;
            while at < frames.len() {
                if source.may_lend_from(home) {
                    at += forward_plain(queue, source, &mut frames[at..], &headers[at..]);
                }
                let (Some(frame), Some(header)) = (frames.get_mut(at), headers.get(at)) else {
                    break;
                };
                let frame = take(frame);
                lost.join(forward_one(queue, pending, source, path, frame, &header.0));
                at += 1;
            }
        }
        (Some(vif), Some(target)) => {
            for (frame, header) in frames.iter_mut().zip(headers) {
                let mut frame = take(frame);
                source.write_header(&mut frame, &header.0, REWRITTEN);
                let tags = path.tags.as_bytes();
                match egress::send_copy(&mut vif.queue, target, source, &frame, tags) {
                    Ok(()) => source.free(frame),
                    Err(Refused::Dropped) => {
                        lost.add(frame.len());
                        source.free(frame);
                    }
                    Err(Refused::NeedsSegmentation) => {
                        let Vif { queue, pending, .. } = &mut *vif;
                        lost.join(begin_segmentation(
                            queue,
                            pending,
                            target,
                            Some(source),
                            path,
                            frame,
                        ));
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
    pending: &mut Option<PendingSegments>,
    pool: &mut PagePool<H>,
    path: &TxPath,
    mut frame: Frame,
    header: &page_pool::FrameHeader,
) -> TxDrops {
    let len = frame.len();
    let sent = if pool.may_lend(&frame) {
        pool.write_header(&mut frame, header, REWRITTEN);
        queue
            .send(pool, frame)
            .or_else(|unsent| egress::resend(queue, pool, unsent))
    } else {
        // Its page would be missed on the ring it was received on.
        Err((frame, Refused::Dropped))
    };
    finish_send(queue, pending, pool, path, len, sent)
}

/// The same for a frame that gets tags.
fn forward_tagged<H: Hal>(
    vif: &mut Vif<H>,
    pool: &mut PagePool<H>,
    path: &TxPath,
    mut frame: Frame,
    header: &page_pool::FrameHeader,
) -> TxDrops {
    let Vif { queue, pending, .. } = vif;
    let len = frame.len();
    let sent = if pool.may_lend(&frame) {
        pool.write_header(&mut frame, header, REWRITTEN);
        egress::send_tagged(queue, pool, frame, path.tags.as_bytes())
    } else {
        Err((frame, Refused::Dropped))
    };
    finish_send(queue, pending, pool, path, len, sent)
}

/// Segments or frees a frame of the queue's own pool, of `len` bytes, if it could not be sent.
#[inline(always)]
fn finish_send<H: Hal>(
    queue: &mut Queue<H>,
    pending: &mut Option<PendingSegments>,
    pool: &mut PagePool<H>,
    path: &TxPath,
    len: usize,
    sent: Result<(), (Frame, Refused)>,
) -> TxDrops {
    match sent {
        Ok(()) => TxDrops::default(),
        Err((frame, Refused::NeedsSegmentation)) => {
            begin_segmentation(queue, pending, pool, None, path, frame)
        }
        Err((frame, Refused::Dropped)) => {
            pool.free(frame);
            TxDrops::of(len)
        }
    }
}
