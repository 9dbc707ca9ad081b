//! What is done to frames before they are sent: checksums completed, pages coalesced.

use netfront_rs::Queue;
use netif::Checksum;
use page_pool::{Frame, PagePool};
use xen_hal::{Hal, PAGE_SIZE};

/// Fills in the checksum that a frame's sender left blank. One that can't be found stays as it
/// is; either way the backend isn't asked for it.
pub(super) fn complete_checksum<H: Hal>(pool: &mut PagePool<H>, frame: &mut Frame) {
    let found = router::completed_checksum(frame.len(), |at, to| {
        pool.copy_out(frame, at, to);
    });
    if let Some((at, checksum)) = found {
        pool.copy_in(frame, at, &checksum);
    }
    frame.set_checksum(Checksum::VALIDATED);
}

/// Copies a frame into as few pages as it fits in, if it is in more.
pub(super) fn coalesce<H: Hal>(
    queue: &Queue<H>,
    pool: &mut PagePool<H>,
    frame: Frame,
) -> Result<Frame, Frame> {
    if frame.len().div_ceil(PAGE_SIZE) >= frame.slots() {
        return Err(frame);
    }
    copy_behind(queue, pool, frame, 0)
}

/// Copies a frame into new pages, behind `room` bytes that may be anything.
pub(super) fn copy_behind<H: Hal>(
    queue: &Queue<H>,
    pool: &mut PagePool<H>,
    frame: Frame,
    room: usize,
) -> Result<Frame, Frame> {
    let home = queue.home();
    let len = room + frame.len();
    if pool.lendable(home) <= len.div_ceil(PAGE_SIZE) {
        return Err(frame);
    }
    let Some(mut copy) = pool.alloc(home, len) else {
        return Err(frame);
    };
    let mut buffer = [0; 512];
    let mut at = 0;
    while at < frame.len() {
        let done = pool.copy_out(&frame, at, &mut buffer);
        if done == 0 {
            break;
        }
        pool.copy_in(&mut copy, room + at, buffer.get(..done).unwrap_or(&[]));
        at += done;
    }
    copy.set_checksum(frame.checksum());
    let gso = pool.gso(&frame);
    pool.set_gso(&mut copy, gso);
    pool.free(frame);
    Ok(copy)
}
