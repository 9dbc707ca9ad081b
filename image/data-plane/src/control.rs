//! What changes the router or the workers.

use alloc::vec::Vec;
use core::array;

use heapless::Vec as Bounded;
use netfront_rs::PeerFault;
use netif::{Features, QueueInfo};
use router::{Config, ConfigError, Instant, InterfaceId, Router};
use xen_hal::{DomId, Hal};

use crate::attach::AttachError;
use crate::lanes::{Lanes, MAX_WORKERS};
use crate::router_output::RouterOutput;
use crate::snapshot::{QueueSnapshot, VifSnapshot, WorkerSnapshot};
use crate::worker::Worker;

/// The maximum number of punted frames, retries and packets of the router's own in one turn.
const SLOW_BUDGET: usize = 16;

/// The router, and the workers that forward with it meanwhile: each one is reached between two of its
/// turns, one after the other.
pub struct Control<'a, H: Hal> {
    /// What decides about each packet.
    pub router: &'a mut Router,
    /// The first one has the slow path beside its queues.
    lanes: &'a dyn Lanes<H>,
}

impl<'a, H: Hal> Control<'a, H> {
    /// Takes them. Workers beyond [`MAX_WORKERS`] are left out.
    pub fn new(router: &'a mut Router, lanes: &'a dyn Lanes<H>) -> Self {
        Self { router, lanes }
    }

    /// Returns how many workers there are.
    fn count(&self) -> usize {
        self.lanes.count().min(MAX_WORKERS)
    }

    /// Calls `f` with a worker. `None` if there is none with this number.
    fn on<T>(&self, at: usize, f: impl FnOnce(&mut Worker<H>) -> T) -> Option<T> {
        let (mut f, mut result) = (Some(f), None);
        self.lanes
            .visit(at, &mut |worker| result = f.take().map(|f| f(worker)));
        result
    }

    /// Calls `f` with each worker in turn.
    fn each(&self, mut f: impl FnMut(&mut Worker<H>)) {
        for at in 0..self.count() {
            self.on(at, &mut f);
        }
    }

    /// Returns a snapshot of a vif; `None` if it isn't connected.
    pub fn vif(&self, interface: InterfaceId) -> Option<VifSnapshot> {
        let mut queues = Vec::new();
        self.each(|worker| queues.extend(worker.queue_snapshot(interface)));
        let &(backend, up, _) = queues.first()?;
        let of_queue = |(.., queue): (DomId, bool, QueueSnapshot)| queue;
        Some(VifSnapshot {
            backend,
            up,
            queues: queues.into_iter().map(of_queue).collect(),
        })
    }

    /// Returns snapshots of the workers, in order.
    pub fn worker_snapshots(&self) -> Vec<WorkerSnapshot> {
        let mut all = Vec::new();
        self.each(|worker| all.push(worker.snapshot()));
        all
    }

    /// Makes the rings and pages of `queues` queues of a vif, or of as many as there are workers;
    /// one at least. Packets flow after [`Control::link_up`].
    ///
    /// # Errors
    /// [`AttachError`]; nothing is left behind.
    pub fn attach(
        &mut self,
        now: u64,
        interface: InterfaceId,
        backend: DomId,
        features: Features,
        queues: usize,
    ) -> Result<Bounded<QueueInfo, MAX_WORKERS>, AttachError> {
        let vifs = self.router.config().vifs().max(1);
        let tags = self.router.tables().has_vlans(interface);
        let mut infos = Bounded::new();
        for at in 0..self.count().min(queues.max(1)) {
            let attach = |worker: &mut Worker<H>| {
                worker.attach(now, tags, interface, backend, features, vifs)
            };
            match self.on(at, attach) {
                // There are no more workers than it has room for.
                Some(Ok(info)) => drop(infos.push(info)),
                Some(Err(error)) => {
                    for at in 0..infos.len() {
                        self.on(at, |worker| worker.detach(interface));
                    }
                    return Err(error);
                }
                None => {}
            }
        }
        for at in infos.len()..self.count() {
            self.on(at, |worker| worker.attach_elsewhere(interface, infos.len()));
        }
        Ok(infos)
    }

