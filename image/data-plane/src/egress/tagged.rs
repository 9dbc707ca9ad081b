//! Frames that get tags of VLANs.

use netfront_rs::netif::Checksum;
use netfront_rs::{Frame, PagePool, Queue};
use xen_hal::Hal;

use super::{Refused, complete_checksum, copy_behind, resend};

/// Bytes of the two stations, which tags stand behind.
const STATIONS: usize = 12;

/// Sends a frame of the queue's own pool with `tags` behind the two stations, and without
/// anything left to do for the backend. Where the page has no room in front, which is usual, the
/// frame is moved in it or copied.
///
/// # Errors
/// The frame, and what is to become of it. One that was to be cut is as it was.
pub fn send_tagged<H: Hal>(
    queue: &mut Queue<H>,
    pool: &mut PagePool<H>,
    mut frame: Frame,
    tags: &[u8],
) -> Result<(), (Frame, Refused)> {
    if !tags.is_empty() {
        if frame.is_gso() {
            return Err((frame, Refused::ToCut));
        }
        if frame.checksum().contains(Checksum::BLANK) {
            complete_checksum(pool, &mut frame);
        }
        if !pool.grow_front(&mut frame, tags.len()) {
            frame =
                copy_behind(queue, pool, frame, tags.len()).map_err(|it| (it, Refused::Lost))?;
        }
        let mut stations = [0; STATIONS];
        pool.copy_out(&frame, tags.len(), &mut stations);
        pool.copy_in(&mut frame, 0, &stations);
        pool.copy_in(&mut frame, STATIONS, tags);
    }
    let sent = queue.send(pool, frame);
    sent.or_else(|unsent| resend(queue, pool, unsent))
}
