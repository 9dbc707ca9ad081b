//! Frames for vifs that have no queue on the worker that received them, since their backend takes
//! fewer than others: copied to a worker that has one.

use core::mem::take;

use heapless::Deque;
use page_pool::{Frame, PagePool};
use router::vlan::Tags;
use router::{BURST, InterfaceId};
use xen_hal::Hal;

use crate::egress::{self, Refused, Segmenter};
use crate::vif::Vif;

/// How soon frames are tried again for which there was no room, in ns.
const RETRY_NS: u64 = 100_000;

/// A frame that is to leave by `out`, with its new header.
pub(crate) struct Waiting {
    frame: Frame,
    /// Index of its pool.
    pub(crate) pool: usize,
    pub(crate) out: InterfaceId,
}

/// Frames that wait to be handed to another worker, in order: those of one burst, as nothing more
/// is received before they are gone.
#[derive(Default)]
pub(crate) struct HandoffQueue {
    waiting: Deque<Waiting, BURST>,
    /// What is left of the first one if that is a large frame being segmented; its place is then
    /// empty.
    segmenter: Option<Segmenter>,
}

impl HandoffQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The frame that waits longest.
    pub(crate) fn first(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    /// The same, and what is left of it if it is being segmented.
    pub(crate) fn first_mut(&mut self) -> Option<(&mut Waiting, &mut Option<Segmenter>)> {
        let first = self.waiting.front_mut()?;
        Some((first, &mut self.segmenter))
    }

    /// Adds a frame of pool `pool` that is to leave by `out`, with its new header.
    ///
    /// # Errors
    /// The frame, if more than a burst wait.
    pub(crate) fn push(
        &mut self,
        pool: usize,
        out: InterfaceId,
        frame: Frame,
    ) -> Result<(), Frame> {
        let pushed = self.waiting.push_back(Waiting { frame, pool, out });
        pushed.map_err(|waiting| waiting.frame)
    }

    /// Takes the first one: bytes of it that were not sent, where it was to leave, and the frame.
    pub(crate) fn pop(&mut self) -> Option<(usize, InterfaceId, Frame)> {
        let Waiting { frame, out, .. } = self.waiting.pop_front()?;
        Some(match self.segmenter.take() {
            Some(segmenter) => (segmenter.remaining_bytes(), out, segmenter.into_frame()),
            None => (frame.len(), out, frame),
        })
    }

    /// When to try again, in ns. `None` if nothing waits.
    pub(crate) fn deadline(&self, now: u64) -> Option<u64> {
        (!self.is_empty()).then_some(now + RETRY_NS)
    }
}

/// What became of a frame.
pub(crate) enum Outcome {
    /// It is on the other worker's ring, as a copy.
    Sent,
    /// It can't leave there.
    Dropped,
    /// There is no room now.
    Waits,
}

/// Sends a copy of the first frame of another worker, from pool `from`, or more segments of it.
/// `vif` and `pools` are those of the worker that sends it.
pub(crate) fn take_over<H: Hal>(
    vif: &mut Vif<H>,
    pools: &mut [Option<PagePool<H>>],
    (first, segmenter): (&mut Waiting, &mut Option<Segmenter>),
    from: &PagePool<H>,
    tags: Tags,
    now: u64,
) -> Outcome {
    // Nobody else may do so before there is room: that CPU may sleep.
    if vif.reap(pools, now) {
        return Outcome::Dropped;
    }
    let Some(Some(pool)) = pools.get_mut(vif.pool) else {
        return Outcome::Dropped;
    };
    let (queue, tags) = (&mut vif.queue, tags.as_bytes());
    if segmenter.is_none() && vif.pending.is_none() {
        match egress::send_copy(queue, pool, from, &first.frame, tags) {
            Ok(()) => return Outcome::Sent,
            Err(Refused::NeedsSegmentation) => {
                match Segmenter::new(from, take(&mut first.frame), tags) {
                    Ok(begun) => *segmenter = Some(begun),
                    Err(whole) => {
                        first.frame = whole;
                        return Outcome::Dropped;
                    }
                }
            }
            Err(Refused::Dropped) => {}
        }
    }
    if let Some(segmenter) = segmenter {
        segmenter.send(queue, pool, Some(from));
        if segmenter.is_done() {
            return Outcome::Sent;
        }
    }
    // Without anything under way there is nothing to wait for.
    if vif.queue.tx_in_flight() == 0 || vif.is_stuck(now) {
        Outcome::Dropped
    } else {
        Outcome::Waits
    }
}
