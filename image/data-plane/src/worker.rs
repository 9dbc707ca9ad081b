//! A worker: what one CPU forwards with.

use alloc::boxed::Box;
use alloc::vec::Vec;

use netfront_rs::PeerFault;
use page_pool::{PagePool, PoolStats};
use router::{InterfaceId, Lane, Router};
use xen_hal::{DomId, Hal};

use crate::burst::Burst;
use crate::event_moderation::EventModeration;
use crate::handoff_queue::Handoffs;
use crate::numbered;
use crate::snapshot::{PoolSnapshot, QueueSnapshot, WorkerSnapshot};
use crate::stats::WorkerStats;
use crate::vif::Vif;

/// The minimum and maximum number of pages of a vif. The maximum is a full receive ring and as many
/// in flight, besides the quarter for copies. With fewer pages in the rings, each turn of a backend
/// that shares the CPU moves fewer frames, and so costs more per frame.
const PAGES_PER_VIF: core::ops::RangeInclusive<usize> = 32..=684;
/// The number of pages that a vif needs to be offered large TCP frames (GSO): the pages that it
/// never lends then hold more than one such frame, without which its backend delivers nothing.
const PAGES_FOR_LARGE: usize = 128;
/// Pages for packets that the router makes itself, for each vif: as many as one that completes
/// nothing can hold on to, so that it silences no other.
pub(crate) const LOCAL_PAGES_PER_VIF: usize = 32;

/// A queue of each vif, and the pages that circulate between them.
pub struct Worker<H: Hal> {
    pub(crate) hal: H,
    /// What it counts, and what it leaves to the slow path.
    pub(crate) lane: Lane,
    /// By interface, as many as have or had a vif.
    pub(crate) vifs: Vec<Option<Vif<H>>>,
    /// A pool for each backend domain; one without vifs is gone.
    pub(crate) pools: Vec<Option<PagePool<H>>>,
    pub(crate) burst: Box<Burst>,
    /// The vif that is read first in this turn.
    pub(crate) first: usize,
    /// Frames for vifs that have no queue here.
    pub(crate) handoffs: Handoffs,
    pub(crate) pages_per_vif: usize,
    /// When the router wants to be polled next, of the worker that does so; at once if it is due.
    pub(crate) poll_at: Option<u64>,
    /// How to sleep.
    pub(crate) moderation: EventModeration,
    /// When to offer punted frames again for which the router had no room, in ns.
    pub(crate) offer_at: Option<u64>,
    /// When to wake so that frames whose events are moderated don't wait too long.
    pub(crate) wake_at: Option<u64>,
    /// It slept since a sleep was last planned.
    pub(crate) slept: bool,
    /// Frames received and processor time used, in ns, when a sleep was last planned.
    pub(crate) planned: (u64, u64),
    /// Frames received when it last slept.
    pub(crate) frames_before: u64,
    pub(crate) stats: WorkerStats,
}

impl<H: Hal> Worker<H> {
    /// One of `workers` workers for a router, without vifs, on a machine where `free` pages can still
    /// be had and granted.
    pub fn new(hal: H, router: &mut Router, free: usize, workers: usize) -> Self {
        let queues = router.config().vifs().max(1) * workers.max(1);
        // A quarter of the memory stays for the heap (neighbors, routes, xenstore), and a quarter of
        // the grants for rings.
        let pages = free * 3 / 4 / queues;
        let pages = pages.saturating_sub(LOCAL_PAGES_PER_VIF + 2);
        Self {
            hal,
            lane: router.new_lane(),
            vifs: Vec::new(),
            pools: Vec::new(),
            burst: Burst::new(),
            first: 0,
            handoffs: Handoffs::default(),
            pages_per_vif: pages.clamp(*PAGES_PER_VIF.start(), *PAGES_PER_VIF.end()),
            poll_at: None,
            moderation: EventModeration::new(),
            offer_at: None,
            wake_at: None,
            slept: false,
            planned: (0, 0),
            frames_before: 0,
            stats: WorkerStats::default(),
        }
    }

