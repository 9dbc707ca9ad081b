//! The control plane's access to the router and the workers.

use alloc::vec::Vec;

use data_plane::{AttachError, Control, MAX_WORKERS, VifSnapshot, WorkerSnapshot};
use heapless::Vec as Bounded;
use netfront_rs::PeerFault;
use netif::{Features, QueueInfo};
use router::{InterfaceId, Router};
use xen_hal::{DomId, Hal};

/// The router and all workers: an object-safe interface to [`Control`], which documents the methods.
/// Times are in ns.
pub trait DataPlane {
    /// Returns the router.
    fn router(&self) -> &Router;

    /// [`Control::attach`].
    ///
    /// # Errors
    /// [`AttachError`]; nothing is left behind.
    fn attach(
        &mut self,
        now: u64,
        interface: InterfaceId,
        backend: DomId,
        features: Features,
        queues: usize,
    ) -> Result<Bounded<QueueInfo, MAX_WORKERS>, AttachError>;

    /// [`Control::takes_large`].
    fn takes_large(&self) -> bool;

    /// [`Control::link_up`].
    fn link_up(&mut self, now: u64, interface: InterfaceId, mac: [u8; 6], mtu: u16);

    /// [`Control::link_down`].
    fn link_down(&mut self, now: u64, interface: InterfaceId);

    /// [`Control::detach`].
    fn detach(&mut self, now: u64, interface: InterfaceId);

    /// [`Control::serve`].
    fn serve(&mut self, now: u64) -> bool;

    /// [`Control::take_faults`].
    fn take_faults(&mut self) -> Vec<(InterfaceId, PeerFault)>;

    /// [`Control::has_faults`].
    fn has_faults(&self) -> bool;

    /// [`Control::cease_advertising`].
    fn cease_advertising(&mut self, now: u64) -> bool;

    /// [`Control::gather_counters`].
    fn gather_counters(&mut self);

    /// [`Control::reap`].
    fn reap(&mut self, now: u64);

    /// [`Control::vif`].
    fn vif(&self, interface: InterfaceId) -> Option<VifSnapshot>;

    /// [`Control::worker_snapshots`].
    fn workers(&self) -> Vec<WorkerSnapshot>;
}

impl<H: Hal> DataPlane for Control<'_, H> {
    fn router(&self) -> &Router {
        self.router
    }

    fn attach(
        &mut self,
        now: u64,
        interface: InterfaceId,
        backend: DomId,
        features: Features,
        queues: usize,
    ) -> Result<Bounded<QueueInfo, MAX_WORKERS>, AttachError> {
        self.attach(now, interface, backend, features, queues)
    }

    fn takes_large(&self) -> bool {
        self.takes_large()
    }

    fn link_up(&mut self, now: u64, interface: InterfaceId, mac: [u8; 6], mtu: u16) {
        self.link_up(now, interface, mac, mtu);
    }

    fn link_down(&mut self, now: u64, interface: InterfaceId) {
        self.link_down(now, interface);
    }

    fn detach(&mut self, now: u64, interface: InterfaceId) {
        self.detach(now, interface);
    }

    fn serve(&mut self, now: u64) -> bool {
        self.serve(now)
    }

    fn take_faults(&mut self) -> Vec<(InterfaceId, PeerFault)> {
        self.take_faults()
    }

    fn has_faults(&self) -> bool {
        self.has_faults()
    }

    fn cease_advertising(&mut self, now: u64) -> bool {
        self.cease_advertising(now)
    }

    fn gather_counters(&mut self) {
        self.gather_counters();
    }

    fn reap(&mut self, now: u64) {
        self.reap(now);
    }

    fn vif(&self, interface: InterfaceId) -> Option<VifSnapshot> {
        self.vif(interface)
    }

    fn workers(&self) -> Vec<WorkerSnapshot> {
        self.worker_snapshots()
    }
}
