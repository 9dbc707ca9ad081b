//! Snapshots of workers and vifs.

use alloc::vec::Vec;

use netfront_rs::QueueCounters;
use page_pool::PoolStats;
use xen_hal::DomId;

use crate::stats::WorkerStats;

/// A vif.
#[derive(Clone, Debug)]
pub struct VifSnapshot {
    /// The backend's domain.
    pub backend: DomId,
    /// It is connected.
    pub up: bool,
    /// Its queues, one per worker.
    pub queues: Vec<QueueSnapshot>,
}

/// One queue of a vif.
#[derive(Clone, Copy, Debug)]
pub struct QueueSnapshot {
    /// The counters of its rings.
    pub counters: QueueCounters,
    /// Pages on the receive ring.
    pub rx_posted: usize,
    /// Free slots of the transmit ring.
    pub tx_free: usize,
}

/// The pages that are granted to one backend domain.
#[derive(Clone, Debug)]
pub struct PoolSnapshot {
    /// The domain.
    pub backend: DomId,
    /// The accounts of the pages.
    pub stats: PoolStats,
}

/// A worker.
#[derive(Clone, Debug)]
pub struct WorkerSnapshot {
    /// Its statistics.
    pub stats: WorkerStats,
    /// The cost of a wake-up, in ns of CPU time.
    pub wakeup_cost_ns: u64,
    /// The time for which a frame may wait for others, in ns.
    pub wait_limit_ns: u64,
    /// Events are moderated now.
    pub is_coalescing: bool,
    /// Its pages, by backend domain.
    pub pools: Vec<PoolSnapshot>,
}
