//! Frames for vifs that have no queue on the worker that received them, since their backend
//! supports fewer than others. They are copied to a worker that has one.
//!
//! They wait by vif, a burst for each, until the other worker is between two turns. Those that find no
//! room there wait on, and hold up neither those for other vifs nor what is received.

use alloc::vec::Vec;

use page_pool::PagePool;
use router::{BURST, InterfaceId, Lane};
use xen_hal::Hal;

use crate::tx::{Run, TxDrops};
use crate::waiting::WaitingFrames;

/// How soon frames are tried again for which there was no room, in ns, and how late at most. The other
/// worker stands still for that, so where nothing leaves it is seldom done.
const RETRY_NS: core::ops::RangeInclusive<u64> = 100_000..=1_000_000;

/// Frames for a vif without a queue here.
pub(crate) struct Handoff {
    pub(crate) vif: InterfaceId,
    /// How many workers have one: the first ones.
    pub(crate) queues: usize,
    pub(crate) waiting: WaitingFrames,
    /// When they are to be tried again, in ns.
    pub(crate) retry_at: u64,
    /// How long after that, in ns.
    pause: u64,
}

impl Handoff {
    /// Some found no room; `any` others did.
    pub(crate) fn try_again(&mut self, any: bool, now: u64) {
        if any {
            self.pause = *RETRY_NS.start();
        }
        self.retry_at = now + self.pause;
        self.pause = (self.pause * 2).min(*RETRY_NS.end());
    }
}

/// The frames of a worker for vifs that have no queue on it.
#[derive(Default)]
pub(crate) struct Handoffs {
    pub(crate) by_vif: Vec<Handoff>,
    /// When the worker last took a turn, in ns.
    now: u64,
}

impl Handoffs {
    /// A vif comes that has no queue here, but one on each of the first `queues` workers.
    pub(crate) fn add(&mut self, vif: InterfaceId, queues: usize) {
        if self.of(vif).is_none() {
            self.by_vif.push(Handoff {
                vif,
                queues,
                waiting: WaitingFrames::new(BURST),
                retry_at: 0,
                pause: *RETRY_NS.start(),
            });
        }
    }

    /// A vif without a queue here is gone, and so are the frames for it.
    pub(crate) fn remove<H: Hal>(
        &mut self,
        vif: InterfaceId,
        pools: &mut [Option<PagePool<H>>],
        lane: &mut Lane,
    ) {
        self.by_vif.retain_mut(|it| {
            let goes = it.vif == vif;
            if goes {
                it.waiting.drop(pools, lane, |_| true);
            }
            !goes
        });
    }

    /// Drops the frames of those pools for whose index `gone` returns `true`.
    pub(crate) fn drop<H: Hal>(
        &mut self,
        pools: &mut [Option<PagePool<H>>],
        lane: &mut Lane,
        gone: impl Fn(usize) -> bool + Copy,
    ) {
        for it in &mut self.by_vif {
            it.waiting.drop(pools, lane, gone);
        }
    }

    /// Vifs that have no queue here.
    pub(crate) fn len(&self) -> usize {
        self.by_vif.len()
    }

    fn of(&self, vif: InterfaceId) -> Option<&Handoff> {
        self.by_vif.iter().find(|it| it.vif == vif)
    }

    pub(crate) fn note_time(&mut self, now: u64) {
        self.now = now;
    }

    /// Returns `true` if frames are to be handed over now.
    pub(crate) fn are_due(&self) -> bool {
        let due = |it: &Handoff| !it.waiting.is_empty() && it.retry_at <= self.now;
        self.by_vif.iter().any(due)
    }

    /// When frames are to be handed over again, in ns. `None` if none wait.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let waiting = self.by_vif.iter().filter(|it| !it.waiting.is_empty());
        waiting.map(|it| it.retry_at).min()
    }

    /// Returns the number of frames that may come to wait for a vif, of a home that lends `share`
    /// pages to each.
    pub(crate) fn room(&self, vif: InterfaceId, share: usize) -> usize {
        match self.of(vif) {
            Some(handoff) if handoff.waiting.is_empty() => share.min(BURST),
            _ => 0,
        }
    }

    /// Takes in frames for a vif. `spare` is how many pages their home may lend, and is then less
    /// by theirs.
    #[cold]
    pub(crate) fn take_in<H: Hal>(
        &mut self,
        vif: InterfaceId,
        pools: &mut [Option<PagePool<H>>],
        run: Run<'_>,
        spare: &mut usize,
    ) -> TxDrops {
        let mut lost = TxDrops::default();
        let Run {
            path,
            home,
            headers,
            frames,
        } = run;
        let Some(Some(pool)) = pools.get_mut(path.from) else {
            return lost;
        };
        let mut handoff = self.by_vif.iter_mut().find(|it| it.vif == vif);
        let held = handoff
            .as_ref()
            .map_or(0, |it| it.waiting.pages_of(path.from, home));
        let mut most = pool.share(home).saturating_sub(held).min(*spare);
        for (frame, header) in frames.iter_mut().zip(headers) {
            let frame = core::mem::take(frame);
            let (pages, len) = (frame.slots(), frame.len());
            let pushed = match &mut handoff {
                Some(it) if pages <= most => it.waiting.push(&path, home, frame, &header.0),
                _ => Err(frame),
            };
            match pushed {
                Ok(()) => {
                    most -= pages;
                    *spare -= pages;
                }
                Err(frame) => {
                    lost.add_full(len);
                    pool.free(frame);
                }
            }
        }
        lost
    }
}
