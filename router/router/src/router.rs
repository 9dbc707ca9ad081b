//! The router: its tables, its slow path, and the operations that change them.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use config::{Attachment, Config, ConfigError, InterfaceConfig, RouteConfig};
use wire::addr::{Mac, Network};

use crate::cx::Cx;
use crate::forward::lane::{Lane, SharedPunts};
use crate::frame::{FrameMeta, Header, InterfaceId, Verdict, Verdicts};
use crate::local::services::Services;
use crate::neighbor::budget::{limit_neighbors, usual_limit};
use crate::outbox::{Egress, Outbox};
use crate::publish::{Publisher, View};
use crate::rng::Rng;
use crate::route::error::RouteError;
use crate::slow::poll::Poll;
use crate::state::State;
use crate::step::Step;
use crate::tables::Tables;
use crate::time::Instant;
use crate::{Counters, DropReason};

/// The maximum number of lanes.
pub const MAX_LANES: usize = 16;

/// When to try again to leave tables to a lane that was looking for some just then.
const PUBLISH_AGAIN: Duration = Duration::from_millis(1);

/// A router. See the [crate's documentation](crate) for how it is driven.
pub struct Router {
    pub(crate) config: Config,
    pub(crate) tables: Tables,
    pub(crate) state: State,
    /// The counters of the slow path, and what was last collected from lanes.
    pub(crate) own_lane: Lane,
    rng: Rng,
    outbox: Outbox,
    /// Punted frames of each lane.
    pub(crate) offered: Vec<SharedPunts>,
    /// By which lanes come to read the tables, once there is one.
    publisher: Option<Publisher>,
}

impl Router {
    /// Creates a router with this configuration and all links down. `seed` should be random, as it
    /// makes hashes and identifiers unpredictable for others.
    pub fn new(config: &Config, seed: u64, now: Instant) -> Self {
        let mut keys = Rng::new(seed);
        let tables = Tables::new(&mut keys, MAX_LANES);
        let services = Services::new(keys.next(), now);
        let ident = keys.next() as u16;
        let mut router = Self {
            config: Config::empty(),
            tables,
            state: State::new(services, ident, keys.next()),
            own_lane: Lane::new(0),
            rng: Rng::new(keys.next()),
            outbox: Outbox::default(),
            offered: Vec::new(),
            publisher: None,
        };
        router.adopt(now, config);
        router
    }

    /// Returns the state for one step.
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

    /// Returns the configuration in effect.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the tables as they are now. Lanes read those that were published ([`Router::new_view`]).
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Calls [`Lane::process`] with the router's own lane, for callers that forward with a single
    /// CPU.
    #[inline]
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

    /// Queues a whole frame for the slow path. `read` is called with a slice of `meta.len` bytes
    /// and fills it with the frame; it isn't called if the queue is full.
    pub fn punt(&mut self, input: InterfaceId, meta: FrameMeta, read: impl FnOnce(&mut [u8])) {
        self.own_lane.punt(&self.tables, input, meta, read);
    }

    /// Processes pending work: punted frames, timers, the router's own services. `budget` limits
    /// the number of frames and the number of neighbors' timers.
    pub fn poll(&mut self, now: Instant, budget: usize, out: &mut dyn Egress) -> Poll {
        self.note_lanes();
        let more = self.take_offered();
        let mut poll = self.step(now).poll(budget, out);
        poll.more |= more;
        if !self.publish() {
            let soon = now.saturating_add(PUBLISH_AGAIN);
            poll.next = Some(poll.next.map_or(soon, |next| next.min(soon)));
        }
        poll
    }

    /// Returns a lane for one more CPU that forwards, with a [view](Router::new_view) or with tables that
    /// nobody changes meanwhile.
    pub fn new_lane(&mut self) -> Lane {
        let offered = SharedPunts::default();
        self.offered.retain(|all| Arc::strong_count(all) > 1);
        self.offered.push(Arc::clone(&offered));
        Lane {
            offered: Some(offered),
            ..Lane::new(self.tables.interfaces.len())
        }
    }

    /// Returns the tables for one more lane, which goes on to newer ones by itself: what changes the router
    /// waits for no lane. Each lane finds either what was there before a change or what is there after
    /// it; what it doesn't know yet it leaves to the slow path.
    ///
    /// # Panics
    ///
    /// If there are [`MAX_LANES`] already.
    pub fn new_view(&mut self) -> View {
        let Tables { epochs, .. } = &self.tables;
        let publisher = self
            .publisher
            .get_or_insert_with(|| Publisher::new(&self.tables));
        publisher.publish(&self.tables);
        let view = publisher.view(epochs);
        self.state.has_lanes = true;
        self.note_lanes();
        view.expect("as many lanes as there can be")
    }

