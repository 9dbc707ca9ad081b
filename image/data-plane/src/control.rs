//! What changes the router or the planes: for whoever has all of them to himself.

use super::*;

/// Most planes that forward with one router.
pub const MAX_LANES: usize = 8;

/// The router and all planes that forward with it, while none of them does.
pub struct Control<'a, H: Hal> {
    /// What decides about each packet.
    pub router: &'a mut Router,
    /// The first one has the slow path beside its queues.
    pub(super) planes: Bounded<&'a mut Plane<H>, MAX_LANES>,
}

impl<'a, H: Hal> Control<'a, H> {
    /// Takes them. Planes beyond [`MAX_LANES`] are left out.
    pub fn new(router: &'a mut Router, planes: impl IntoIterator<Item = &'a mut Plane<H>>) -> Self {
        let planes = planes.into_iter().take(MAX_LANES).collect();
        Self { router, planes }
    }

    /// The planes.
    pub fn planes(&self) -> impl ExactSizeIterator<Item = &Plane<H>> {
        self.planes.iter().map(|plane| &**plane)
    }

    /// Makes the rings and pages of `queues` queues of a vif, or of as many as there are planes;
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
    ) -> Result<Bounded<QueueInfo, MAX_LANES>, AttachError> {
        let vifs = self.router.config().vifs().max(1);
        let mut infos = Bounded::new();
        for at in 0..queues.clamp(1, self.planes.len()) {
            match self.planes[at].attach(now, interface, backend, features, vifs) {
                // There are no more planes than it has room for.
                Ok(info) => drop(infos.push(info)),
                Err(error) => {
                    for plane in &mut self.planes[..at] {
                        plane.detach(interface);
                    }
                    return Err(error);
                }
            }
        }
        Ok(infos)
    }

    /// The backend of a vif is connected. `mtu` is the largest IP packet that it carries, in bytes.
    pub fn link_up(&mut self, now: u64, interface: InterfaceId, mac: [u8; 6], mtu: u16) {
        if !self.has(interface) {
            return;
        }
        for plane in &mut self.planes {
            plane.link_up(now, interface, mtu);
        }
        self.router.link_up(Instant(now), interface, mac, mtu);
        self.poll(now);
    }

    /// Nothing more flows through a vif.
    pub fn link_down(&mut self, now: u64, interface: InterfaceId) {
        if !self.has(interface) {
            return;
        }
        for plane in &mut self.planes {
            plane.link_down(interface);
        }
        self.router.link_down(Instant(now), interface);
        self.poll(now);
    }

    /// Gives the rings and pages of a vif back, as far as its backend let go of them.
    pub fn detach(&mut self, now: u64, interface: InterfaceId) {
        self.link_down(now, interface);
        for plane in &mut self.planes {
            plane.detach(interface);
        }
    }

    fn has(&self, interface: InterfaceId) -> bool {
        let first = self.planes.first();
        first.is_some_and(|plane| plane.has(interface))
    }

    /// The router has something to do, whatever it wanted before, as at the start.
    pub fn poll(&mut self, now: u64) {
        if let Some(first) = self.planes.first_mut() {
            first.poll_at = Some(now);
        }
    }

    /// Lets the router do what waits, planes' punted frames among it. Whether more does.
    pub fn serve(&mut self, now: u64) -> bool {
        let mut punts = false;
        for plane in &mut self.planes {
            punts |= plane.lane.has_punts();
            self.router.gather_punts(&mut plane.lane);
        }
        let Some(first) = self.planes.first_mut() else {
            return false;
        };
        if !punts && first.poll_at.is_none_or(|at| at > now) {
            return false;
        }
        let mut out = Outgoing {
            ports: &first.ports,
            links: &mut first.links,
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
        poll.more || self.planes.iter().any(|plane| plane.lane.has_punts())
    }

    /// Tells hosts that the router is none any more. Whether there are any to be told.
    pub fn cease_advertising(&mut self, now: u64) -> bool {
        let any = self.router.cease_advertising();
        if any {
            self.poll(now);
            self.serve(now);
        }
        any
    }

    /// Has the router know what all planes counted.
    pub fn gather_counters(&mut self) {
        for plane in &mut self.planes {
            self.router.gather_counters(&mut plane.lane);
        }
    }

    /// Takes back what backends have completed. Planes do so in passing, but one without traffic sleeps.
    pub fn reap(&mut self, now: u64) {
        for plane in &mut self.planes {
            for link in plane.links.iter_mut().flatten().filter(|link| link.up) {
                reap(link, &mut plane.pools, now);
            }
        }
    }

    /// The vifs whose backends broke the protocol since this was last asked, and how.
    pub fn take_faults(&mut self) -> impl Iterator<Item = (InterfaceId, PeerFault)> {
        let links = self.planes.iter_mut().flat_map(|plane| &mut plane.links);
        let faults = links
            .flatten()
            .map(|link| (link.interface, &mut link.fault));
        faults.filter_map(|(interface, fault)| Some((interface, fault.take()?)))
    }

    /// Whether [`Control::take_faults`] has something to tell.
    pub fn has_faults(&self) -> bool {
        let mut links = self.planes().flat_map(|plane| plane.links.iter().flatten());
        links.any(|link| link.fault.is_some())
    }

    /// Whether vifs have the pages for large TCP frames.
    pub fn takes_large(&self) -> bool {
        self.planes().all(Plane::takes_large)
    }
}