    /// Puts a configuration in place of the one in effect, as [`Router::apply`] says. Vifs of
    /// interfaces that it doesn't have are to be detached before, those of new ones attached
    /// afterwards.
    ///
    /// # Errors
    /// Those of [`Router::apply`]; nothing has changed then.
    pub fn apply(&mut self, now: u64, config: &Config) -> Result<(), ConfigError> {
        self.gather_counters();
        self.router.apply(Instant(now), config)?;
        // From now on lanes count for the interfaces that there are now.
        self.gather_counters();
        let tables = self.router.tables();
        self.each(|worker| worker.follow(tables));
        self.poll(now);
        Ok(())
    }

    /// Called when the backend of a vif is connected. `mtu` is in bytes.
    pub fn link_up(&mut self, now: u64, interface: InterfaceId, mac: [u8; 6], mtu: u16) {
        if !self.has(interface) {
            return;
        }
        self.each(|worker| worker.link_up(now, interface, mtu));
        self.router.link_up(Instant(now), interface, mac, mtu);
        self.poll(now);
    }

    /// Called when nothing may flow through a vif any more.
    pub fn link_down(&mut self, now: u64, interface: InterfaceId) {
        if !self.has(interface) {
            return;
        }
        self.each(|worker| worker.link_down(interface));
        self.router.link_down(interface);
        self.poll(now);
    }

    /// Frees the rings and pages of a vif, except those that its backend still maps.
    pub fn detach(&mut self, now: u64, interface: InterfaceId) {
        self.link_down(now, interface);
        self.each(|worker| worker.detach(interface));
    }

    /// Returns `true` if a vif has a queue: the first worker has one of each.
    fn has(&self, interface: InterfaceId) -> bool {
        let has = self.on(0, |worker| worker.has_vif(interface));
        has == Some(true)
    }

    /// Requests that the router is polled now, as at the start.
    pub fn poll(&mut self, now: u64) {
        self.on(0, |worker| worker.poll_at = Some(now));
    }

    /// Lets the router do what waits, workers' punted frames among it, beside the queues of the first
    /// worker. Returns `true` if more does.
    pub fn serve(&mut self, now: u64) -> bool {
        let Self { router, lanes } = self;
        let mut more = false;
        lanes.visit(0, &mut |first| more = serve(router, first, now));
        more
    }

    /// Stops router advertisements (RFC 4861 6.2.5). Returns `true` if there are final
    /// advertisements to send.
    pub fn cease_advertising(&mut self, now: u64) -> bool {
        let any = self.router.cease_advertising();
        if any {
            self.poll(now);
            self.serve(now);
        }
        any
    }

    /// Collects the counters of all workers.
    pub fn gather_counters(&mut self) {
        for at in 0..self.count() {
            let Self { router, lanes } = self;
            lanes.visit(at, &mut |worker| router.gather_counters(&mut worker.lane));
        }
    }

    /// Reaps completed transmit requests. Workers do so in passing, but one without traffic sleeps.
    pub fn reap(&mut self, now: u64) {
        self.each(|worker| worker.reap(now));
    }

    /// Returns the vifs whose backends broke the protocol since this was last asked, and how.
    pub fn take_faults(&mut self) -> Vec<(InterfaceId, PeerFault)> {
        let mut faults = Vec::new();
        for at in self.lanes.take_faulty() {
            self.on(at, |worker| faults.extend(worker.take_faults()));
        }
        faults
    }

    /// Returns `true` if [`Control::take_faults`] has something to return.
    pub fn has_faults(&self) -> bool {
        let mut any = false;
        self.each(|worker| any |= worker.has_fault());
        any
    }

    /// Returns `true` if vifs have enough pages for large TCP frames.
    pub fn takes_large(&self) -> bool {
        let mut all = true;
        self.each(|worker| all &= worker.takes_large());
        all
    }
}

/// Lets the router do what waits, by the queues of the first worker. Returns `true` if more does.
fn serve<H: Hal>(router: &mut Router, first: &mut Worker<H>, now: u64) -> bool {
    let is_due = first.poll_at.is_some_and(|at| at <= now);
    if !is_due && !router.has_offered() {
        return false;
    }
    let mut out = RouterOutput {
        ports: array::from_fn(|at| router.port(InterfaceId(at as u8))),
        vifs: &mut first.vifs,
        pools: &mut first.pools,
    };
    let poll = router.poll(Instant(now), SLOW_BUDGET, &mut out);
    for notice in router.take_notices() {
        log::warn!(target: "net", "{notice}");
    }
    first.poll_at = if poll.more {
        Some(now)
    } else {
        poll.next.map(|at| at.0)
    };
    first.publish();
    poll.more
}
