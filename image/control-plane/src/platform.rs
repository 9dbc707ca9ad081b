//! The control plane's interface to the machine.

use alloc::boxed::Box;
use alloc::vec::Vec;

use netfront_rs::{PeerFault, RssOutcome, RssSession};
use netif::ControlInfo;
use router::Router;
use xen_hal::{DomId, Hal, HalError, Port};

use crate::data_plane_control::DataPlane;

/// The machine: clock, memory, forwarding CPUs, console.
///
/// The guest implements it with its kernel, tests in memory. All methods are called by the CPU that
/// runs the control plane.
pub trait Platform: 'static {
    /// Returns Xen's system time, in ns. It is monotonic.
    fn now_ns(&self) -> u64;

    /// Returns the time since the guest's first instruction, in ns.
    fn since_entry_ns(&self) -> u64;

    /// Returns the number of workers, one for each CPU; at least 1.
    fn workers(&self) -> usize;

    /// Calls `f` once, with the router and all workers, which may forward meanwhile. See
    /// [`with_data_plane`] for a variant with a result.
    ///
    /// Must not be called by `f`.
    fn change_data_plane(&self, f: &mut dyn FnMut(&mut dyn DataPlane));

    /// Calls `f` once, with the router, while others may forward with it. See [`with_router`] for a
    /// variant with a result.
    ///
    /// Must not be called by `f` of [`Platform::change_data_plane`].
    fn read_router(&self, f: &mut dyn FnMut(&Router));

    /// Makes all other CPUs check their vifs, even those that sleep.
    fn wake_workers(&self);

    /// Requests that [`ControlPlane::serve`](crate::ControlPlane::serve) is called soon.
    fn request_service(&self);

    /// Creates a control ring for a vif with `queues` queues, whose backend is in domain `backend`.
    ///
    /// # Errors
    /// [`HalError`]; nothing is left behind.
    fn new_rss(&self, backend: DomId, queues: usize) -> Result<Box<dyn Rss>, HalError>;

    /// Returns how many event channels can be opened now, or `most` if there are more.
    fn free_event_channels(&self, most: usize) -> usize;

    /// Returns the use of memory.
    fn memory(&self) -> MemoryUse;

    /// Returns the number of pages that backends in a domain still map though their connections
    /// ended.
    fn quarantined_pages(&self, backend: DomId) -> usize;

    /// Returns the times of CPU `cpu` since the domain was started.
    fn cpu_times(&self, cpu: usize) -> CpuTimes;

    /// Returns the number of hypercalls since the domain was started.
    fn hypercalls(&self) -> Hypercalls;

    /// Makes CPU `cpu` end the domain as a bug of its own would. Returns `false` if there is no
    /// such CPU; may not return if it is the calling one.
    fn crash(&self, cpu: usize, how: CrashKind) -> bool;

    /// Reads console input. Returns the number of bytes, at most as many as fit.
    fn read_console(&self, into: &mut [u8]) -> usize;

    /// Writes text to the console. Text without room is dropped and counted
    /// ([`MemoryUse::console_dropped_bytes`]).
    fn write_console(&self, text: &str);
}

/// Calls `f` with the router and all workers, and returns its result.
pub(crate) fn with_data_plane<T>(
    platform: &dyn Platform,
    f: impl FnOnce(&mut dyn DataPlane) -> T,
) -> T {
    let (mut f, mut result) = (Some(f), None);
    platform.change_data_plane(&mut |data_plane| result = f.take().map(|f| f(data_plane)));
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

/// The configuration of a backend's receive-side scaling over the control ring of a vif
/// ([`RssSession`]).
pub trait Rss {
    /// Returns what has to be published to the backend before the frontend is connected.
    fn info(&self) -> ControlInfo;

    /// Takes the pending state of the event channel. Returns `true` if there may be something to
    /// [`Rss::advance`] for.
    fn take_pending(&self) -> bool;

    /// Continues as far as the backend has answered. Returns the outcome, once there is one.
    ///
    /// # Errors
    /// [`PeerFault`], now and for every later call.
    fn advance(&mut self) -> Result<Option<RssOutcome>, PeerFault>;

    /// Closes the ring. Returns the number of pages that the backend still maps.
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

/// The use of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Bytes in use: pages that aren't free, minus what is free in the heap.
    pub in_use_bytes: usize,
    /// Pages of the domain.
    pub total_pages: usize,
    /// Of these, pages of the image, stack, page tables, ramdisk and heap.
    pub kernel_pages: usize,
    /// Free pages.
    pub free_pages: usize,
    /// Pages that backends still map though their connections ended.
    pub quarantined_pages: usize,
    /// Bytes of the heap that are in use.
    pub heap_used_bytes: usize,
    /// Bytes of the heap.
    pub heap_size_bytes: usize,
    /// Bytes of console output that were dropped.
    pub console_dropped_bytes: u64,
}

/// The time of a virtual CPU in each state (`vcpu_runstate_info`, vcpu.h), in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// Executing.
    pub running_ns: u64,
    /// Ready, while another domain was executing.
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

/// A kind of crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashKind {
    /// A panic.
    Panic,
    /// An access to unmapped memory.
    Fault,
    /// A stack overflow.
    Stack,
}

/// The reason for which the domain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// It was asked to power off.
    PowerOff,
    /// It was asked to reboot.
    Reboot,
    /// It was asked to crash.
    Crash,
}
