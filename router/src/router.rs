//! The router: its state, and what changes it beside packets.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use crate::addr::{Ipv4Network, Mac};
use crate::config::{InterfaceConfig, RouteTarget};
use crate::fib::{Fib, FibBuilder, Target};
use crate::frame::{FrameMeta, InterfaceId, MAX_INTERFACES};
use crate::local::Local;
use crate::neighbors::{Entry, NEVER, Neighbors, State, Waiting};
use crate::own::Own;
use crate::punt::PuntQueue;
use crate::rate_limit::RateLimit;
use crate::time::Instant;
use crate::{Config, Counters, DropReason};

/// The outgoing side had no room for a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom;

/// Takes the frames that the router makes or forwards slowly.
pub trait Egress {
    /// Sends a frame, copying it. `meta.len` is its length.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] if it can't be sent now; the router counts it as dropped
    /// ([`DropReason::TxFull`]).
    fn send(&mut self, out: InterfaceId, frame: &[u8], meta: FrameMeta) -> Result<(), NoRoom>;
}

/// What [`Router::poll`] left to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Poll {
    /// The budget ended before the work did: poll again soon.
    pub more: bool,
    /// When to poll again even if nothing arrives.
    pub next: Option<Instant>,
}

/// The state of an interface.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) mac: Mac,
    pub(crate) up: bool,
    /// What the link offers, and what is used of it: the smaller of that and the
    /// configured MTU.
    offered_mtu: u16,
    pub(crate) mtu: u16,
    pub(crate) addresses: Vec<Ipv4Network>,
    /// Its addresses are to be announced.
    pub(crate) announce: bool,
}

impl Link {
    fn new(config: &InterfaceConfig) -> Self {
        let mut link = Self {
            mac: Mac::default(),
            up: false,
            offered_mtu: 1500,
            mtu: 1500,
            addresses: config.addresses.iter().filter_map(|a| a.v4()).collect(),
            announce: false,
        };
        link.set_mtu(config);
        link
    }

    fn set_mtu(&mut self, config: &InterfaceConfig) {
        self.mtu = config.mtu.unwrap_or(u16::MAX).min(self.offered_mtu);
    }

    /// Whether a host on this link can have this address.
    pub(crate) fn has_host(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().any(|n| {
            n.contains(address)
                && n.broadcast() != Some(address)
                && n.network_address() != Some(address)
        })
    }

    /// The address to use towards a host: the one in its network, or else the primary one.
    pub(crate) fn address_towards(&self, host: Ipv4Addr) -> Option<Ipv4Addr> {
        let near = self.addresses.iter().find(|n| n.contains(host));
        near.or(self.addresses.first()).map(|n| n.address)
    }
}

/// What was sent on an interface.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// A router. See the [crate's documentation](crate) for how it is driven.
pub struct Router {
    config: Config,
    pub(crate) links: Vec<Link>,
    pub(crate) own: Own,
    pub(crate) fib: Fib,
    pub(crate) neighbors: Neighbors,
    pub(crate) traffic: [Traffic; MAX_INTERFACES],
    counters: Vec<Counters>,
    pub(crate) limits: [RateLimit; MAX_INTERFACES],
    pub(crate) punts: PuntQueue,
    /// Frames to be routed anew after a change of configuration.
    pub(crate) again: Vec<Waiting>,
    pub(crate) local: Local,
    pub(crate) scratch: Vec<u8>,
    /// The number of the last packet of our own that was fragmented.
    pub(crate) ident: u16,
    pub(crate) flow_key: u64,
    index_key: u64,
}

