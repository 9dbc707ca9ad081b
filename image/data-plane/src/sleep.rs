//! Sleeping: which events are asked for, until when, and what each sleep brought.

use core::mem::take;

use heapless::Vec as Bounded;
use netfront_rs::Wake;
use netif::Ports;
use router::BURST;
use xen_hal::{Hal, Port};

use crate::event_moderation::Activity;
use crate::segmentation::{PendingSegments, STUCK_NS};
use crate::worker::Worker;

impl<H: Hal> Worker<H> {
    /// Asks every backend for an event when enough has come. Returns `true` if it has already.
    /// `cpu_time_ns` is the processor time used since the start.
    pub fn arm(&mut self, now: u64, cpu_time_ns: u64) -> bool {
        let activity = Activity {
            slept: take(&mut self.slept),
            frames: u32::try_from(self.stats.frames - self.planned.0).unwrap_or(u32::MAX),
            cpu_time_ns: cpu_time_ns.saturating_sub(self.planned.1),
        };
        self.planned = (self.stats.frames, cpu_time_ns);
        let sleep = self.moderation.plan(now, activity);
        self.wake_at = sleep.limit.map(|limit| now + limit);
        let blocked = self.room(now) == 0;
        self.blocked = blocked;
        // Completions matter only where pages or room are short; otherwise they are found in
        // passing. One alone would be no reason to wake. Pages missing on one ring may be on
        // any other.
        let few = BURST.min(self.pages_per_vif / 4);
        let up = self.vifs.iter().flatten().filter(|vif| vif.up);
        let short = blocked || up.into_iter().any(|vif| vif.queue.rx_posted() < few);
        let mut busy = false;
        for vif in self.vifs.iter_mut().flatten().filter(|vif| vif.up) {
            // Without room for what comes, only a completion is news.
            let wake = Wake {
                rx: (!blocked).then_some(sleep.frames),
                tx: short.then_some(BURST as u32),
            };
            busy |= vif.queue.arm(wake);
        }
        if !busy {
            self.count_sleep();
        }
        busy
    }

    fn count_sleep(&mut self) {
        let frames = self.stats.frames - self.frames_before;
        self.frames_before = self.stats.frames;
        self.stats.count_sleep(frames, self.wake_at.is_some());
        self.slept = true;
    }

    /// When the next turn is due whatever comes, in ns. To be asked after [`Worker::arm`].
    pub fn deadline(&self, now: u64) -> Option<u64> {
        let unstuck = self.blocked.then(|| {
            let waiting = self.vifs.iter().flatten().filter(|vif| vif.up);
            waiting
                .map(|vif| vif.progress + STUCK_NS + 1)
                .filter(|&at| at > now)
                .min()
        });
        let segmenting = self.vifs.iter().flatten().filter(|vif| vif.up);
        let cut_off = segmenting
            .filter_map(|vif| vif.pending.as_ref())
            .map(PendingSegments::deadline)
            .min();
        let again = self.handoff.deadline(now);
        [
            self.poll_at,
            self.wake_at,
            unstuck.flatten(),
            cut_off,
            again,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Clears the events of all vifs, and lists their channels for waiting.
    pub fn take_events<const N: usize>(&self, ports: &mut Bounded<u32, N>) {
        for vif in self.vifs.iter().flatten() {
            vif.queue.take_pending();
            let mut add = |Port(port): Port| {
                // `N` is more than 16 vifs can have.
                let _ = ports.push(port);
            };
            match vif.queue.info().ports {
                Ports::Shared(port) => add(port),
                Ports::Split { tx, rx } => {
                    add(tx);
                    add(rx);
                }
            }
        }
    }
}
