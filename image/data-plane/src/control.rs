//! Operations that need exclusive access to the router and all workers.

use alloc::vec::Vec;
use core::array;

use heapless::Vec as Bounded;
use netfront_rs::PeerFault;
use netif::{Features, QueueInfo};
use router::{Config, ConfigError, Instant, InterfaceId, Router, TableUse};
use xen_hal::{DomId, Hal};

use crate::attach::AttachError;
use crate::router_output::RouterOutput;
use crate::snapshot::{VifSnapshot, WorkerSnapshot};
use crate::worker::Worker;

/// The maximum number of punted frames, retries and packets of the router's own in one turn.
const SLOW_BUDGET: usize = 16;

/// The maximum number of workers.
pub const MAX_WORKERS: usize = 8;

/// The router and all workers that forward with it, while none of them does.
pub struct Control<'a, H: Hal> {
    /// What decides about each packet.
    pub router: &'a mut Router,
    /// The first one has the slow path beside its queues.
    workers: Bounded<&'a mut Worker<H>, MAX_WORKERS>,
}

impl<'a, H: Hal> Control<'a, H> {
    /// Creates a `Control`. Workers beyond [`MAX_WORKERS`] are ignored.
    pub fn new(
        router: &'a mut Router,
        workers: impl IntoIterator<Item = &'a mut Worker<H>>,
    ) -> Self {
        let workers = workers.into_iter().take(MAX_WORKERS).collect();
        Self { router, workers }
    }

    /// Returns the workers.
    pub fn workers(&self) -> impl ExactSizeIterator<Item = &Worker<H>> {
        self.workers.iter().map(|worker| &**worker)
    }

    /// Returns a snapshot of a vif; `None` if it isn't connected.
    pub fn vif(&self, interface: InterfaceId) -> Option<VifSnapshot> {
        let queues = || {
            self.workers()
                .filter_map(|worker| worker.queue_snapshot(interface))
        };
        let (backend, up, _) = queues().next()?;
        Some(VifSnapshot {
            backend,
            up,
            queues: queues().map(|(.., queue)| queue).collect(),
        })
    }

    /// Returns snapshots of the workers, in order.
    pub fn worker_snapshots(&self) -> Vec<WorkerSnapshot> {
        self.workers().map(Worker::snapshot).collect()
    }