    /// Lets lanes have what changed. Returns `true` if all of them do.
    fn publish(&mut self) -> bool {
        let Some(publisher) = &mut self.publisher else {
            return true;
        };
        let State {
            neighbors, groups, ..
        } = &mut self.state;
        let numbers = [&mut neighbors.numbers, &mut groups.all];
        let news = publisher.publish(&self.tables) || numbers.iter().any(|all| all.wait());
        let late = publisher.is_late();
        if news {
            let epoch = self.tables.epochs.advance();
            if !late {
                numbers.into_iter().for_each(|all| all.published(epoch));
            }
        }
        self.note_lanes();
        !late
    }

    /// Notes what lanes are through with.
    fn note_lanes(&mut self) {
        if self.publisher.is_some() {
            let seen = Some(self.tables.epochs.seen_by_all());
            self.state.neighbors.numbers.saw(seen);
            self.state.groups.all.saw(seen);
        }
    }

    /// Returns `true` if lanes offered punted frames, or are doing so: [`Router::poll`] has something to do.
    pub fn has_offered(&self) -> bool {
        let any = |all: &SharedPunts| all.try_lock().is_none_or(|all| all.len() > 0);
        self.offered.iter().any(any)
    }

    /// Takes the frames that lanes offered, as far as there is room. Returns `true` if there may be more.
    fn take_offered(&mut self) -> bool {
        let own = &mut self.own_lane.punts;
        self.offered.iter().fold(false, |more, offered| {
            let Some(mut offered) = offered.try_lock() else {
                return true;
            };
            own.take_from(&mut offered);
            more || offered.len() > 0
        })
    }

    /// Collects a lane's counters and resizes them for the current interfaces. This must be done
    /// after the configuration changes: a lane doesn't count for interfaces that it doesn't know.
    pub fn gather_counters(&mut self, lane: &mut Lane) {
        self.own_lane.gather_counters(lane);
    }

    /// Replaces the configuration in one step.
    ///
    /// Interfaces with the same name and attachment keep their [`InterfaceId`], link, counters,
    /// neighbors and queued packets; new ones start down. Routing tables with the same name keep
    /// their routes: only configured routes that differ are changed, and those added with
    /// [`Router::insert_route`] stay. If the route files of a table change, it only has the
    /// configured routes afterwards, until [`Router::read_route_files`] adds those of the files.
    ///
    /// # Errors
    ///
    /// The neighbors that it has room for are more than there is memory ([`Router::fit_memory`]).
    /// Nothing has changed then.
    pub fn apply(&mut self, now: Instant, config: &Config) -> Result<(), ConfigError> {
        let bytes = self.state.table_bytes;
        let usual = bytes.map(|bytes| usual_limit(config, bytes)).transpose()?;
        self.adopt(now, config);
        if let Some(usual) = usual {
            limit_neighbors(&mut self.state, &mut self.tables.adjacencies, usual);
        }
        self.publish();
        Ok(())
    }

    fn adopt(&mut self, now: Instant, config: &Config) {
        let old = core::mem::replace(&mut self.config, config.clone());
        self.step(now).apply(&old);
    }

    /// Returns the number of the interface with a name; it keeps that over changes of the
    /// configuration.
    pub fn interface_id(&self, name: &str) -> Option<InterfaceId> {
        let mut names = self.config.interfaces.iter().map(|i| i.name.as_str());
        self.state.ids.of(names.position(|n| n == name)?)
    }

    /// Returns the numbers of all interfaces, in the order of the configuration.
    pub fn interface_ids(&self) -> impl Iterator<Item = InterfaceId> {
        self.state.ids.iter()
    }

    /// Sets the link of a vif, and those of its sub-interfaces, up. `mtu` is in bytes, without
    /// tags.
    pub fn link_up(&mut self, now: Instant, interface: InterfaceId, mac: [u8; 6], mtu: u16) {
        self.link_down(interface);
        let mut step = self.step(now);
        let is_vif =
            |i: &InterfaceConfig| matches!(i.attachment, Attachment::Vif(_) | Attachment::Mac(_));
        if !step.config_of(interface).is_some_and(is_vif) {
            return;
        }
        step.raise(interface, Mac(mac), mtu);
        step.follow_parents();
        step.rebuild();
        self.publish();
    }

    /// Sets the link of a vif, and those of its sub-interfaces, down, and forgets what was learned
    /// on them.
    pub fn link_down(&mut self, interface: InterfaceId) {
        if self.tables.is_up(interface) {
            self.step(Instant(0)).lower(interface);
            self.publish();
        }
    }

    /// Returns `true` if every configured interface has its link.
    pub fn all_links_up(&self) -> bool {
        let mut all = self.state.ids.iter();
        !self.config.interfaces.is_empty() && all.all(|id| self.is_up(id))
    }

    /// Returns `true` if an interface has its link.
    pub fn is_up(&self, interface: InterfaceId) -> bool {
        self.tables.is_up(interface)
    }

