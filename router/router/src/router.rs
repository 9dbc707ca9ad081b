//! The router: its state, and what changes it beside packets.

use alloc::string::String;
use alloc::vec::Vec;

use crate::forward::lane::Lane;
use crate::frame::{FrameMeta, InterfaceId, MAX_INTERFACES};
use crate::interface::acd::Acd;
use crate::interface::link::{DadState, Link};
use crate::interface::vlan_map::Vlans;
use crate::local::reassembly::Reassembly;
use crate::neighbor::table::{Entry, NEVER, Neighbors, Purpose, State};
use crate::rate_limit::RateLimit;
use crate::route::fib::SPECIAL;
use crate::route::overlay::Overlay;
use crate::route::target::Target;
use crate::route::vrf::{Vrf, Vrfs};
use crate::slow::packet::Waiting;
use crate::time::Instant;
use crate::{Config, Counters, DropReason};
use config::Attachment;
use wire::addr::Mac;

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

/// Notices that are kept.
const NOTICES: usize = 16;

/// IPv6 destinations that are never forwarded to (RFC 4291 2.5.2, 2.5.3, 2.5.5.2, 2.5.6, 2.7).
const SPECIAL6: [(u128, u8, DropReason); 5] = [
    (0, 128, DropReason::MartianDestination),
    (1, 128, DropReason::MartianDestination),
    (0xffff_0000_0000, 96, DropReason::MartianDestination),
    (0xfe80 << 112, 10, DropReason::BeyondScope),
    (0xff << 120, 8, DropReason::Multicast),
];

