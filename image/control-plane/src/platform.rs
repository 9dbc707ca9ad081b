//! What the control plane needs of the machine it runs on.

use alloc::boxed::Box;
use alloc::vec::Vec;

use netfront_rs::{PeerFault, RssOutcome, RssSession};
use netif::ControlInfo;
use router::Router;
use xen_hal::{DomId, Hal, HalError, Port};

use crate::data_plane_control::DataPlane;

/// The machine: its clock, its memory, its CPUs that forward, its console.
///
/// The guest has one, implemented with its kernel; tests have one in memory. All methods are called
/// by the CPU that runs the control plane.
pub trait Platform: 'static {
    /// Xen's system time, in ns. It never goes back.
    fn now_ns(&self) -> u64;

    /// Time since the guest's first instruction, in ns.
    fn since_entry_ns(&self) -> u64;

    /// Returns how many workers forward: one for each CPU. At least 1.
    fn workers(&self) -> usize;

    /// Calls `f` once, with the router and all workers, while none of them forwards.
    /// [`with_data_plane`] has a result.
    ///
    /// Not to be called by `f`.
    fn stop_workers(&self, f: &mut dyn FnMut(&mut dyn DataPlane));

    /// Calls `f` once, with the router, while others may forward with it. [`with_router`] has a
    /// result.
    ///
    /// Not to be called by `f` of [`Platform::stop_workers`].
    fn read_router(&self, f: &mut dyn FnMut(&Router));

    /// Has all other CPUs look at their vifs again, even those that sleep.
    fn wake_workers(&self);

    /// Has [`ControlPlane::serve`](crate::ControlPlane::serve) called soon.
    fn request_service(&self);

    /// Makes a control ring for a vif of `queues` queues, whose backend is in domain `backend`.
    ///
    /// # Errors
    /// [`HalError`]; nothing is left behind.
    fn new_rss(&self, backend: DomId, queues: usize) -> Result<Box<dyn Rss>, HalError>;

    /// Returns how many event channels can be opened now, or `most` if there are more.
    fn free_event_channels(&self, most: usize) -> usize;

    /// Returns what memory is used for.
    fn memory(&self) -> MemoryUse;

    /// Returns the number of pages that backends in a domain still map though their connections
    /// ended.
    fn quarantined_pages(&self, backend: DomId) -> usize;

    /// Returns what CPU `cpu` spent its time with since the domain was started.
    fn cpu_times(&self, cpu: usize) -> CpuTimes;

    /// Hypercalls since the domain was started.
    fn hypercalls(&self) -> Hypercalls;

    /// Has CPU `cpu` end the domain as a bug of its own would. Returns `false` if there is no such
    /// CPU; may not return if it is the one that calls.
    fn crash(&self, cpu: usize, how: CrashKind) -> bool;

    /// Takes bytes that were typed on the console. Returns how many; as many as fit if there are
    /// more.
    fn read_console(&self, into: &mut [u8]) -> usize;

    /// Writes text to the console. What it has no room for is dropped and counted
    /// ([`MemoryUse::console_dropped_bytes`]).
    fn write_console(&self, text: &str);
}

/// Calls `f` with the router and all workers, while none of them forwards, and returns its result.
pub(crate) fn with_data_plane<T>(
    platform: &dyn Platform,
    f: impl FnOnce(&mut dyn DataPlane) -> T,
) -> T {
    let (mut f, mut result) = (Some(f), None);
    platform.stop_workers(&mut |data_plane| result = f.take().map(|f| f(data_plane)));
    result.unwrap_or_else(|| unreachable!("the platform calls it once"))
}

/// Returns how many event channels can be opened now, or `most` if there are more. Nobody says how many
/// a domain may have (`max_event_channels`), so they are opened, and closed again.
pub fn free_event_channels(hal: impl Hal, most: usize) -> usize {
    let ports = (0..most).map_while(|_| hal.alloc_port(DomId(0)).ok());
    let ports: Vec<Port> = ports.collect();
    ports.iter().for_each(|&port| hal.close_port(port));
    ports.len()
}

/// Calls `f` with the router, and returns its result.
pub(crate) fn with_router<T>(platform: &dyn Platform, f: impl FnOnce(&Router) -> T) -> T {
    let (mut f, mut result) = (Some(f), None);
    platform.read_router(&mut |router| result = f.take().map(|f| f(router)));
    result.unwrap_or_else(|| unreachable!("the platform calls it once"))
}

/// What is said to a backend about queues, over the control ring of a vif ([`RssSession`]).
pub trait Rss {
    /// Returns what the backend must be told before the frontend is connected.
    fn info(&self) -> ControlInfo;

    /// Takes the pending state of the event channel. Returns `true` if there may be something to
    /// [`Rss::advance`] for.
    fn take_pending(&self) -> bool;

    /// Goes on as far as the backend has answered. Returns how it ended, once it has.
    ///
    /// # Errors
    /// [`PeerFault`], now and for every later call.
    fn advance(&mut self) -> Result<Option<RssOutcome>, PeerFault>;

    /// Ends the ring. Returns how many pages the backend didn't let go of.
    fn close(self: Box<Self>) -> usize;
}

impl<H: Hal> Rss for RssSession<H> {
    fn info(&self) -> ControlInfo {
        Self::info(self)
    }

    fn take_pending(&self) -> bool {
        Self::take_pending(self)
    }

    fn advance(&mut self) -> Result<Option<RssOutcome>, PeerFault> {
        Self::advance(self)
    }

    fn close(self: Box<Self>) -> usize {
        Self::close(*self)
    }
}

/// What memory is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Bytes that are in use: pages that aren't free, without what is free in the heap.
    pub in_use_bytes: usize,
    /// Pages of the domain.
    pub total_pages: usize,
    /// Pages of these that hold the image and the kernel's tables.
    pub kernel_pages: usize,
    /// Pages that nobody uses.
    pub free_pages: usize,
    /// Pages that backends still map though their connections ended.
    pub quarantined_pages: usize,
    /// Bytes of the heap that are in use.
    pub heap_used_bytes: usize,
    /// Bytes of the heap.
    pub heap_size_bytes: usize,
    /// Bytes that the console had no room for.
    pub console_dropped_bytes: u64,
}

/// What a virtual CPU spent its time with (`vcpu_runstate_info`, vcpu.h), in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// Executing.
    pub running_ns: u64,
    /// Ready, but another domain was executing.
    pub runnable_ns: u64,
    /// Asleep.
    pub blocked_ns: u64,
}

/// Hypercalls since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hypercalls {
    /// All.
    pub total: u64,
    /// `HYPERVISOR_sched_op`.
    pub sched_op: u64,
    /// `HYPERVISOR_event_channel_op`.
    pub event_channel_op: u64,
}

/// A way to end as a bug would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashKind {
    /// A panic.
    Panic,
    /// An access to memory that isn't there.
    Fault,
    /// The stack's end.
    Stack,
}

/// Why the domain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// It was asked to power off.
    PowerOff,
    /// It was asked to reboot.
    Reboot,
    /// It was asked to crash.
    Crash,
}
