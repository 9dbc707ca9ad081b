//! Sending what a backend doesn't take as it is: changed, with tags, or as a copy.

use netfront_rs::{Queue, SendError, Unsent};
use netif::Checksum;
use page_pool::{Frame, PagePool};
use xen_hal::{Hal, PAGE_SIZE};

use super::prepare::{coalesce, complete_checksum, copy_behind};

/// Bytes of the two MAC addresses that a frame begins with.
const ADDRESSES: usize = 12;

/// What is to become of a frame that wasn't sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is to be segmented ([`Segmenter::new`](super::Segmenter::new)).
    NeedsSegmentation,
    /// It can't go out, or not now.
    Dropped,
}

/// Sends a frame of the queue's own pool that [`Queue::send`] refused, after doing for it what
/// the backend can't.
///
/// # Errors
/// The frame, and what is to become of it.
pub fn resend<H: Hal>(
    queue: &mut Queue<H>,
    pool: &mut PagePool<H>,
    unsent: Unsent,
) -> Result<(), (Frame, Refused)> {
    let Unsent { mut frame, mut why } = unsent;
    loop {
        match why {
            SendError::NoChecksum => complete_checksum(pool, &mut frame),
            SendError::NoScatter | SendError::TooManySlots => {
                frame = coalesce(queue, pool, frame).map_err(|it| (it, Refused::Dropped))?;
            }
            SendError::NoGso | SendError::TooLong if frame.is_gso() => {
                return Err((frame, Refused::NeedsSegmentation));
            }
            _ => return Err((frame, Refused::Dropped)),
        }
        match queue.send(pool, frame) {
            Ok(()) => return Ok(()),
            // What was done about it didn't help.
            Err(again) if again.why == why => return Err((again.frame, Refused::Dropped)),
            Err(again) => Unsent { frame, why } = again,
        }
    }
}

/// Sends a frame of the queue's own pool with `tags` behind the two MAC addresses, and without
/// anything left to do for the backend. Where the page has no room in front, which is usual, the
/// frame is moved in it or copied.
///
/// # Errors
/// The frame, and what is to become of it. One that needs segmentation is as it was.
pub fn send_tagged<H: Hal>(
    queue: &mut Queue<H>,
    pool: &mut PagePool<H>,
    mut frame: Frame,
    tags: &[u8],
) -> Result<(), (Frame, Refused)> {
    if !tags.is_empty() {
        if frame.is_gso() {
            return Err((frame, Refused::NeedsSegmentation));
        }
        if frame.checksum().contains(Checksum::BLANK) {
            complete_checksum(pool, &mut frame);
        }
        if !pool.grow_front(&mut frame, tags.len()) {
            frame =
                copy_behind(queue, pool, frame, tags.len()).map_err(|it| (it, Refused::Dropped))?;
        }
        let mut addresses = [0; ADDRESSES];
        pool.copy_out(&frame, tags.len(), &mut addresses);
        pool.copy_in(&mut frame, 0, &addresses);
        pool.copy_in(&mut frame, ADDRESSES, tags);
    }
    let sent = queue.send(pool, frame);
    sent.or_else(|unsent| resend(queue, pool, unsent))
}

/// Sends a copy of a frame of another pool, `from`, whose pages the backend must not see, with
/// `tags` behind the two MAC addresses. The frame stays as it is.
///
/// # Errors
/// What is to become of it.
pub fn send_copy<H: Hal>(
    queue: &mut Queue<H>,
    pool: &mut PagePool<H>,
    from: &PagePool<H>,
    frame: &Frame,
    tags: &[u8],
) -> Result<(), Refused> {
    if queue.must_cut(from, frame) || (frame.is_gso() && !tags.is_empty()) {
        return Err(Refused::NeedsSegmentation);
    }
    let home = queue.home();
    if pool.lendable(home) <= frame.len().div_ceil(PAGE_SIZE) {
        return Err(Refused::Dropped);
    }
    let copy = PagePool::copy_between(from, frame, pool, home).ok_or(Refused::Dropped)?;
    let sent = send_tagged(queue, pool, copy, tags);
    sent.map_err(|(copy, _)| {
        pool.free(copy);
        Refused::Dropped
    })
}
