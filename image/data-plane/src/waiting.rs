//! Frames that wait for their output: those that found no room, large ones of which segments are
//! still to be sent, and what came after them, so that it doesn't overtake; and frames for another
//! CPU's queue.

use alloc::collections::VecDeque;
use core::mem::take;

use page_pool::{Frame, FrameHeader, HomeId, PagePool};
use router::Lane;
use xen_hal::Hal;

use crate::egress::{Output, Refused, Segmenter};
use crate::tx::{TxDrops, TxPath};

/// How long a frame may wait, in ns. What has waited longer is dropped.
pub(crate) const MAX_AGE_NS: u64 = 100_000_000;

/// A frame that waits.
struct WaitingFrame {
    frame: Frame,
    /// Its pages.
    pages: usize,
    /// Its first bytes, as they are to leave.
    header: FrameHeader,
    path: TxPath,
    /// Where its pages belong.
    home: HomeId,
}

/// The frames that wait for one output, in order.
pub(crate) struct WaitingFrames {
    frames: VecDeque<WaitingFrame>,
    /// Most that there may be: room for these is there, so that none is allocated for a frame.
    most: usize,
    /// What is left of the first one if that is a large frame being segmented; its place is then
    /// empty.
    segmenter: Option<Segmenter>,
}

/// What became of the frame that waited longest.
pub(crate) enum Step {
    /// It left.
    Sent,
    /// It is dropped.
    Dropped(TxDrops),
    /// There is no room for it, or no more of it is to be sent now.
    Waits,
}

impl WaitingFrames {
    /// None, with room for `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            frames: VecDeque::with_capacity(most),
            most,
            segmenter: None,
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Returns `true` if no other may come.
    pub(crate) fn is_full(&self) -> bool {
        self.frames.len() >= self.most
    }

    /// Returns how the frame leaves that waits longest.
    pub(crate) fn first(&self) -> Option<&TxPath> {
        self.frames.front().map(|first| &first.path)
    }

    /// Returns the number of pages of a home that frames have which wait here. The index of its
    /// pool is `pool`.
    pub(crate) fn pages_of(&self, pool: usize, home: HomeId) -> usize {
        let of_home = |it: &&WaitingFrame| it.path.from == pool && it.home == home;
        let pages = self.frames.iter().filter(of_home).map(|it| it.pages);
        pages.sum()
    }

    /// When the frame that waits longest is dropped, in ns. `None` if none waits.
    pub(crate) fn deadline(&self) -> Option<u64> {
        Some(self.first()?.now + MAX_AGE_NS + 1)
    }

    /// Adds a frame of `home`.
    ///
    /// # Errors
    /// The frame, if there is no room.
    pub(crate) fn push(
        &mut self,
        path: &TxPath,
        home: HomeId,
        frame: Frame,
        header: &FrameHeader,
    ) -> Result<(), Frame> {
        let waiting = WaitingFrame {
            pages: frame.slots(),
            frame,
            header: *header,
            path: *path,
            home,
        };
        if self.is_full() {
            return Err(waiting.frame);
        }
        self.frames.push_back(waiting);
        Ok(())
    }

