//! TCP segmentation in software, for backends that don't accept large frames.

use netfront_rs::SendError;
use netif::Checksum;
use page_pool::{Frame, FrameHeader, PagePool};
use router::Segments;
use xen_hal::{Hal, PAGE_SIZE};

use super::front::read;
use super::output::{Output, home_with_room};

/// A large frame that is being sent in segments, as many at a time as there are pages and room for.
#[derive(Debug)]
pub struct Segmenter {
    frame: Frame,
    segments: Segments,
    next: usize,
}

impl Segmenter {
    /// Creates a segmenter for a frame of `pool` that begins with `header`, whose segments get
    /// `tags` after the MAC addresses.
    ///
    /// # Errors
    /// The frame, if it isn't a TCP packet that can be segmented.
    pub fn new<H: Hal>(
        pool: &PagePool<H>,
        frame: Frame,
        header: &FrameHeader,
        tags: &[u8],
    ) -> Result<Self, Frame> {
        match segments(pool, &frame, header).and_then(|segments| segments.tagged(tags)) {
            Some(segments) => Ok(Self {
                frame,
                segments,
                next: 0,
            }),
            None => Err(frame),
        }
    }

    /// Puts up to `most` segments on the transmit ring, as many as there are room and pages for.
    /// `from` is the pool of the large frame if that is another. Returns their number.
    ///
    /// # Errors
    /// [`SendError`] if the backend doesn't accept such segments.
    pub fn send<H: Hal>(
        &mut self,
        output: &mut Output<'_, H>,
        from: Option<&PagePool<H>>,
        most: usize,
    ) -> Result<usize, SendError> {
        let first = self.next;
        let end = self.segments.count().min(first.saturating_add(most));
        while self.next < end {
            let len = self.segments.frame_len(self.next);
            if output.queue.tx_free() < len.div_ceil(PAGE_SIZE) {
                break;
            }
            let home = home_with_room(output.pool, output.segments, output.copies, len);
            let Some(mut segment) = output.pool.alloc(home, len) else {
                break;
            };
            self.segments.make(
                self.next,
                |at, to| {
                    from.unwrap_or(output.pool).copy_out(&self.frame, at, to);
                },
                |at, bytes| {
                    output.pool.copy_in(&mut segment, at, bytes);
                },
            );
            segment.set_checksum(Checksum::VALIDATED);
            if let Err(unsent) = output.queue.send(output.pool, segment) {
                output.pool.free(unsent.frame);
                return Err(unsent.why);
            }
            self.next += 1;
        }
        Ok(self.next - first)
    }

    /// Returns `true` if all segments were sent.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.next == self.segments.count()
    }

    /// Returns the number of pages of the large frame.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.frame.slots()
    }

    /// Returns the number of bytes of the segments that haven't been sent.
    #[must_use]
    pub fn remaining_bytes(&self) -> usize {
        let remaining = self.next..self.segments.count();
        remaining.map(|index| self.segments.frame_len(index)).sum()
    }

    /// Returns the large frame, to be freed.
    pub fn into_frame(self) -> Frame {
        self.frame
    }
}

/// Makes the segments of a large frame that begins with `header`, for one who takes no large
/// frames: `each` is given the length of each, and what writes it into a slice of that length,
/// until it returns `false`. Returns the number of segments that it wasn't given. `None` if the
/// frame can't be segmented.
pub fn each_segment<H: Hal>(
    pool: &PagePool<H>,
    frame: &Frame,
    header: &FrameHeader,
    mut each: impl FnMut(usize, &dyn Fn(&mut [u8])) -> bool,
) -> Option<usize> {
    let segments = segments(pool, frame, header)?;
    let mut taken = |index| {
        each(segments.frame_len(index), &|bytes| {
            segments.make(
                index,
                |at, to| {
                    pool.copy_out(frame, at, to);
                },
                |at, piece| {
                    if let Some(to) = bytes.get_mut(at..at + piece.len()) {
                        to.copy_from_slice(piece);
                    }
                },
            );
        })
    };
    let refused = (0..segments.count()).find(|&index| !taken(index));
    Some(refused.map_or(0, |index| segments.count() - index - 1))
}

fn segments<H: Hal>(pool: &PagePool<H>, frame: &Frame, header: &FrameHeader) -> Option<Segments> {
    let gso = pool.gso(frame)?;
    Segments::new(frame.len(), gso.size, |at, to| {
        read(pool, frame, header, 0, at, to);
    })
}
