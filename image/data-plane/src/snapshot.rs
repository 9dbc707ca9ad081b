//! What is shown of workers and vifs, without what they are made of.

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
    /// Its queues, each of another worker.
    pub queues: Vec<QueueSnapshot>,
}

/// One queue of a vif.
#[derive(Clone, Copy, Debug)]
pub struct QueueSnapshot {
    /// What went through its rings.
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
    /// Where the pages are.
    pub stats: PoolStats,
}

/// A worker.
#[derive(Clone, Debug)]
pub struct WorkerSnapshot {
    /// What it did.
    pub stats: WorkerStats,
    /// What a wake-up costs, in ns of processor time.
    pub wakeup_cost_ns: u64,
    /// How long a frame may wait for others before it wakes, in ns.
    pub wait_limit_ns: u64,
    /// Events are moderated now.
    pub is_coalescing: bool,
    /// Its pages, by backend domain.
    pub pools: Vec<PoolSnapshot>,
}
