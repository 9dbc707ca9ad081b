//! Sleeping: which events are asked for, until when, and what each sleep brought.

use super::*;

impl<H: Hal> Plane<H> {
    /// Asks every backend for an event when enough has come. Whether it has already. `ran` is
    /// the processor time used since the start, in ns.
    pub fn arm(&mut self, now: u64, ran: u64) -> bool {
        let since = Since {
            slept: take(&mut self.slept),
            frames: u32::try_from(self.work.frames - self.planned.0).unwrap_or(u32::MAX),
            ran: ran.saturating_sub(self.planned.1),
        };
        self.planned = (self.work.frames, ran);
        let sleep = self.pace.plan(now, since);
        self.wake_at = sleep.limit.map(|limit| now + limit);
        let blocked = self.room(now) == 0;
        self.blocked = blocked;
        // Completions matter only where pages or room are short; otherwise they are found in
        // passing. One alone would be no reason to wake. Pages missing on one ring may be on
        // any other.
        let few = BURST.min(self.pages_per_vif / 4);
        let up = self.links.iter().flatten().filter(|link| link.up);
        let short = blocked || up.into_iter().any(|link| link.queue.rx_posted() < few);
        let mut busy = false;
        for link in self.links.iter_mut().flatten().filter(|link| link.up) {
            // Without room for what comes, only a completion is news.
            let wake = Wake {
                rx: (!blocked).then_some(sleep.frames),
                tx: short.then_some(BURST as u32),
            };
            busy |= link.queue.arm(wake);
        }
        if !busy {
            self.count_sleep();
        }
        busy
    }

    fn count_sleep(&mut self) {
        let frames = self.work.frames - self.frames_before;
        self.frames_before = self.work.frames;
        let bits = (u64::BITS - frames.leading_zeros()) as usize;
        let last = self.work.frames_per_wake.len() - 1;
        self.work.frames_per_wake[bits.min(last)] += 1;
        self.work.sleeps += 1;
        self.work.gatherings += u64::from(self.wake_at.is_some());
        self.slept = true;
    }

    /// When the next turn is due, whatever comes. To be asked after [`Plane::arm`].
    pub fn deadline(&self, now: u64) -> Option<u64> {
        let unstuck = self.blocked.then(|| {
            let waiting = self.links.iter().flatten().filter(|link| link.up);
            waiting
                .map(|link| link.progress + STUCK + 1)
                .filter(|&at| at > now)
                .min()
        });
        let cutting = self.links.iter().flatten().filter(|link| link.up);
        let cut_off = cutting
            .filter_map(|link| link.cutting.as_ref())
            .map(|cutting| cutting.progress + STUCK + 1)
            .min();
        let again = self.detour.deadline(now);
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
        for link in self.links.iter().flatten() {
            link.queue.take_pending();
            let mut add = |Port(port): Port| {
                // `N` is more than 16 vifs can have.
                let _ = ports.push(port);
            };
            match link.queue.info().ports {
                netfront_rs::Ports::Shared(port) => add(port),
                netfront_rs::Ports::Split { tx, rx } => {
                    add(tx);
                    add(rx);
                }
            }
        }
    }
}
