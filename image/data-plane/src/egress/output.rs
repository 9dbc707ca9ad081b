//! An output: a queue, and the pages for copies and segments that leave by it.

use netfront_rs::{Queue, SendError, Unsent};
use netif::Checksum;
use netif::messages::MAX_TX_SIZE;
use page_pool::{Frame, FrameHeader, HEADER_LEN, HomeId, PagePool};
use xen_hal::{Hal, PAGE_SIZE};

use super::front::{Front, complete_checksum};

/// The reason why a frame wasn't sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It has to be segmented ([`Segmenter::new`](super::Segmenter::new)).
    NeedsSegmentation,
    /// There is no room on the ring, or no page for a copy, at the moment.
    NoRoom,
    /// The backend doesn't accept such a frame.
    Never,
}

impl From<SendError> for Refused {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Full => Self::NoRoom,
            _ => Self::Never,
        }
    }
}

/// An output.
#[derive(Debug)]
pub struct Output<'a, H: Hal> {
    /// The queue.
    pub queue: &'a mut Queue<H>,
    /// Its pool.
    pub pool: &'a mut PagePool<H>,
    /// The home of copies.
    pub copies: HomeId,
    /// The home of segments. Either takes pages of the other's that are beyond its floor.
    pub segments: HomeId,
}

/// Returns the number of pages that copies for an output find, in a pool with their home and that
/// of segments.
#[inline]
pub(crate) fn room_for_copies<H: Hal>(
    pool: &PagePool<H>,
    copies: HomeId,
    segments: HomeId,
) -> usize {
    let own = pool.present(copies);
    if segments == copies {
        own
    } else {
        own + pool.lendable(segments)
    }
}

/// Returns the home of which a frame of `len` bytes finds pages: `own` if it has enough, `other` if
/// that has enough beyond its floor.
pub(super) fn home_with_room<H: Hal>(
    pool: &PagePool<H>,
    own: HomeId,
    other: HomeId,
    len: usize,
) -> HomeId {
    let pages = len.div_ceil(PAGE_SIZE);
    if pool.present(own) < pages && pool.lendable(other) >= pages {
        other
    } else {
        own
    }
}