    /// Sends the frame that waits longest, or up to `most` segments of it; `most` is then less by
    /// these. Its pool is `source` if that is another than the output's.
    pub(crate) fn step<H: Hal>(
        &mut self,
        output: &mut Output<'_, H>,
        source: Option<&mut PagePool<H>>,
        most: &mut usize,
        now: u64,
    ) -> Step {
        let Some(first) = self.frames.front_mut() else {
            return Step::Waits;
        };
        if now.saturating_sub(first.path.now) > MAX_AGE_NS {
            return Step::Dropped(self.drop_first(source.unwrap_or(output.pool)));
        }
        if self.segmenter.is_none() {
            match send_whole(output, source.as_deref(), first) {
                Ok(()) => {
                    // What was sent as a copy is still there.
                    let frame = take(&mut first.frame);
                    source.unwrap_or(output.pool).free(frame);
                    self.frames.pop_front();
                    return Step::Sent;
                }
                Err(Refused::NoRoom) => return Step::Waits,
                Err(Refused::Never) => {
                    return Step::Dropped(self.drop_first(source.unwrap_or(output.pool)));
                }
                Err(Refused::NeedsSegmentation) => {
                    let pool = source.as_deref().unwrap_or(output.pool);
                    let (header, tags) = (&first.header, first.path.tags.as_bytes());
                    match Segmenter::new(pool, take(&mut first.frame), header, tags) {
                        Ok(segmenter) => self.segmenter = Some(segmenter),
                        Err(frame) => {
                            let len = frame.len();
                            source.unwrap_or(output.pool).free(frame);
                            self.frames.pop_front();
                            return Step::Dropped(TxDrops::bad_gso(len));
                        }
                    }
                }
            }
        }
        let Some(segmenter) = &mut self.segmenter else {
            return Step::Waits;
        };
        match segmenter.send(output, source.as_deref(), *most) {
            Ok(sent) => *most -= sent,
            Err(_) => return Step::Dropped(self.drop_first(source.unwrap_or(output.pool))),
        }
        if !segmenter.is_done() {
            return Step::Waits;
        }
        // Nothing of it is left to be counted as lost.
        let _ = self.drop_first(source.unwrap_or(output.pool));
        Step::Sent
    }

    /// Drops the frames of those pools for whose index `gone` returns `true`.
    pub(crate) fn drop<H: Hal>(
        &mut self,
        pools: &mut [Option<PagePool<H>>],
        lane: &mut Lane,
        gone: impl Fn(usize) -> bool,
    ) {
        let mut segmenter = self.segmenter.take();
        for at in 0..self.frames.len() {
            let Some(waiting) = self.frames.pop_front() else {
                return;
            };
            let first = segmenter.take().filter(|_| at == 0);
            if !gone(waiting.path.from) {
                self.segmenter = first.or(self.segmenter.take());
                self.frames.push_back(waiting);
                continue;
            }
            let WaitingFrame { frame, path, .. } = waiting;
            let (frame, lost) = rest_of(first, frame);
            lost.count(lane, path.out);
            if let Some(Some(pool)) = pools.get_mut(path.from) {
                pool.free(frame);
            }
        }
    }

    /// Forgets the frame that waits longest, whose pool is gone.
    pub(crate) fn forget_first(&mut self) {
        self.segmenter = None;
        self.frames.pop_front();
    }

    /// Drops the frame that waits longest, of `pool`.
    pub(crate) fn drop_first<H: Hal>(&mut self, pool: &mut PagePool<H>) -> TxDrops {
        let Some(first) = self.frames.pop_front() else {
            return TxDrops::default();
        };
        let (frame, lost) = rest_of(self.segmenter.take(), first.frame);
        pool.free(frame);
        lost
    }
}

/// Returns a frame that doesn't leave, or what is left of it, and what that costs.
fn rest_of(segmenter: Option<Segmenter>, frame: Frame) -> (Frame, TxDrops) {
    match segmenter {
        Some(segmenter) => {
            let lost = TxDrops::full(segmenter.remaining_bytes());
            (segmenter.into_frame(), lost)
        }
        None => {
            let lost = TxDrops::full(frame.len());
            (frame, lost)
        }
    }
}

/// Sends a frame that waited in one piece. It is then no more there, or still there if a copy was
/// sent.
fn send_whole<H: Hal>(
    output: &mut Output<'_, H>,
    source: Option<&PagePool<H>>,
    waiting: &mut WaitingFrame,
) -> Result<(), Refused> {
    let WaitingFrame {
        frame,
        header,
        path,
        ..
    } = waiting;
    let tags = path.tags.as_bytes();
    if output.must_segment(source.unwrap_or(output.pool), frame, tags) {
        return Err(Refused::NeedsSegmentation);
    }
    if output.queue.tx_free() < frame.tx_slots() {
        return Err(Refused::NoRoom);
    }
    match source {
        Some(source) => output.send_copy(source, frame, header, tags),
        None => output
            .send(take(frame), header, tags)
            .map_err(|(unsent, why)| {
                *frame = unsent;
                why
            }),
    }
}