/// A router. See the [crate's documentation](crate) for how it is driven.
pub struct Router {
    pub(crate) config: Config,
    pub(crate) links: Vec<Link>,
    pub(crate) vrfs: Vrfs,
    /// Which links were up when routes were last hidden, a bit for each.
    pub(crate) links_up: u64,
    /// How many routes each of the configured files has, of those that were read.
    pub(crate) route_files: Vec<usize>,
    /// When tables of IPv4 may be copied anew.
    pub(crate) settle_at: Option<Instant>,
    pub(crate) neighbors: Neighbors,
    pub(crate) vlans: Vlans,
    /// What the slow path counts, and what lanes had for it when it last asked them.
    pub(crate) own_lane: Lane,
    pub(crate) limits: [RateLimit; MAX_INTERFACES],
    pub(crate) resolutions: [RateLimit; MAX_INTERFACES],
    /// Frames to be routed anew after a change of configuration.
    pub(crate) again: Vec<Waiting>,
    notices: Vec<String>,
    pub(crate) reassembly: Reassembly,
    pub(crate) scratch: Vec<u8>,
    /// The number of the last packet of our own that was fragmented.
    pub(crate) ident: u16,
    pub(crate) flow_key: u64,
    index_key: u64,
    random: u64,
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
            vrfs: Vrfs::new(Vrf::new(mixed(&mut state), mixed(&mut state), now)),
            links_up: 0,
            route_files: Vec::new(),
            settle_at: None,
            neighbors: Neighbors::new(index_key),
            vlans: Vlans::default(),
            own_lane: Lane::new(0),
            limits: [RateLimit::default(); MAX_INTERFACES],
            resolutions: [RateLimit::default(); MAX_INTERFACES],
            again: Vec::new(),
            notices: Vec::new(),
            reassembly: Reassembly::default(),
            scratch: Vec::new(),
            ident: mixed(&mut state) as u16,
            flow_key: mixed(&mut state),
            index_key,
            random: mixed(&mut state),
        };
        router.apply(now, config);
        router
    }

    /// A number from 0 to `most`, hard to guess.
    pub(crate) fn random(&mut self, most: u64) -> u64 {
        mixed(&mut self.random) % most.saturating_add(1).max(1)
    }

    /// The configuration in effect.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Replaces everything that the configuration says in one step. Interfaces of the same
    /// name and attachment keep their link, neighbours and counters; others start down.
    /// Afterwards [`InterfaceId`]s are indices into the new configuration, and there are no
    /// routes but those in it; [`Router::read_route_files`] adds those of the files it names.
    pub fn apply(&mut self, now: Instant, config: &Config) {
        let old = core::mem::replace(&mut self.config, config.clone());
        // Where each interface was before, and where each of before is now.
        let before: Vec<Option<usize>> = (0..config.interfaces.len().min(MAX_INTERFACES))
            .map(|new| (0..old.interfaces.len()).find(|&at| old.is_same_place(at, config, new)))
            .collect();
        let after = |was: InterfaceId| {
            let at = before.iter().position(|&b| b == Some(was.index()))?;
            u8::try_from(at).ok().map(InterfaceId)
        };

        let old_links = core::mem::take(&mut self.links);
        let old_limits = self.limits;
        let counted = Lane::new(config.interfaces.len());
        let mut counted = core::mem::replace(&mut self.own_lane, counted);
        core::mem::swap(&mut self.own_lane.punts, &mut counted.punts);
        self.limits = [RateLimit::default(); MAX_INTERFACES];
        self.vlans = Vlans::new(config);
        for (at, (interface, &was)) in config.interfaces.iter().zip(&before).enumerate() {
            let mut link = Link::new(interface);
            let loopback = interface.attachment == Attachment::Loopback;
            if let Some(was) = was.and_then(|w| old_links.get(w)).filter(|_| !loopback) {
                link.acd = match was.up && was.addresses != link.addresses {
                    true => Acd::begin(now),
                    false => was.acd.clone(),
                };
                (link.mac, link.up, link.offered_mtu) = (was.mac, was.up, was.offered_mtu);
                link.set_mtu(interface);
                if link.up
                    && let Some(v6) = &mut link.v6
                {
                    let old = was.v6.as_ref().or(was.disabled6.as_ref());
                    v6.start(now, link.mac, old);
                    link.disable_duplicate6();
                }
            }
            self.links.push(link);
            if let (Some(to), Some(from)) = (
                self.own_lane.counters.get_mut(at),
                was.and_then(|w| counted.counters.get(w)),
            ) {
                *to = from.clone();
            }
            if let (Some(to), Some(from)) = (
                self.own_lane.traffic.get_mut(at),
                was.and_then(|w| counted.traffic.get(w)),
            ) {
                *to = *from;
            }
            if let (Some(to), Some(from)) =
                (self.limits.get_mut(at), was.and_then(|w| old_limits.get(w)))
            {
                *to = *from;
            }
        }
        self.follow_parents(now);
        // What others waited for, fragments, is lost: their numbers may mean others now.
        let others = config.vrfs.iter().skip(1);
        let others = others.map(|_| Vrf::new(self.random(u64::MAX), self.random(u64::MAX), now));
        let others = others.collect();
        self.vrfs.begin(others);

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
                self.keep_neighbor(now, entry, interface, Mac(mac), used);
            }
        }
        self.own_lane.punts.renumber(after);
        self.reassembly.clear();
        self.start_routes();
        self.rebuild();
    }

    /// Takes a neighbour over from before a change of configuration, if it is known and
    /// still on its link.
    fn keep_neighbor(
        &mut self,
        now: Instant,
        old: &Entry,
        interface: InterfaceId,
        mac: Mac,
        used: bool,
    ) {
        let known = old.state.is_known() && old.state != State::Static;
        let here = self
            .links
            .get(interface.index())
            .is_some_and(|l| l.has_host(old.address));
        if known
            && here
            && let Some(index) = self.neighbor(now, interface, old.address, Purpose::Learn)
        {
            self.open_neighbor(index, interface, mac);
            if old.state == State::Stale {
                self.neighbors.close(index);
            }
            self.neighbors.set(index, old.state, old.deadline);
            if let Some(adjacency) = self.neighbors.adjacencies.get_mut(index) {
                adjacency.used = used.into();
            }
        }
    }

    /// The link of an interface that is a vif works, and so do those of its sub-interfaces:
    /// `mtu` is the largest IP packet it carries, in bytes, tags not counted.
    pub fn link_up(&mut self, now: Instant, interface: InterfaceId, mac: [u8; 6], mtu: u16) {
        if interface.index() >= self.config.vifs() {
            return;
        }
        self.link_down(now, interface);
        self.raise(now, interface, Mac(mac), mtu);
        self.follow_parents(now);
        self.rebuild();
    }

    /// The link of one interface works.
    fn raise(&mut self, now: Instant, interface: InterfaceId, mac: Mac, mtu: u16) {
        let (Some(link), Some(config)) = (
            self.links.get_mut(interface.index()),
            self.config.interfaces.get(interface.index()),
        ) else {
            return;
        };
        link.mac = mac;
        link.offered_mtu = mtu;
        link.set_mtu(config);
        link.up = true;
        link.acd = Acd::begin(now);
        if let Some(v6) = &mut link.v6 {
            v6.start(now, link.mac, None);
        }
    }

    /// Lets each sub-interface whose parent has a link have one, with its MTU or less.
    fn follow_parents(&mut self, now: Instant) {
        for at in 0..self.links.len() {
            let Some(config) = self.config.interfaces.get(at) else {
                break;
            };
            let Attachment::Vlan { parent, .. } = config.attachment else {
                continue;
            };
            let parent = self.links.get(parent).filter(|l| l.up);
            if let Some((mac, mtu)) = parent.map(|l| (l.mac, l.mtu))
                && let Some(link) = self.links.get_mut(at)
            {
                link.offered_mtu = mtu;
                link.set_mtu(config);
                if !link.up {
                    self.raise(now, InterfaceId(at as u8), mac, mtu);
                }
            }
        }
    }

    /// The link of an interface that is a vif is gone, those of its sub-interfaces with it, and
    /// what was learnt on them.
    pub fn link_down(&mut self, now: Instant, interface: InterfaceId) {
        let _ = now;
        if !self.is_up(interface) {
            return;
        }
        let mut gone = [false; MAX_INTERFACES];
        for ((at, config), gone) in (0u8..).zip(&self.config.interfaces).zip(&mut gone) {
            let (vif, _) = self.vlans.port(InterfaceId(at));
            *gone = vif == interface || at == interface.0;
            if let Some(link) = self.links.get_mut(usize::from(at)).filter(|_| *gone) {
                *link = Link::new(config);
            }
        }
        for index in 0..self.neighbors.slots() {
            let entry = self.neighbors.entry(index);
            let gone = entry.and_then(|e| gone.get(e.interface.index()));
            if gone == Some(&true) {
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

    /// Enters into the forwarding tables what follows from the state of the links.
    pub(crate) fn rebuild(&mut self) {
        for at in 0..self.config.neighbors.len() {
            let Some(&neighbor) = self.config.neighbors.get(at) else {
                break;
            };
            let Ok(interface) = u8::try_from(neighbor.interface).map(InterfaceId) else {
                continue;
            };
            let link = self.links.get(interface.index());
            if neighbor.address.is_ipv6() && link.is_some_and(|l| l.disabled6.is_some()) {
                continue;
            }
            if let Some(index) = self.neighbors.find(interface, neighbor.address) {
                self.neighbors.set(index, State::Static, NEVER);
                self.open_neighbor(index, interface, neighbor.mac);
            }
        }
        let news = self.note_links();
        for vrf in self.vrfs.numbers() {
            self.vrfs.get_mut(vrf).local_addresses.clear();
            let (mut four, mut six) = (Overlay::new(), Overlay::new());
            self.connect(vrf, &mut four);
            self.connect_broadcasts(vrf, &mut four);
            self.connect6(vrf, &mut six);
            self.replace_overlays(vrf, four, six, news);
        }
    }

    /// Enters the IPv4 networks of a table's links and the router's addresses there.
    fn connect(&mut self, vrf: u8, fib: &mut Overlay<u32>) {
        let local = &mut self.vrfs.get_mut(vrf).local_addresses;
        let links = || (0u8..).zip(&self.links).filter(|(_, l)| l.vrf == vrf);
        for (at, link) in links() {
            for network in link.addresses.iter().filter(|_| link.up) {
                fib.add(network.first(), network.len, Target::OnLink(at));
            }
        }
        for (_, link) in links() {
            for network in &link.addresses {
                let ends = [network.network_address(), network.broadcast()];
                for end in ends.into_iter().flatten() {
                    fib.add(end.to_bits(), 32, Target::Drop(DropReason::Broadcast));
                    local.add(end, DropReason::MartianSource);
                }
            }
        }
        for network in links().flat_map(|(_, l)| &l.addresses) {
            fib.add(network.address.to_bits(), 32, Target::Local);
            local.add(network.address, DropReason::OwnSource);
        }
        for (prefix, len, reason) in SPECIAL {
            fib.add(prefix, len, Target::Drop(reason));
        }
    }

    /// The same for IPv6. Link-local addresses mean something on their link only, and aren't
    /// in the table.
    fn connect6(&mut self, vrf: u8, fib: &mut Overlay<u128>) {
        let known = &mut self.vrfs.get_mut(vrf).local_addresses;
        let links = || (0u8..).zip(&self.links).filter(|(_, l)| l.vrf == vrf);
        let all = || {
            links()
                .filter_map(|(at, l)| Some((at, l.up, l.v6.as_ref()?)))
                .flat_map(|(at, up, v6)| v6.addresses.iter().map(move |a| (at, up, a)))
        };
        let global = || all().filter(|(_, _, a)| !a.network.address.is_unicast_link_local());
        for (at, _, address) in global().filter(|&(_, up, _)| up) {
            let network = address.network;
            fib.add(network.first(), network.len, Target::OnLink(at));
        }
        for (_, _, address) in global().filter(|(_, _, a)| a.state == DadState::Unique) {
            if let Some(anycast) = address.network.anycast() {
                fib.add(anycast.to_bits(), 128, Target::Local);
                known.add6(anycast);
            }
        }
        let tentative = Target::Drop(DropReason::TentativeAddress);
        for (_, _, address) in global() {
            let own = address.network.address;
            let unique = address.state == DadState::Unique;
            let target = if unique { Target::Local } else { tentative };
            fib.add(own.to_bits(), 128, target);
            if unique {
                known.add6(own);
            }
        }
        for (prefix, len, reason) in SPECIAL6 {
            fib.add(prefix, len, Target::Drop(reason));
        }
    }

    /// Counts frames that the caller lost: [`DropReason::NoBuffer`] and
    /// [`DropReason::RxError`] on the receiving interface.
    pub fn count_drop(&mut self, interface: InterfaceId, reason: DropReason, frames: u64) {
        self.drop_frames(interface, reason, frames);
    }

    /// Takes back frames that were to be forwarded but found no room on the outgoing
    /// interface `out`: they count as [`DropReason::TxFull`] there and not as sent.
    pub fn count_tx_full(&mut self, out: InterfaceId, frames: u64, bytes: u64) {
        self.own_lane.count_tx_full(out, frames, bytes);
    }

    /// The counters of an interface, if it exists: without what lanes still have of them.
    pub fn counters(&self, interface: InterfaceId) -> Option<Counters> {
        self.own_lane.counters(interface)
    }

    /// Keeps what whoever looks after the network should know.
    pub(crate) fn notice(&mut self, text: String) {
        if self.notices.len() < NOTICES {
            self.notices.push(text);
        }
    }

    /// What whoever looks after the network should know, a line each: to be logged. It happens
    /// rarely, and if it is never asked for only the first few are kept.
    pub fn take_notices(&mut self) -> Vec<String> {
        core::mem::take(&mut self.notices)
    }

    /// How many frames wait, for the slow path or for a neighbour.
    pub fn pending(&self) -> usize {
        self.own_lane.punts.len() + self.neighbors.waiting_frames + self.again.len()
    }

    pub(crate) fn with_counters(&mut self, interface: InterfaceId, f: impl FnOnce(&mut Counters)) {
        self.own_lane.with_counters(interface, f);
    }

    pub(crate) fn drop_frames(&mut self, interface: InterfaceId, reason: DropReason, frames: u64) {
        self.own_lane.drop_frames(interface, reason, frames);
    }
}
