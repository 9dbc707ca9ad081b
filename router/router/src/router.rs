//! The router: its tables, its slow path, and what changes them beside packets.

use alloc::string::String;
use alloc::vec::Vec;

use config::{Attachment, Config, ConfigError, RouteConfig};
use wire::addr::{Mac, Network};

use crate::cx::Cx;
use crate::forward::lane::Lane;
use crate::frame::{FrameMeta, Header, InterfaceId, MAX_INTERFACES, Verdict, Verdicts};
use crate::interface::Interface;
use crate::interface::acd::Acd;
use crate::interface::machines::Machines;
use crate::interface::vlan_map::VlanMap;
use crate::local::services::Services;
use crate::neighbor::adjacency::Adjacencies;
use crate::neighbor::table::{Entry, State as NeighborState};
use crate::outbox::{Egress, Outbox};
use crate::rate_limit::RateLimit;
use crate::rng::Rng;
use crate::route::routes::RouteError;
use crate::route::vrf::{Vrf, Vrfs};
use crate::slow::poll::Poll;
use crate::state::State;
use crate::step::Step;
use crate::tables::Tables;
use crate::time::Instant;
use crate::{Counters, DropReason};

/// A router. See the [crate's documentation](crate) for how it is driven.
pub struct Router {
    pub(crate) config: Config,
    pub(crate) tables: Tables,
    pub(crate) state: State,
    /// What the slow path counts, and what lanes had for it when it last asked them.
    pub(crate) own_lane: Lane,
    rng: Rng,
    outbox: Outbox,
    index_key: u64,
}

impl Router {
    /// A router with this configuration and all links down. `seed` makes what must be hard
    /// to guess for others so: pass something random.
    pub fn new(config: &Config, seed: u64, now: Instant) -> Self {
        let mut keys = Rng::new(seed);
        let index_key = keys.next();
        let vrf = Vrf::new(keys.next());
        let services = Services::new(keys.next(), now);
        let ident = keys.next() as u16;
        let mut router = Self {
            config: Config::empty(),
            tables: Tables {
                interfaces: Vec::new(),
                vlans: VlanMap::default(),
                adjacencies: Adjacencies::new(index_key),
                vrfs: Vrfs::new(vrf),
                flow_key: keys.next(),
            },
            state: State::new(services, ident),
            own_lane: Lane::new(0),
            rng: Rng::new(keys.next()),
            outbox: Outbox::default(),
            index_key,
        };
        router.apply(now, config);
        router
    }

