//! How a worker hands frames to another one.

use xen_hal::Hal;

use crate::waiting::Step;
use crate::worker::Worker;

impl<H: Hal> Worker<H> {
    /// Returns the worker that frames for a vif without a queue here are to be handed to, if this one has number
    /// `at`. `which` counts these vifs; `None` if there are no more.
    pub fn handoff_target(&self, which: usize, at: usize) -> Option<usize> {
        let queues = self.handoffs.by_vif.get(which)?.queues;
        // A flow always leaves by the same one.
        Some(at.checked_rem(queues).unwrap_or(0))
    }

    /// Hands frames for a vif without a queue here to `target`, or drops them if that has none either.
    /// Returns `true` if any left.
    pub fn hand_over(&mut self, which: usize, target: &mut Worker<H>, now: u64) -> bool {
        let any = self.hand_some_over(which, target, now);
        target.publish();
        any
    }

    #[inline(never)]
    fn hand_some_over(&mut self, which: usize, target: &mut Worker<H>, now: u64) -> bool {
        let Some(handoff) = self.handoffs.by_vif.get_mut(which) else {
            return false;
        };
        if handoff.waiting.is_empty() || handoff.retry_at > now {
            return false;
        }
        let vif = handoff.vif;
        let to = target.vifs.get_mut(vif.index()).and_then(Option::as_mut);
        let mut target = to.and_then(|to| {
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