    /// Returns warnings about settings that the links' MTUs don't permit, one line each.
    #[must_use]
    pub fn mtu_warnings(&self) -> Vec<String> {
        let all = self.interface_ids().zip(&self.config.interfaces);
        let links = all.filter_map(|(id, config)| Some((self.tables.interface(id)?, config)));
        links
            .flat_map(|(link, config)| link.mtu_warnings(config))
            .collect()
    }

    /// Returns the interface with this MAC address among those that are vifs and have their link.
    pub fn vif_with_mac(&self, mac: Mac) -> Option<InterfaceId> {
        self.interface_ids().find(|&id| {
            let interface = self.tables.interface(id);
            self.port(id).0 == id && interface.is_some_and(|i| i.up && i.mac == mac)
        })
    }

    /// Stops advertising: the next poll sends final router advertisements (RFC 4861 6.2.5). Returns
    /// `true` if there are any to send.
    pub fn cease_advertising(&mut self) -> bool {
        let machines = self.state.machines.iter_mut();
        let up = machines
            .zip(&*self.tables.interfaces)
            .filter(|(_, interface)| interface.up && interface.v6.is_some());
        up.fold(false, |any, (m, _)| m.advertiser.cease() || any)
    }

    /// Adds a route to its table, or changes where it leads. What was configured counts as any
    /// other.
    ///
    /// # Errors
    ///
    /// See [`RouteError`]. Nothing is changed then.
    pub fn insert_route(&mut self, route: &RouteConfig) -> Result<(), RouteError> {
        let inserted = self.step(Instant(0)).routes().insert(route);
        self.publish();
        inserted
    }

    /// Removes a route from the default table. Returns `true` if there was one with exactly this
    /// prefix.
    pub fn remove_route(&mut self, prefix: Network) -> bool {
        self.remove_route_in(0, prefix)
    }

    /// The same in any table, by its index in [`Config::vrfs`].
    pub fn remove_route_in(&mut self, vrf: usize, prefix: Network) -> bool {
        let removed = self.step(Instant(0)).routes().remove(vrf, prefix);
        self.publish();
        removed
    }

    /// Reads the route files that the configuration names from the ramdisk that it came from
    /// ([`from_ramdisk`](config::from_ramdisk)).
    ///
    /// # Errors
    ///
    /// Fails on the first invalid line, with an error of line 0 whose text begins with `FILE:LINE`.
    /// The router then has only some of the routes, and must not be used.
    pub fn read_route_files(&mut self, ramdisk: &[u8]) -> Result<(), ConfigError> {
        let read = self.step(Instant(0)).read_route_files(ramdisk);
        self.publish();
        read
    }

    /// How many parts of the routing tables wait to be used again until all lanes have begun another burst.
    /// If it grows, a lane stands still, and changes of many routes had better wait.
    #[must_use]
    pub fn retired(&self) -> usize {
        let vrfs = self.tables.vrfs.all();
        vrfs.map(|vrf| vrf.rib.read().retired()).sum()
    }

    /// Returns the number of IPv4 and IPv6 routes in all tables, including unusable ones.
    pub fn route_counts(&self) -> (usize, usize) {
        let vrfs = self.tables.vrfs.all();
        vrfs.fold((0, 0), |(four, six), vrf| {
            let rib = vrf.rib.read();
            (four + rib.v4.routes(), six + rib.v6.routes())
        })
    }

    /// Returns the vif of an interface, as the interface that is the vif, and the tags of its
    /// frames.
    pub fn port(&self, interface: InterfaceId) -> (InterfaceId, wire::vlan::Tags) {
        self.tables.port(interface)
    }

    /// Counts frames that the caller lost: [`DropReason::NoBuffer`] and
    /// [`DropReason::RxError`] on the receiving interface.
    pub fn count_drop(&mut self, interface: InterfaceId, reason: DropReason, frames: u64) {
        self.own_lane.drop_frames(interface, reason, frames);
    }

    /// Corrects the counters for frames that were to be forwarded but found no room on the outgoing
    /// interface `out`: they are counted as [`DropReason::TxFull`] there instead of as sent.
    pub fn count_tx_full(&mut self, out: InterfaceId, frames: u64, bytes: u64) {
        self.own_lane.count_tx_full(out, frames, bytes);
    }

    /// Returns the counters of an interface, if it exists, without what hasn't been collected from
    /// lanes yet.
    pub fn counters(&self, interface: InterfaceId) -> Option<Counters> {
        self.own_lane.counters(interface)
    }

    /// Returns notices for the operator, one line each, to be logged. They are rare; if they aren't
    /// fetched, only the first few are kept.
    pub fn take_notices(&mut self) -> Vec<String> {
        self.outbox.take_notices()
    }

    /// Returns how many packets wait, for the slow path or for a neighbor; without those that lanes didn't offer
    /// yet.
    pub fn pending(&self) -> usize {
        let offered = self
            .offered
            .iter()
            .filter_map(|all| Some(all.try_lock()?.len()));
        offered.sum::<usize>() + self.own_lane.punts.len() + self.state.neighbors.waiting()
    }
}

#[cfg(test)]
mod tests;
