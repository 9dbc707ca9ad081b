//! How a worker hands frames to another one.

use router::InterfaceId;
use xen_hal::Hal;

use crate::waiting::Step;
use crate::worker::Worker;

impl<H: Hal> Worker<H> {
    /// Returns the vifs for which frames are to be handed over, by their number here. To be asked
    /// until `which` is too large.
    pub(crate) fn handoff_vif(&self, which: usize) -> Option<InterfaceId> {
        Some(self.handoffs.by_vif.get(which)?.vif)
    }

    /// Hands frames to `target`, or drops them if there is none. Returns `true` if any left.
    pub(crate) fn hand_over(
        &mut self,
        which: usize,
        target: Option<&mut Worker<H>>,
        now: u64,
    ) -> bool {
        let Some(handoff) = self.handoffs.by_vif.get_mut(which) else {
            return false;
        };
        if handoff.waiting.is_empty() || handoff.retry_at > now {
            return false;
        }
        let vif = handoff.vif;
        let mut target = target.and_then(|target| {
            let to = target.vifs.get_mut(vif.index())?.as_mut()?;
            // Nobody else may do so before there is room: that CPU may sleep.
            let works = to.up && !to.reap(&mut target.pools, now);
            works.then_some((to, &mut target.pools))
        });
        let mut any = false;
        while let Some(&path) = handoff.waiting.first() {
            let waiting = &mut handoff.waiting;
            let Some(Some(source)) = self.pools.get_mut(path.from) else {
                // Frames don't outlive their pools.
                waiting.forget_first();
                continue;
            };
            let step = match &mut target {
                Some((to, _)) if !to.waiting.is_empty() => {
                    // What waits there is to go first.
                    match waiting.deadline() {
                        Some(at) if at <= now => Step::Dropped(waiting.drop_first(source)),
                        _ => Step::Waits,
                    }
                }
                Some((to, pools)) => match pools.get_mut(to.pool) {
                    Some(Some(pool)) => {
                        let (mut output, _, left) = to.output(pool);
                        let before = *left;
                        let step = waiting.step(&mut output, Some(source), left, now);
                        any |= *left < before;
                        step
                    }
                    _ => Step::Dropped(waiting.drop_first(source)),
                },
                None => Step::Dropped(waiting.drop_first(source)),
            };
            match step {
                Step::Sent => any = true,
                Step::Dropped(lost) => lost.count(&mut self.lane, path.out),
                Step::Waits => {
                    // Segments that were enough for a turn go on in the next one.
                    if target.is_none_or(|(to, _)| to.segments_left > 0) {
                        handoff.try_again(any, now);
                    }
                    break;
                }
            }
        }
        any
    }
}