    /// Offers the router what it left to the slow path. Returns `true` if there is something for
    /// [`Control::serve`](crate::Control::serve) to do.
    pub fn needs_service(&mut self, now: u64) -> bool {
        self.lane.offer_punts() || self.poll_at.is_some_and(|at| at <= now)
    }

    /// Returns `true` if the backend of a vif broke the protocol:
    /// [`Control::take_faults`](crate::Control::take_faults) tells how.
    pub fn has_fault(&self) -> bool {
        self.vifs.iter().flatten().any(|vif| vif.fault.is_some())
    }

    /// The vifs whose backends broke the protocol since this was last asked, and how.
    pub(crate) fn take_faults(&mut self) -> impl Iterator<Item = (InterfaceId, PeerFault)> {
        let vifs = self.vifs.iter_mut().flatten();
        vifs.filter_map(|vif| Some((vif.interface, vif.fault.take()?)))
    }

    /// Takes back what backends have completed.
    pub(crate) fn reap(&mut self, now: u64) {
        for vif in self.vifs.iter_mut().flatten().filter(|vif| vif.up) {
            vif.reap(&mut self.pools, now);
        }
    }

    /// Returns `true` if frames are to be [handed over](Worker::hand_over) now.
    pub fn has_handoff(&self) -> bool {
        self.handoffs.are_due()
    }

    /// Shows the backends what was put on rings, and gives them pages. Returns `true` if there
    /// are more segments to be sent in the next turn.
    pub(crate) fn publish(&mut self) -> bool {
        let mut more = false;
        for vif in self.vifs.iter_mut().flatten().filter(|vif| vif.up) {
            if let Some(pool) = numbered::of_mut(&mut self.pools, vif.pool) {
                vif.queue.refill(pool);
                self.stats.notifications += u64::from(vif.queue.publish());
                more |= vif.has_more_segments();
            }
        }
        more
    }

    /// Returns `true` if vifs have enough pages for large TCP frames.
    pub fn takes_large(&self) -> bool {
        self.pages_per_vif >= PAGES_FOR_LARGE
    }

    /// Returns `true` if a vif has a queue here.
    pub(crate) fn has_vif(&self, interface: InterfaceId) -> bool {
        let vif = self.vifs.get(interface.index());
        vif.is_some_and(Option::is_some)
    }

    /// Returns its statistics since the start.
    pub fn stats(&self) -> WorkerStats {
        self.stats
    }

    /// Returns the backend of a vif, `true` if it is connected, and the queue here. `None` if it
    /// has none.
    pub(crate) fn queue_snapshot(
        &self,
        interface: InterfaceId,
    ) -> Option<(DomId, bool, QueueSnapshot)> {
        let vif = self.vifs.get(interface.index())?.as_ref()?;
        let pool = self.pools.get(vif.pool)?.as_ref()?;
        let queue = QueueSnapshot {
            counters: vif.queue.counters(),
            rx_posted: vif.queue.rx_posted(),
            tx_free: vif.queue.tx_free(),
        };
        Some((pool.peer(), vif.up, queue))
    }

    /// Returns a snapshot.
    pub(crate) fn snapshot(&self) -> WorkerSnapshot {
        WorkerSnapshot {
            stats: self.stats,
            wakeup_cost_ns: self.moderation.wakeup_cost_ns(),
            wait_limit_ns: self.moderation.wait_limit_ns(),
            is_coalescing: self.moderation.is_coalescing(),
            pools: self
                .pools()
                .map(|(backend, stats)| PoolSnapshot { backend, stats })
                .collect(),
        }
    }

    /// Returns the accounts of all pools.
    pub fn pools(&self) -> impl Iterator<Item = (DomId, PoolStats)> + '_ {
        self.pools
            .iter()
            .flatten()
            .map(|pool| (pool.peer(), pool.stats()))
    }
}
