//! Sleeping: the requested events, the deadline, and statistics of each sleep.

use core::mem::take;

use heapless::Vec as Bounded;
use netfront_rs::Wake;
use netif::Ports;
use router::BURST;
use xen_hal::{Hal, Port};

use crate::event_moderation::Activity;
use crate::worker::Worker;

/// How soon punted frames are offered again for which the router had no room, in ns.
const OFFER_NS: u64 = 1_000_000;

impl<H: Hal> Worker<H> {
    /// Requests an event from every backend when enough has arrived. Returns `true` if it has
    /// already. `cpu_time_ns` is the CPU time used since the start.
    pub fn arm(&mut self, now: u64, cpu_time_ns: u64) -> bool {
        let activity = Activity {
            slept: take(&mut self.slept),
            frames: u32::try_from(self.stats.frames - self.planned.0).unwrap_or(u32::MAX),
            cpu_time_ns: cpu_time_ns.saturating_sub(self.planned.1),
        };
        self.planned = (self.stats.frames, cpu_time_ns);
        let sleep = self.moderation.plan(now, activity);
        self.wake_at = sleep.limit.map(|limit| now + limit);
        self.offer_at = self.lane.has_punts().then_some(now + OFFER_NS);
        // Completions matter only where pages or room are short; otherwise they are found in
        // passing. One alone would be no reason to wake. Pages missing on one ring may be on
        // any other.
        let few = BURST.min(self.pages_per_vif / 4);
        let mut short = false;
        // The vifs for which frames wait, read or unread.
        let mut awaited = 0u64;
        for vif in self.vifs.iter().flatten().filter(|vif| vif.up) {
            short |= vif.queue.rx_posted() < few;
            if vif.intake.unread.is_some() {
                awaited |= vif.intake.outputs;
            }
        }
        let mut busy = false;
        let vifs = self.vifs.iter_mut().enumerate();
        for (index, vif) in vifs.filter_map(|(index, vif)| Some((index, vif.as_mut()?))) {
            if !vif.up {
                continue;
            }
            let some = short || awaited >> index & 1 != 0 || !vif.waiting.is_empty();
            let wake = Wake {
                rx: vif
                    .intake
                    .worth_an_event(&vif.queue, sleep.frames.min(vif.most_a_wake)),
                tx: some.then_some((BURST / 2) as u32),
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
    pub fn deadline(&self) -> Option<u64> {
        let mut first = None;
        let mut add = |at: Option<u64>| {
            if first.is_none() || at.is_some_and(|at| Some(at) < first) {
                first = at;
            }
        };
        add(self.poll_at);
        add(self.offer_at);
        add(self.wake_at);
        for vif in self.vifs.iter().flatten().filter(|vif| vif.up) {
            if let Some(unread) = vif.intake.unread {
                add(Some(unread.until));
            }
            if !vif.waiting.is_empty() {
                add(vif.waiting.deadline());
            }
        }
        if self.handoffs.len() > 0 {
            add(self.handoffs.deadline());
        }
        first
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
