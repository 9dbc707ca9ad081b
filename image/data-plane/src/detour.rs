//! Frames for vifs that have no queue on the plane that received them, since their backend takes
//! fewer than others: copied to a plane that has one.

use crate::egress::{Cut, Refused};
use heapless::Deque;

use super::*;

/// How soon frames are tried again for which there was no room, in ns.
const RETRY: u64 = 100_000;

/// A frame that is to leave by `out`, with its new header.
struct Waiting {
    frame: Frame,
    /// Index of its pool.
    pool: usize,
    out: InterfaceId,
}

/// Frames that wait to be handed to another plane, in order: those of one burst, as nothing more
/// is received before they are gone.
#[derive(Default)]
pub(super) struct Detour {
    waiting: Deque<Waiting, BURST>,
    /// What is left of the first one if that is a large frame being cut; its place is then empty.
    cut: Option<Cut>,
}

impl Detour {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a frame of pool `pool` that is to leave by `out`, with its new header.
    ///
    /// # Errors
    /// The frame, if more than a burst wait.
    pub(super) fn push(
        &mut self,
        pool: usize,
        out: InterfaceId,
        frame: Frame,
    ) -> Result<(), Frame> {
        let pushed = self.waiting.push_back(Waiting { frame, pool, out });
        pushed.map_err(|waiting| waiting.frame)
    }

    /// Takes the first one: bytes of it that were not sent, where it was to leave, and the frame.
    fn pop(&mut self) -> Option<(usize, InterfaceId, Frame)> {
        let Waiting { frame, out, .. } = self.waiting.pop_front()?;
        Some(match self.cut.take() {
            Some(cut) => (cut.left(), out, cut.into_frame()),
            None => (frame.len(), out, frame),
        })
    }

    /// When to try again, if something waits.
    pub(super) fn deadline(&self, now: u64) -> Option<u64> {
        (!self.is_empty()).then_some(now + RETRY)
    }
}

/// What became of a frame.
enum Outcome {
    Sent,
    Lost,
    /// There is no room now.
    Waits,
}

impl<H: Hal> Plane<H> {
    /// Whether frames wait for [`Control::hand_over`].
    pub fn has_detour(&self) -> bool {
        !self.detour.is_empty()
    }

    /// The vif of the frame that waits longest.
    pub(super) fn detour_vif(&self) -> Option<InterfaceId> {
        let out = self.detour.waiting.front()?.out;
        Some(self.ports.get(out.index()).map_or(out, |&(vif, _)| vif))
    }

    /// Hands the frame that waits longest to `target`, or drops it if there is none, or if it can't
    /// leave there. Whether it is gone.
    pub(super) fn hand_to(&mut self, target: Option<&mut Plane<H>>, now: u64) -> bool {
        let Detour { waiting, cut } = &mut *self.detour;
        let Some(first) = waiting.front_mut() else {
            return false;
        };
        let Some(pool) = self.pools.get_mut(first.pool).and_then(Option::as_mut) else {
            // Frames don't outlive their pools.
            return self.detour.pop().is_some();
        };
        let outcome = target.map_or(Outcome::Lost, |target| {
            target.take_over(first, cut, pool, now)
        });
        if matches!(outcome, Outcome::Waits) {
            return false;
        }
        if let Some((left, out, frame)) = self.detour.pop() {
            if matches!(outcome, Outcome::Lost) {
                self.lane.count_tx_full(out, 1, left as u64);
            }
            pool.free(frame);
        }
        true
    }

    /// Sends a copy of a frame of another plane, from pool `from`, or more of what is cut of it.
    fn take_over(
        &mut self,
        first: &mut Waiting,
        cut: &mut Option<Cut>,
        from: &PagePool<H>,
        now: u64,
    ) -> Outcome {
        let Waiting { frame, out, .. } = first;
        let &(vif, tags) = self.ports.get(out.index()).unwrap_or(&(*out, Tags::NONE));
        let link = self.links.get_mut(vif.index()).and_then(Option::as_mut);
        let Some(link) = link.filter(|link| link.up) else {
            return Outcome::Lost;
        };
        // Nobody else may do so before there is room: that CPU may sleep.
        if reap(link, &mut self.pools, now) {
            return Outcome::Lost;
        }
        let Some(Some(pool)) = self.pools.get_mut(link.pool) else {
            return Outcome::Lost;
        };
        let (queue, tags) = (&mut link.queue, tags.as_bytes());
        if cut.is_none() && link.cutting.is_none() {
            match egress::send_copy(queue, pool, from, frame, tags) {
                Ok(()) => return Outcome::Sent,
                Err(Refused::ToCut) => match Cut::new(from, take(frame), tags) {
                    Ok(begun) => *cut = Some(begun),
                    Err(whole) => {
                        *frame = whole;
                        return Outcome::Lost;
                    }
                },
                Err(Refused::Lost) => {}
            }
        }
        if let Some(cut) = cut {
            cut.send(queue, pool, Some(from));
            if cut.is_done() {
                return Outcome::Sent;
            }
        }
        // Without anything under way there is nothing to wait for.
        if link.queue.tx_in_flight() == 0 || link.is_stuck(now) {
            Outcome::Lost
        } else {
            Outcome::Waits
        }
    }

    /// Drops all frames that wait.
    pub(super) fn drop_detour(&mut self) {
        while self.has_detour() {
            self.hand_to(None, 0);
        }
    }
}

impl<H: Hal> Control<'_, H> {
    /// Hands frames that planes received for vifs without a queue there to planes that have one.
    /// Whether any plane is rid of all that waited.
    pub fn hand_over(&mut self, now: u64) -> bool {
        let mut rid = false;
        for at in 0..self.planes.len() {
            let waited = self.planes[at].has_detour();
            while let Some(vif) = self.planes[at].detour_vif() {
                // The first planes have queues, and a flow always leaves by the same one.
                let queues = self.planes().filter(|plane| plane.has(vif)).count();
                let to = at.checked_rem(queues);
                let gone = match to.map(|to| self.planes.get_disjoint_mut([at, to])) {
                    Some(Ok([source, target])) => source.hand_to(Some(target), now),
                    // It came to have one.
                    _ => self.planes[at].hand_to(None, now),
                };
                if !gone {
                    break;
                }
            }
            rid |= waited && !self.planes[at].has_detour();
        }
        for plane in &mut self.planes {
            plane.publish();
        }
        rid
    }
}