impl<H: Hal> Output<'_, H> {
    /// Sends a frame of the queue's own pool that begins with `header`, after doing for it what
    /// the backend can't. With `tags` behind the two MAC addresses nothing is left to do for the
    /// backend; where the page has no room in front, which is usual, the frame is moved in it or
    /// copied.
    ///
    /// # Errors
    /// The frame, and why. One that needs segmentation, or finds no page for a copy, is as it was,
    /// but for its header.
    pub fn send(
        &mut self,
        mut frame: Frame,
        header: &FrameHeader,
        tags: &[u8],
    ) -> Result<(), (Frame, Refused)> {
        if !tags.is_empty() {
            return self.send_tagged(frame, header, tags);
        }
        // All of it, whatever is done to frames in between.
        let len = frame.len().min(HEADER_LEN);
        self.pool.write_header(&mut frame, header, len);
        let sent = self.queue.send(self.pool, frame);
        sent.or_else(|unsent| self.resend(unsent, *header, tags))
    }

    /// Sends a copy of a frame of another pool, `from`, whose pages the backend must not see. It
    /// begins with `header` and gets `tags` as in [`Output::send`]. The frame stays as it is.
    ///
    /// # Errors
    /// Why it wasn't sent.
    pub fn send_copy(
        &mut self,
        from: &PagePool<H>,
        frame: &Frame,
        header: &FrameHeader,
        tags: &[u8],
    ) -> Result<(), Refused> {
        if self.must_segment(from, frame, tags) {
            return Err(Refused::NeedsSegmentation);
        }
        if self.queue.tx_free() == 0 {
            return Err(Refused::NoRoom);
        }
        if frame.len() + tags.len() > MAX_TX_SIZE as usize {
            return Err(Refused::Never);
        }
        let front = Front::new(header, frame.len(), tags);
        let (bytes, skip) = (front.bytes(), front.replaced());
        let len = frame.len() + tags.len();
        let home = home_with_room(self.pool, self.copies, self.segments, len);
        let copy = PagePool::copy_between(from, frame, bytes, skip, self.pool, home);
        let copy = copy.ok_or(Refused::NoRoom)?;
        let sent = if tags.is_empty() {
            let sent = self.queue.send(self.pool, copy);
            sent.or_else(|unsent| self.resend(unsent, *header, tags))
        } else {
            self.finish_tagged(copy, *header, tags)
        };
        sent.map_err(|(copy, why)| {
            self.pool.free(copy);
            why
        })
    }

    /// Returns `true` if a frame, of any pool, has to be segmented.
    pub fn must_segment(&self, pool: &PagePool<H>, frame: &Frame, tags: &[u8]) -> bool {
        frame.is_gso() && (!tags.is_empty() || self.queue.must_cut(pool, frame))
    }

    /// Puts tags behind the MAC addresses of a frame and sends it.
    fn send_tagged(
        &mut self,
        mut frame: Frame,
        header: &FrameHeader,
        tags: &[u8],
    ) -> Result<(), (Frame, Refused)> {
        if frame.is_gso() {
            return Err((frame, Refused::NeedsSegmentation));
        }
        if frame.len() + tags.len() > MAX_TX_SIZE as usize {
            return Err((frame, Refused::Never));
        }
        // What a copy is needed for anyhow isn't changed before there is one.
        let pages = (frame.len() + tags.len()).div_ceil(PAGE_SIZE);
        let copied = pages < frame.slots() && !self.queue.takes_slots(&frame);
        if copied || !self.pool.grow_front(&mut frame, tags.len()) {
            let front = Front::new(header, frame.len(), tags);
            frame = self.replace(frame, front.bytes(), front.replaced())?;
        }
        self.finish_tagged(frame, *header, tags)
    }

    /// Sends a frame that has room for its tags behind the MAC addresses, or has them already.
    fn finish_tagged(
        &mut self,
        mut frame: Frame,
        mut header: FrameHeader,
        tags: &[u8],
    ) -> Result<(), (Frame, Refused)> {
        if frame.checksum().contains(Checksum::BLANK) {
            complete_checksum(self.pool, &mut frame, &mut header, tags.len());
        }
        let front = Front::new(&header, frame.len() - tags.len(), tags);
        self.pool.copy_in(&mut frame, 0, front.bytes());
        let sent = self.queue.send(self.pool, frame);
        sent.or_else(|unsent| self.resend(unsent, header, tags))
    }

    /// Sends a frame that the queue refused, after doing for it what the backend can't. It has its
    /// tags.
    #[cold]
    fn resend(
        &mut self,
        unsent: Unsent,
        mut header: FrameHeader,
        tags: &[u8],
    ) -> Result<(), (Frame, Refused)> {
        let Unsent { mut frame, mut why } = unsent;
        loop {
            match why {
                SendError::NoGso | SendError::TooLong if frame.is_gso() => {
                    return Err((frame, Refused::NeedsSegmentation));
                }
                SendError::NoChecksum => {
                    complete_checksum(self.pool, &mut frame, &mut header, tags.len());
                    let front = Front::new(&header, frame.len() - tags.len(), tags);
                    self.pool.copy_in(&mut frame, 0, front.bytes());
                }
                SendError::NoScatter | SendError::TooManySlots
                    if frame.len().div_ceil(PAGE_SIZE) < frame.slots() =>
                {
                    let front = Front::new(&header, frame.len() - tags.len(), tags);
                    frame = self.replace(frame, front.bytes(), front.bytes().len())?;
                }
                _ => return Err((frame, why.into())),
            }
            match self.queue.send(self.pool, frame) {
                Ok(()) => return Ok(()),
                // What was done about it didn't help.
                Err(again) if again.why == why => return Err((again.frame, Refused::Never)),
                Err(again) => Unsent { frame, why } = again,
            }
        }
    }

    /// Copies a frame into as few pages as it fits in, with `front` instead of its first `skip`
    /// bytes, and frees it.
    fn replace(
        &mut self,
        frame: Frame,
        front: &[u8],
        skip: usize,
    ) -> Result<Frame, (Frame, Refused)> {
        let len = front.len() + frame.len() - skip;
        let home = home_with_room(self.pool, self.copies, self.segments, len);
        match self.pool.copy(&frame, front, skip, home) {
            Some(copy) => {
                self.pool.free(frame);
                Ok(copy)
            }
            None => Err((frame, Refused::NoRoom)),
        }
    }
}