    /// Everything, for one step.
    pub(crate) fn step(&mut self, now: Instant) -> Step<'_> {
        Step {
            config: &self.config,
            tables: &mut self.tables,
            state: &mut self.state,
            cx: Cx {
                now,
                stats: &mut self.own_lane,
                rng: &mut self.rng,
                out: &mut self.outbox,
            },
        }
    }

    /// The configuration in effect.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What lanes read.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// [`Lane::process`] with a lane of the router's own, for who forwards with one CPU.
    pub fn process(
        &mut self,
        now: Instant,
        input: InterfaceId,
        headers: &mut [Header],
        metas: &[FrameMeta],
        verdicts: &mut [Verdict],
    ) -> Verdicts {
        self.own_lane
            .process(&self.tables, now, input, headers, metas, verdicts)
    }

    /// Queues a whole frame for the slow path. `read` fills the slice it is given, of
    /// `meta.len` bytes, with the frame; it isn't called if the queue is full.
    pub fn punt(&mut self, input: InterfaceId, meta: FrameMeta, read: impl FnOnce(&mut [u8])) {
        self.own_lane.punt(&self.tables, input, meta, read);
    }

    /// Does the work that waits: punted frames, timers, the router's own services. `budget`
    /// bounds how many frames and how many neighbors' timers are handled.
    pub fn poll(&mut self, now: Instant, budget: usize, out: &mut dyn Egress) -> Poll {
        self.step(now).poll(budget, out)
    }

    /// A lane for one more CPU that forwards.
    pub fn new_lane(&self) -> Lane {
        Lane::new(self.tables.interfaces.len())
    }

    /// Takes the frames that a lane left to the slow path, as far as there is room.
    pub fn gather_punts(&mut self, lane: &mut Lane) {
        self.own_lane.punts.take_from(&mut lane.punts);
    }

    /// Takes what a lane counted since this was last done. Before the configuration changes it
    /// must be done, with the punts of all lanes gathered too: interfaces then get other numbers.
    pub fn gather_counters(&mut self, lane: &mut Lane) {
        self.own_lane.gather_counters(lane);
    }

    /// Replaces everything that the configuration says in one step. Interfaces of the same
    /// name and attachment keep their link, neighbors and counters; others start down.
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
        self.keep_counters(&before);
        self.tables.vlans = VlanMap::new(config);
        self.keep_interfaces(now, &before);
        self.step(now).follow_parents();
        let vrfs = config.vrfs.iter().skip(1);
        let others = vrfs.map(|_| Vrf::new(self.rng.next())).collect();
        self.tables.vrfs.begin(others);
        self.state.start_services(config, now, &mut self.rng);
        self.keep_neighbors(now, after);
        self.own_lane.punts.renumber(after);
        // What others waited for, fragments, is lost: their numbers may mean others now.
        self.state.reassembly.clear();
        let mut step = self.step(now);
        step.start_routes();
        step.rebuild();
    }

    /// Takes counters and limits over to where their interfaces are now.
    fn keep_counters(&mut self, before: &[Option<usize>]) {
        let mut old = core::mem::replace(&mut self.own_lane, Lane::new(before.len()));
        core::mem::swap(&mut self.own_lane.punts, &mut old.punts);
        let old_limits = core::mem::replace(
            &mut self.state.icmp_limits,
            [RateLimit::default(); MAX_INTERFACES],
        );
        for (at, was) in before.iter().enumerate() {
            let Some(was) = *was else { continue };
            let lane = &mut self.own_lane;
            if let (Some(to), Some(from)) = (lane.counters.get_mut(at), old.counters.get(was)) {
                *to = from.clone();
            }
            if let (Some(to), Some(from)) = (lane.traffic.get_mut(at), old.traffic.get(was)) {
                *to = *from;
            }
            let limits = &mut self.state.icmp_limits;
            if let (Some(to), Some(from)) = (limits.get_mut(at), old_limits.get(was)) {
                *to = *from;
            }
        }
    }

    /// Makes the configured interfaces, with the links that they had.
    fn keep_interfaces(&mut self, now: Instant, before: &[Option<usize>]) {
        let old_interfaces = core::mem::take(&mut self.tables.interfaces);
        let old_machines = core::mem::take(&mut self.state.machines);
        for (config, &was) in self.config.interfaces.iter().zip(before) {
            let mut interface = Interface::new(config);
            let mut machines = Machines::new(config);
            let loopback = config.attachment == Attachment::Loopback;
            let was = was.filter(|_| !loopback);
            let was = was.and_then(|at| Some((old_interfaces.get(at)?, old_machines.get(at)?)));
            if let Some((was, old)) = was {
                machines.acd = match was.up && was.addresses != interface.addresses {
                    true => Acd::begin(now),
                    false => old.acd.clone(),
                };
                (interface.mac, interface.up) = (was.mac, was.up);
                interface.offered_mtu = was.offered_mtu;
                interface.set_mtu(config);
                if interface.up
                    && let Some(v6) = &mut interface.v6
                {
                    let known = was.v6.as_ref().or(was.disabled6.as_ref());
                    v6.start(interface.mac, known);
                    machines.start6(now, &interface, known.map(|_| old));
                    interface.disable_duplicate6();
                }
            }
            self.tables.interfaces.push(interface);
            self.state.machines.push(machines);
        }
    }

    /// Takes neighbors over from before a change of configuration, as far as they are known and
    /// still on their link; what waited for them is routed again.
    fn keep_neighbors(&mut self, now: Instant, after: impl Fn(InterfaceId) -> Option<InterfaceId>) {
        let new = Adjacencies::new(self.index_key);
        let mut old = core::mem::replace(&mut self.tables.adjacencies, new);
        let mut states = core::mem::take(&mut self.state.neighbors);
        self.state.neighbors.resolutions = states.resolutions;
        for index in 0..states.slots() {
            for mut packet in states.take_queue(index) {
                if let Some(input) = after(packet.input) {
                    packet.input = input;
                    self.state.again.push(packet);
                }
            }
            let used = old.take_used(index);
            if let Some(entry) = states.entry(index)
                && let Some(mac) = old.mac(index)
                && let Some(interface) = after(entry.interface)
            {
                self.step(now).keep_neighbor(entry, interface, mac, used);
            }
        }
    }

    /// The link of an interface that is a vif works, and so do those of its sub-interfaces:
    /// `mtu` is the largest IP packet it carries, in bytes, tags not counted.
    pub fn link_up(&mut self, now: Instant, interface: InterfaceId, mac: [u8; 6], mtu: u16) {
        if interface.index() >= self.config.vifs() {
            return;
        }
        self.link_down(interface);
        let mut step = self.step(now);
        step.raise(interface, Mac(mac), mtu);
        step.follow_parents();
        step.rebuild();
    }

    /// The link of an interface that is a vif is gone, those of its sub-interfaces with it, and
    /// what was learnt on them.
    pub fn link_down(&mut self, interface: InterfaceId) {
        if self.tables.is_up(interface) {
            self.step(Instant(0)).lower(interface);
        }
    }

    /// Returns `true` if every configured interface has its link.
    pub fn all_links_up(&self) -> bool {
        let interfaces = &self.tables.interfaces;
        !interfaces.is_empty() && interfaces.iter().all(|i| i.up)
    }

    /// Returns `true` if an interface has its link.
    pub fn is_up(&self, interface: InterfaceId) -> bool {
        self.tables.is_up(interface)
    }

    /// Says where the router advertised itself that it doesn't any more, when it is polled next
    /// (RFC 4861 6.2.5). Returns `true` if there is such a link.
    pub fn cease_advertising(&mut self) -> bool {
        let machines = self.state.machines.iter_mut();
        let up = machines
            .zip(&self.tables.interfaces)
            .filter(|(_, interface)| interface.up && interface.v6.is_some());
        up.fold(false, |any, (m, _)| m.advertiser.cease() || any)
    }

    /// Adds a route to its table, or changes where it leads. What was configured counts as any
    /// other.
    ///
    /// # Errors
    ///
    /// Those of [`RouteError`]; everything is as it was then.
    pub fn insert_route(&mut self, route: &RouteConfig) -> Result<(), RouteError> {
        self.step(Instant(0)).routes().insert(route)
    }

    /// Removes a route from the default table. Returns `true` if there was one with exactly this
    /// prefix.
    pub fn remove_route(&mut self, prefix: Network) -> bool {
        self.remove_route_in(0, prefix)
    }

    /// The same in any table, by its index in [`Config::vrfs`].
    pub fn remove_route_in(&mut self, vrf: usize, prefix: Network) -> bool {
        self.step(Instant(0)).routes().remove(vrf, prefix)
    }

    /// Reads the files of routes that the configuration names out of the ramdisk that it came
    /// from ([`from_ramdisk`](config::from_ramdisk)).
    ///
    /// # Errors
    ///
    /// The first line that is wrong: an error of line 0 whose text begins with `FILE:LINE`. The
    /// router has some of the routes then, and is of no use.
    pub fn read_route_files(&mut self, ramdisk: &[u8]) -> Result<(), ConfigError> {
        self.step(Instant(0)).read_route_files(ramdisk)
    }

    /// How many routes all tables have, of IPv4 and of IPv6, those that aren't usable now
    /// included.
    pub fn route_counts(&self) -> (usize, usize) {
        let vrfs = &self.tables.vrfs;
        let tables = vrfs.numbers().map(|vrf| vrfs.get(vrf));
        tables.fold((0, 0), |(four, six), vrf| {
            (four + vrf.fib.v4.routes(), six + vrf.fib6.routes())
        })
    }

    /// Where frames for an interface leave: the interface that is the vif, and the tags they
    /// get.
    pub fn port(&self, interface: InterfaceId) -> (InterfaceId, wire::vlan::Tags) {
        self.tables.port(interface)
    }

    /// Counts frames that the caller lost: [`DropReason::NoBuffer`] and
    /// [`DropReason::RxError`] on the receiving interface.
    pub fn count_drop(&mut self, interface: InterfaceId, reason: DropReason, frames: u64) {
        self.own_lane.drop_frames(interface, reason, frames);
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

    /// What whoever looks after the network should know, a line each: to be logged. It happens
    /// rarely, and if it is never asked for only the first few are kept.
    pub fn take_notices(&mut self) -> Vec<String> {
        self.outbox.take_notices()
    }

    /// How many packets wait, for the slow path or for a neighbor.
    pub fn pending(&self) -> usize {
        self.own_lane.punts.len() + self.state.neighbors.waiting() + self.state.again.len()
    }
}