    /// The tables that others fill, those of the workers' lanes among them ([`Router::table_uses`]).
    pub fn table_uses(&self, now: u64) -> Vec<TableUse> {
        let lanes = self.workers().map(|worker| &worker.lane);
        self.router.table_uses(Instant(now), lanes)
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
        let mut infos = Bounded::new();
        for worker in self.workers.iter_mut().take(queues.max(1)) {
            let tables = self.router.tables();
            match worker.attach(now, tables, interface, backend, features, vifs) {
                // There are no more workers than it has room for.
                Ok(info) => drop(infos.push(info)),
                Err(error) => {
                    for worker in self.workers.iter_mut().take(infos.len()) {
                        worker.detach(interface);
                    }
                    return Err(error);
                }
            }
        }
        for worker in self.workers.iter_mut().skip(infos.len()) {
            worker.attach_elsewhere(interface);
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
        for worker in &mut self.workers {
            worker.follow(self.router.tables());
        }
        self.poll(now);
        Ok(())
    }

    /// Called when the backend of a vif is connected. `mtu` is in bytes.
    pub fn link_up(&mut self, now: u64, interface: InterfaceId, mac: [u8; 6], mtu: u16) {
        if !self.has(interface) {
            return;
        }
        for worker in &mut self.workers {
            worker.link_up(now, interface, mtu);
        }
        self.router.link_up(Instant(now), interface, mac, mtu);
        self.poll(now);
    }

    /// Called when nothing may flow through a vif any more.
    pub fn link_down(&mut self, now: u64, interface: InterfaceId) {
        if !self.has(interface) {
            return;
        }
        for worker in &mut self.workers {
            worker.link_down(interface);
        }
        self.router.link_down(interface);
        self.poll(now);
    }

    /// Frees the rings and pages of a vif, except those that its backend still maps.
    pub fn detach(&mut self, now: u64, interface: InterfaceId) {
        self.link_down(now, interface);
        for worker in &mut self.workers {
            worker.detach(interface);
        }
    }

    /// Returns `true` if a vif has a queue: the first worker has one of each.
    fn has(&self, interface: InterfaceId) -> bool {
        let first = self.workers.first();
        first.is_some_and(|worker| worker.has_vif(interface))
    }

    /// Requests that the router is polled now, as at the start.
    pub fn poll(&mut self, now: u64) {
        if let Some(first) = self.workers.first_mut() {
            first.poll_at = Some(now);
        }
    }

    /// Runs the router's slow path, including the workers' punted frames. Returns `true` if there
    /// is more to do.
    pub fn serve(&mut self, now: u64) -> bool {
        let mut punts = false;
        for worker in &mut self.workers {
            punts |= worker.lane.has_punts();
            self.router.gather_punts(&mut worker.lane);
        }
        let Some(first) = self.workers.first_mut() else {
            return false;
        };
        if !punts && first.poll_at.is_none_or(|at| at > now) {
            return false;
        }
        let router = &self.router;
        let mut out = RouterOutput {
            ports: array::from_fn(|at| router.port(InterfaceId(at as u8))),
            vifs: &mut first.vifs,
            pools: &mut first.pools,
        };
        let poll = self.router.poll(Instant(now), SLOW_BUDGET, &mut out);
        for notice in self.router.take_notices() {
            log::warn!(target: "net", "{notice}");
        }
        first.poll_at = if poll.more {
            Some(now)
        } else {
            poll.next.map(|at| at.0)
        };
        first.publish();
        poll.more || self.workers.iter().any(|worker| worker.lane.has_punts())
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
        for worker in &mut self.workers {
            self.router.gather_counters(&mut worker.lane);
        }
    }

    /// Reaps completed transmit requests. Workers do so in passing, but one without traffic sleeps.
    pub fn reap(&mut self, now: u64) {
        for worker in &mut self.workers {
            for vif in worker.vifs.iter_mut().flatten().filter(|vif| vif.up) {
                vif.reap(&mut worker.pools, now);
            }
        }
    }

    /// Returns the vifs whose backends violated the protocol since the last call, with the
    /// violations.
    pub fn take_faults(&mut self) -> impl Iterator<Item = (InterfaceId, PeerFault)> {
        let vifs = self.workers.iter_mut().flat_map(|worker| &mut worker.vifs);
        let faults = vifs.flatten().map(|vif| (vif.interface, &mut vif.fault));
        faults.filter_map(|(interface, fault)| Some((interface, fault.take()?)))
    }

    /// Returns `true` if [`Control::take_faults`] has something to return.
    pub fn has_faults(&self) -> bool {
        let mut vifs = self
            .workers()
            .flat_map(|worker| worker.vifs.iter().flatten());
        vifs.any(|vif| vif.fault.is_some())
    }

    /// Returns `true` if vifs have enough pages for large TCP frames.
    pub fn takes_large(&self) -> bool {
        self.workers().all(Worker::takes_large)
    }

    /// Hands frames for vifs without a queue on the worker that received them over to workers that
    /// have one. Returns `true` if any were sent.
    pub fn hand_off(&mut self, now: u64) -> bool {
        let mut any = false;
        for at in 0..self.workers.len() {
            let mut which = 0;
            while let Some(source) = self.workers.get(at)
                && let Some(vif) = source.handoff_vif(which)
            {
                // The first workers have queues, and a flow always leaves by the same one.
                let queues = self.workers().filter(|worker| worker.has_vif(vif)).count();
                let to = at.checked_rem(queues);
                any |= match to.map(|to| self.workers.get_disjoint_mut([at, to])) {
                    Some(Ok([source, target])) => source.hand_over(which, Some(target), now),
                    // It came to have one.
                    _ => {
                        let source = self.workers.get_mut(at);
                        source.is_some_and(|source| source.hand_over(which, None, now))
                    }
                };
                which += 1;
            }
        }
        for worker in &mut self.workers {
            worker.publish();
        }
        any
    }
}
