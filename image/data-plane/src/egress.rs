//! What a frame needs before the vif that it leaves by can take it.
//!
//! Most frames go out as they came: [`Queue::send`] takes them, with their checksum state and
//! GSO size. One that it refuses because the backend lacks a feature of netif.h comes here:
//!
//! | backend lacks | the frame is |
//! |---|---|
//! | checksums of its IP version | completed in place |
//! | `feature-gso-tcpv4`, `-tcpv6` | cut into segments ([`Cut`]) with whole checksums |
//! | `feature-sg` | copied into one page, if it fits |
//! | room for so many slots | copied into fewer pages |
//!
//! Frames that get tags ([`send_tagged`]) have all of that done for them: netif.h says nothing
//! of tags, and a Linux netback looks for the headers of a packet right behind the EtherType.
//!
//! Copies are made in free pages of the outgoing vif's home, as long as that stays above its
//! floor. Nothing here allocates.

mod cut;
mod tagged;

use netfront_rs::netif::Checksum;
use netfront_rs::{Frame, PagePool, Queue, SendError, Unsent};
use xen_hal::{Hal, PAGE_SIZE};

pub use cut::{Cut, each_segment};
pub use tagged::send_tagged;

/// What is to become of a frame that wasn't sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is to be cut ([`Cut::new`]).
    ToCut,
    /// It can't go out, or not now.
    Lost,
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
                frame = copy_together(queue, pool, frame).map_err(|it| (it, Refused::Lost))?;
            }
            SendError::NoGso | SendError::TooLong if frame.is_gso() => {
                return Err((frame, Refused::ToCut));
            }
            _ => return Err((frame, Refused::Lost)),
        }
        match queue.send(pool, frame) {
            Ok(()) => return Ok(()),
            // What was done about it didn't help.
            Err(again) if again.why == why => return Err((again.frame, Refused::Lost)),
            Err(again) => Unsent { frame, why } = again,
        }
    }
}

/// Sends a copy of a frame of another pool, `from`, whose pages the backend must not see, with
/// `tags` behind the two stations. The frame stays as it is.
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
        return Err(Refused::ToCut);
    }
    let home = queue.home();
    if pool.lendable(home) <= frame.len().div_ceil(PAGE_SIZE) {
        return Err(Refused::Lost);
    }
    let copy = PagePool::copy_between(from, frame, pool, home).ok_or(Refused::Lost)?;
    let sent = send_tagged(queue, pool, copy, tags);
    sent.map_err(|(copy, _)| {
        pool.free(copy);
        Refused::Lost
    })
}

/// Fills in the checksum that a frame's sender left blank. One that can't be found stays as it
/// is; either way the backend isn't asked for it.
fn complete_checksum<H: Hal>(pool: &mut PagePool<H>, frame: &mut Frame) {
    let found = router::completed_checksum(frame.len(), |at, to| {
        pool.copy_out(frame, at, to);
    });
    if let Some((at, checksum)) = found {
        pool.copy_in(frame, at, &checksum);
    }
    frame.set_checksum(Checksum::VALIDATED);
}

/// Copies a frame into as few pages as it fits in, if it is in more.
fn copy_together<H: Hal>(
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
fn copy_behind<H: Hal>(
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
    let Some(mut together) = pool.alloc(home, len) else {
        return Err(frame);
    };
    let mut buffer = [0; 512];
    let mut at = 0;
    while at < frame.len() {
        let done = pool.copy_out(&frame, at, &mut buffer);
        if done == 0 {
            break;
        }
        pool.copy_in(&mut together, room + at, buffer.get(..done).unwrap_or(&[]));
        at += done;
    }
    together.set_checksum(frame.checksum());
    let gso = pool.gso(&frame);
    pool.set_gso(&mut together, gso);
    pool.free(frame);
    Ok(together)
}