impl Step<'_> {
    /// Takes a neighbor over from before a change of configuration.
    fn keep_neighbor(&mut self, old: &Entry, interface: InterfaceId, mac: Mac, used: bool) {
        let known = old.state.is_known() && old.state != NeighborState::Static;
        let on = self.tables.interface(interface);
        let here = on.is_some_and(|i| i.has_host(old.address));
        let mut nud = self.nud();
        if known
            && here
            && let Some(index) = nud.learn(interface, old.address)
        {
            nud.open(index, interface, mac);
            if old.state == NeighborState::Stale {
                nud.adjacencies.close(index);
            }
            nud.table.set(index, old.state, old.deadline);
            nud.adjacencies.set_used(index, used);
        }
    }

    /// The link of one interface works.
    fn raise(&mut self, id: InterfaceId, mac: Mac, mtu: u16) {
        let (Some(interface), Some(machines), Some(config)) = (
            self.tables.interfaces.get_mut(id.index()),
            self.state.machines.get_mut(id.index()),
            self.config.interfaces.get(id.index()),
        ) else {
            return;
        };
        interface.mac = mac;
        interface.offered_mtu = mtu;
        interface.set_mtu(config);
        interface.up = true;
        machines.acd = Acd::begin(self.cx.now);
        if let Some(v6) = &mut interface.v6 {
            v6.start(mac, None);
            machines.start6(self.cx.now, interface, None);
        }
    }

    /// Lets each sub-interface whose parent has a link have one, with its MTU or less.
    fn follow_parents(&mut self) {
        for (id, config) in (0u8..).map(InterfaceId).zip(&self.config.interfaces) {
            let Attachment::Vlan { parent, .. } = config.attachment else {
                continue;
            };
            let parent = self.tables.interfaces.get(parent).filter(|i| i.up);
            if let Some((mac, mtu)) = parent.map(|i| (i.mac, i.mtu))
                && let Some(interface) = self.tables.interfaces.get_mut(id.index())
            {
                interface.offered_mtu = mtu;
                interface.set_mtu(config);
                if !interface.up {
                    self.raise(id, mac, mtu);
                }
            }
        }
    }

    /// The link of an interface that is a vif is gone.
    fn lower(&mut self, vif: InterfaceId) {
        let mut gone = [false; MAX_INTERFACES];
        let configs = self.config.interfaces.iter();
        for ((id, config), gone) in (0u8..).map(InterfaceId).zip(configs).zip(&mut gone) {
            *gone = self.tables.port(id).0 == vif || id == vif;
            if let (true, Some(interface), Some(machines)) = (
                *gone,
                self.tables.interfaces.get_mut(id.index()),
                self.state.machines.get_mut(id.index()),
            ) {
                *interface = Interface::new(config);
                *machines = Machines::new(config);
            }
        }
        let gone = |e: &Entry| gone.get(e.interface.index()) == Some(&true);
        self.nud().forget_all(gone);
        self.rebuild();
    }
}

#[cfg(test)]
mod tests;