/// The next of a sequence of well mixed numbers (splitmix64).
fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Router {
    /// A router with this configuration and all links down. `seed` makes what must be hard
    /// to guess for others so: pass something random.
    pub fn new(config: &Config, seed: u64, now: Instant) -> Self {
        let mut state = seed;
        let index_key = mixed(&mut state);
        let mut router = Self {
            config: Config::empty(),
            links: Vec::new(),
            own: Own::new(mixed(&mut state)),
            fib: Fib::empty(),
            neighbors: Neighbors::new(index_key),
            traffic: [Traffic::default(); MAX_INTERFACES],
            counters: Vec::new(),
            limits: [RateLimit::default(); MAX_INTERFACES],
            punts: PuntQueue::new(),
            again: Vec::new(),
            local: Local::new(mixed(&mut state), now),
            scratch: Vec::new(),
            ident: mixed(&mut state) as u16,
            flow_key: mixed(&mut state),
            index_key,
        };
        router.apply(now, config);
        router
    }

    /// The configuration in effect.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Replaces everything that the configuration says in one step. Interfaces of the same
    /// name and attachment keep their link, neighbours and counters; others start down.
    /// Afterwards [`InterfaceId`]s are indices into the new configuration.
    pub fn apply(&mut self, now: Instant, config: &Config) {
        let _ = now;
        let old = core::mem::replace(&mut self.config, config.clone());
        // Where each interface was before, and where each of before is now.
        let before: Vec<Option<usize>> = config
            .interfaces
            .iter()
            .take(MAX_INTERFACES)
            .map(|new| {
                let same =
                    |o: &InterfaceConfig| o.name == new.name && o.attachment == new.attachment;
                old.interfaces.iter().position(same)
            })
            .collect();
        let after = |was: InterfaceId| {
            let at = before.iter().position(|&b| b == Some(was.index()))?;
            u8::try_from(at).ok().map(InterfaceId)
        };

        let (old_links, old_counters) = (
            core::mem::take(&mut self.links),
            core::mem::take(&mut self.counters),
        );
        let (old_traffic, old_limits) = (self.traffic, self.limits);
        self.traffic = [Traffic::default(); MAX_INTERFACES];
        self.limits = [RateLimit::default(); MAX_INTERFACES];
        for (at, (interface, &was)) in config.interfaces.iter().zip(&before).enumerate() {
            let mut link = Link::new(interface);
            if let Some(was) = was.and_then(|w| old_links.get(w)) {
                link.announce = was.up && was.addresses != link.addresses || was.announce;
                (link.mac, link.up, link.offered_mtu) = (was.mac, was.up, was.offered_mtu);
                link.set_mtu(interface);
            }
            self.links.push(link);
            self.counters.push(
                was.and_then(|w| old_counters.get(w))
                    .cloned()
                    .unwrap_or_default(),
            );
            if let (Some(to), Some(from)) = (
                self.traffic.get_mut(at),
                was.and_then(|w| old_traffic.get(w)),
            ) {
                *to = *from;
            }
            if let (Some(to), Some(from)) =
                (self.limits.get_mut(at), was.and_then(|w| old_limits.get(w)))
            {
                *to = *from;
            }
        }

        let mut old_neighbors =
            core::mem::replace(&mut self.neighbors, Neighbors::new(self.index_key));
        for index in 0..old_neighbors.slots() {
            for mut waiting in old_neighbors.take_queue(index) {
                if let Some(input) = after(waiting.input) {
                    waiting.input = input;
                    self.again.push(waiting);
                }
            }
            let used = old_neighbors.take_used(index);
            let mac = old_neighbors
                .adjacencies
                .get(index)
                .and_then(|a| a.stations.first_chunk());
            if let Some(entry) = old_neighbors.entry(index)
                && let Some(&mac) = mac
                && let Some(interface) = after(entry.interface)
            {
                self.keep_neighbor(entry, interface, Mac(mac), used);
            }
        }
        self.punts.renumber(after);
        self.rebuild();
    }

    /// Takes a neighbour over from before a change of configuration, if it is known and
    /// still on its link.
    fn keep_neighbor(&mut self, old: &Entry, interface: InterfaceId, mac: Mac, used: bool) {
        let known = matches!(old.state, State::Reachable | State::Probing(_));
        let here = self
            .links
            .get(interface.index())
            .is_some_and(|l| l.has_host(old.address));
        if known
            && here
            && let Some(index) = self.neighbor(interface, old.address)
        {
            self.open_neighbor(index, interface, mac);
            self.neighbors.set(index, old.state, old.deadline);
            if let Some(adjacency) = self.neighbors.adjacencies.get_mut(index) {
                adjacency.used = used;
            }
        }
    }

    /// The link of an interface works: `mtu` is the largest IP packet it carries, in bytes.
    pub fn link_up(&mut self, now: Instant, interface: InterfaceId, mac: [u8; 6], mtu: u16) {
        self.link_down(now, interface);
        let (Some(link), Some(config)) = (
            self.links.get_mut(interface.index()),
            self.config.interfaces.get(interface.index()),
        ) else {
            return;
        };
        link.mac = Mac(mac);
        link.offered_mtu = mtu;
        link.set_mtu(config);
        link.up = true;
        link.announce = true;
        self.rebuild();
    }

    /// The link of an interface is gone, and with it what was learnt on it.
    pub fn link_down(&mut self, now: Instant, interface: InterfaceId) {
        let _ = now;
        let Some(link) = self.links.get_mut(interface.index()).filter(|l| l.up) else {
            return;
        };
        link.up = false;
        link.announce = false;
        for index in 0..self.neighbors.slots() {
            if self
                .neighbors
                .entry(index)
                .is_some_and(|e| e.interface == interface)
            {
                self.forget(index);
            }
        }
        self.rebuild();
    }

    /// Whether every configured interface has its link.
    pub fn all_links_up(&self) -> bool {
        !self.links.is_empty() && self.links.iter().all(|l| l.up)
    }

    /// Whether an interface has its link.
    pub fn is_up(&self, interface: InterfaceId) -> bool {
        self.links.get(interface.index()).is_some_and(|l| l.up)
    }

    /// Makes the forwarding table anew from the configuration and the state of the links.
    fn rebuild(&mut self) {
        for index in 0..self.neighbors.slots() {
            if let Some(entry) = self.neighbors.entry_mut(index) {
                entry.pinned = false;
            }
        }
        let config = core::mem::replace(&mut self.config, Config::empty());
        self.own.clear();
        for neighbor in &config.neighbors {
            let (Ok(at), IpAddr::V4(address)) =
                (u8::try_from(neighbor.interface), neighbor.address)
            else {
                continue;
            };
            let interface = InterfaceId(at);
            if let Some(index) = self.pin(interface, address) {
                self.neighbors.set(index, State::Static, NEVER);
                self.open_neighbor(index, interface, neighbor.mac);
            }
        }
        let mut fib = FibBuilder::default();
        for route in &config.routes {
            let Some(prefix) = route.prefix.v4() else {
                continue;
            };
            if let Some(target) = self.target(&mut fib, &route.target) {
                fib.route(prefix.first(), prefix.len, target);
            }
        }
        for (at, link) in (0u8..).zip(&self.links) {
            for network in link.addresses.iter().filter(|_| link.up) {
                fib.route(network.first(), network.len, Target::OnLink(at));
            }
        }
        for link in &self.links {
            for network in &link.addresses {
                let ends = [network.network_address(), network.broadcast()];
                for end in ends.into_iter().flatten() {
                    fib.route(end.to_bits(), 32, Target::Nowhere(DropReason::Broadcast));
                    self.own.add(end, DropReason::MartianSource);
                }
            }
        }
        for network in self.links.iter().flat_map(|l| &l.addresses) {
            fib.route(network.address.to_bits(), 32, Target::Local);
            self.own.add(network.address, DropReason::OwnSource);
        }
        self.fib = fib.build();
        self.config = config;
    }

    /// The target of a configured route, if one of its interfaces is up.
    fn target(&mut self, fib: &mut FibBuilder, target: &RouteTarget) -> Option<Target> {
        match target {
            RouteTarget::Blackhole => Some(Target::Nowhere(DropReason::Blackhole)),
            RouteTarget::Unreachable => Some(Target::Nowhere(DropReason::Unreachable)),
            RouteTarget::Prohibit => Some(Target::Nowhere(DropReason::Prohibited)),
            RouteTarget::Interface(at) => {
                let up = self.links.get(*at).is_some_and(|l| l.up);
                Some(Target::OnLink(u8::try_from(*at).ok().filter(|_| up)?))
            }
            RouteTarget::Via(gateways) => {
                let mut members = Vec::with_capacity(gateways.len());
                for via in gateways {
                    let IpAddr::V4(address) = via.address else {
                        continue;
                    };
                    if !self.links.get(via.interface).is_some_and(|l| l.up) {
                        continue;
                    }
                    let interface = InterfaceId(u8::try_from(via.interface).ok()?);
                    let member = match self.pin(interface, address) {
                        Some(index) => Target::Neighbor(u32::try_from(index).ok()?),
                        None => Target::Nowhere(DropReason::NeighborTableFull),
                    };
                    members.push((member, via.weight));
                }
                (!members.is_empty()).then(|| fib.group(&members))
            }
        }
    }

    /// A neighbour that keeps its index while the forwarding table refers to it.
    fn pin(&mut self, interface: InterfaceId, address: Ipv4Addr) -> Option<usize> {
        let index = self.neighbor(interface, address)?;
        self.neighbors.entry_mut(index)?.pinned = true;
        Some(index)
    }

    /// Counts frames that the caller lost: [`DropReason::NoBuffer`] and
    /// [`DropReason::RxError`] on the receiving interface.
    pub fn count_drop(&mut self, interface: InterfaceId, reason: DropReason, frames: u64) {
        self.drop_frames(interface, reason, frames);
    }

    /// Takes back frames that were to be forwarded but found no room on the outgoing
    /// interface `out`: they count as [`DropReason::TxFull`] there and not as sent.
    pub fn count_tx_full(&mut self, out: InterfaceId, frames: u64, bytes: u64) {
        if let Some(traffic) = self.traffic.get_mut(out.index()) {
            traffic.packets = traffic.packets.wrapping_sub(frames);
            traffic.bytes = traffic.bytes.wrapping_sub(bytes);
        }
        self.drop_frames(out, DropReason::TxFull, frames);
    }

    /// The counters of an interface, if it exists.
    pub fn counters(&self, interface: InterfaceId) -> Option<Counters> {
        let mut counters = self.counters.get(interface.index())?.clone();
        let traffic = self.traffic.get(interface.index())?;
        counters.tx_packets = traffic.packets;
        counters.tx_bytes = traffic.bytes;
        Some(counters)
    }

    /// How many frames wait, for the slow path or for a neighbour.
    pub fn pending(&self) -> usize {
        self.punts.len() + self.neighbors.waiting_frames + self.again.len()
    }

    pub(crate) fn with_counters(&mut self, interface: InterfaceId, f: impl FnOnce(&mut Counters)) {
        if let Some(counters) = self.counters.get_mut(interface.index()) {
            f(counters);
        }
    }

    pub(crate) fn drop_frames(&mut self, interface: InterfaceId, reason: DropReason, frames: u64) {
        self.with_counters(interface, |c| c.drop(reason, frames));
    }

    pub(crate) fn count_received(&mut self, interface: InterfaceId, frames: u64, bytes: u64) {
        self.with_counters(interface, |c| {
            c.rx_packets += frames;
            c.rx_bytes += bytes;
        });
    }
}
