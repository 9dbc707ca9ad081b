//! TCP segmentation in software, for a backend that takes no large frames.

use netfront_rs::Queue;
use netif::Checksum;
use page_pool::{Frame, PagePool};
use router::Segments;
use xen_hal::{Hal, PAGE_SIZE};

/// A large frame on its way out in segments: as many at a time as find pages and room.
#[derive(Debug)]
pub struct Segmenter {
    frame: Frame,
    segments: Segments,
    next: usize,
}

impl Segmenter {
    /// Begins with a frame of `pool`, whose segments get `tags` behind the two MAC addresses.
    ///
    /// # Errors
    /// The frame, if it isn't a TCP packet that can be segmented.
    pub fn new<H: Hal>(pool: &PagePool<H>, frame: Frame, tags: &[u8]) -> Result<Self, Frame> {
        match segments(pool, &frame).and_then(|segments| segments.tagged(tags)) {
            Some(segments) => Ok(Self {
                frame,
                segments,
                next: 0,
            }),
            None => Err(frame),
        }
    }

    /// Puts segments on the transmit ring, in pages of the queue's home in its pool: as many as
    /// there are room and pages for. `from` is the pool of the large frame if that is another.
    /// Returns how many.
    pub fn send<H: Hal>(
        &mut self,
        queue: &mut Queue<H>,
        pool: &mut PagePool<H>,
        from: Option<&PagePool<H>>,
    ) -> usize {
        let home = queue.home();
        let first = self.next;
        while self.next < self.segments.count() {
            let len = self.segments.frame_len(self.next);
            let pages = len.div_ceil(PAGE_SIZE);
            if queue.tx_free() < pages || pool.lendable(home) <= pages {
                break;
            }
            let Some(mut segment) = pool.alloc(home, len) else {
                break;
            };
            self.segments.make(
                self.next,
                |at, to| {
                    from.unwrap_or(pool).copy_out(&self.frame, at, to);
                },
                |at, bytes| {
                    pool.copy_in(&mut segment, at, bytes);
                },
            );
            segment.set_checksum(Checksum::VALIDATED);
            if let Err(unsent) = queue.send(pool, segment) {
                // There was room: it is one that no backend of this kind takes.
                pool.free(unsent.frame);
                break;
            }
            self.next += 1;
        }
        self.next - first
    }

    /// Returns `true` if all segments were sent.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.next == self.segments.count()
    }

    /// Bytes of the segments that were not sent.
    #[must_use]
    pub fn remaining_bytes(&self) -> usize {
        let remaining = self.next..self.segments.count();
        remaining.map(|index| self.segments.frame_len(index)).sum()
    }

    /// The large frame, to be freed.
    pub fn into_frame(self) -> Frame {
        self.frame
    }
}

/// Makes all segments of a large frame, for one who takes no large frames: `each` is given the
/// length of each, and what writes it into a slice of that length. Returns `true` if the frame can
/// be segmented.
pub fn each_segment<H: Hal>(
    pool: &PagePool<H>,
    frame: &Frame,
    mut each: impl FnMut(usize, &dyn Fn(&mut [u8])),
) -> bool {
    let Some(segments) = segments(pool, frame) else {
        return false;
    };
    for index in 0..segments.count() {
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
        });
    }
    true
}

fn segments<H: Hal>(pool: &PagePool<H>, frame: &Frame) -> Option<Segments> {
    let gso = pool.gso(frame)?;
    Segments::new(frame.len(), gso.size, |at, to| {
        pool.copy_out(frame, at, to);
    })
}
