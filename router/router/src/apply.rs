//! Applies a new configuration: only what differs from the old one changes.

use alloc::collections::BinaryHeap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use config::{Attachment, Config, RouteConfig, RouteTarget};

use crate::frame::InterfaceId;
use crate::interface::Interface;
use crate::interface::acd::Acd;
use crate::interface::ids::InterfaceIds;
use crate::interface::machines::Machines;
use crate::interface::vlan_map::VlanMap;
use crate::neighbor::table::{NEVER, State as NeighborState};
use crate::route::vrf::{Vrf, VrfIds};
use crate::step::Step;
use crate::tables::Tables;

/// The numbers of a configuration's interfaces and routing tables.
#[derive(Clone)]
struct Ids {
    interfaces: InterfaceIds,
    vrfs: VrfIds,
}

/// The properties of a link that adjacencies depend on.
#[derive(Clone, Copy, PartialEq, Eq)]
struct LinkView {
    id: InterfaceId,
    mtu: u16,
}

/// Where a route is: its table, its prefix, and the length of that.
type RoutePlace = (Option<u8>, IpAddr, u8);

impl Step<'_> {
    /// Updates all state for the current configuration, which replaces `old`.
    pub(crate) fn apply(&mut self, old: &Config) {
        let new = self.config;
        self.state.configurations = self.state.configurations.wrapping_add(1).max(1);
        let old_ids = Ids {
            interfaces: core::mem::take(&mut self.state.ids),
            vrfs: core::mem::take(&mut self.state.vrf_ids),
        };
        let ids = old_ids.interfaces.after(old, new, |id| self.is_free(id));
        self.state.ids = ids;
        let free = |number| self.state.users.is_free_vrf(number);
        let vrf_ids = old_ids.vrfs.after(&old.vrfs, &new.vrfs, free);
        self.state.vrf_ids = vrf_ids;

        let slots = self.state.vrf_ids.slots();
        let make = || Vrf::new(self.cx.rng.next(), &self.tables.epochs);
        self.tables.vrfs.resize(slots, make);
        self.state.start_services(self.cx.now, self.cx.rng);
        self.tables.vlans = Arc::new(VlanMap::new(new, &self.state.ids));
        self.cx.stats.resize(self.state.ids.slots());
        let before = self.keep_interfaces(old, &old_ids);
        self.follow_parents();
        self.keep_routes(old, &old_ids);
        self.rebuild();
        self.keep_neighbors(&before);
    }

    /// Returns `true` if nothing refers to an interface with this number.
    fn is_free(&self, id: InterfaceId) -> bool {
        let mut neighbors = self.state.neighbors.iter();
        let pinned = neighbors.any(|(_, e)| e.interface == id && e.pinned > 0);
        self.state.users.is_free(id) && !pinned
    }

    /// Creates the configured interfaces with their previous links. Returns the previous properties
    /// of those.
    fn keep_interfaces(&mut self, old: &Config, old_ids: &Ids) -> Vec<LinkView> {
        let slots = self.state.ids.slots();
        let old_interfaces = Arc::clone(&self.tables.interfaces);
        let old_machines = core::mem::take(&mut self.state.machines);
        let mut interfaces: Vec<_> = (0..slots).map(|_| Interface::vacant()).collect();
        self.state.machines.resize_with(slots, Machines::default);
        let mut before = Vec::new();
        for index in 0..self.config.interfaces.len() {
            let (Some(id), Some((mut interface, mut machines))) =
                (self.state.ids.of(index), self.new_interface(index))
            else {
                continue;
            };
            if let Some(config) = self.config.interfaces.get(index) {
                self.state.neighbors.set_limit(id, config.neighbor_limit);
            }
            let kept = old_ids.interfaces.index_of(id);
            let kept = kept.and_then(|was| old.interfaces.get(was));
            let loopback = |i: &config::InterfaceConfig| i.attachment == Attachment::Loopback;
            let at = id.index();
            match (old_interfaces.get(at), old_machines.get(at)) {
                (Some(was), Some(machines_were)) if kept.is_some_and(|k| !loopback(k)) => {
                    before.push(LinkView { id, mtu: was.mtu });
                    self.keep_link(index, (was, machines_were), (&mut interface, &mut machines));
                }
                _ if kept.is_some() => {}
                _ => self.cx.stats.forget(id),
            }
            if let (Some(to), Some(to_machines)) =
                (interfaces.get_mut(at), self.state.machines.get_mut(at))
            {
                (*to, *to_machines) = (interface, machines);
            }
        }
        self.tables.interfaces = interfaces.into();
        before
    }

    /// Keeps an interface's link.
    fn keep_link(
        &self,
        index: usize,
        (was, machines_were): (&Interface, &Machines),
        (interface, machines): (&mut Interface, &mut Machines),
    ) {
        let now = self.cx.now;
        machines.acd = match was.up && was.addresses != interface.addresses {
            true => Acd::begin(now),
            false => machines_were.acd.clone(),
        };
        (interface.mac, interface.up) = (was.mac, was.up);
        interface.offered_mtu = was.offered_mtu;
        interface.redirects = Arc::clone(&was.redirects);
        if let Some(config) = self.config.interfaces.get(index) {
            interface.set_mtu(config);
        }
        if interface.up
            && let Some(v6) = &mut interface.v6
        {
            let known = was.v6.as_ref().or(was.disabled6.as_ref());
            v6.start(interface.mac, known);
            machines.start6(now, interface, known.map(|_| machines_were));
            interface.disable_duplicate6();
        }
    }

    /// Changes the configured routes and static neighbors that differ.
    fn keep_routes(&mut self, old: &Config, old_ids: &Ids) {
        let new = self.config;
        let ids = Ids {
            interfaces: self.state.ids.clone(),
            vrfs: self.state.vrf_ids.clone(),
        };
        for (index, _) in old.vrfs.iter().enumerate() {
            let number = old_ids.vrfs.of(index).unwrap_or(0);
            let kept = ids.vrfs.has(number);
            let files = |config: &Config, ids: &Ids| {
                let all = config.route_files.iter();
                let here = all.filter(|file| ids.vrfs.of(file.vrf) == Some(number));
                here.cloned().collect::<Vec<_>>()
            };
            if !kept || files(old, old_ids) != files(new, &ids) {
                self.routes().clear(number);
            }
        }
        if old.route_files != new.route_files {
            self.state.route_files.clear();
        }
        self.keep_static_neighbors();
        let place = |route: &RouteConfig, ids: &Ids| -> RoutePlace {
            let prefix = route.prefix;
            (ids.vrfs.of(route.vrf), prefix.address, prefix.len)
        };
        let sorted = |config: &Config, ids: &Ids| {
            let all = config.routes.iter().enumerate();
            let all = all.map(|(at, route)| (place(route, ids), at));
            // A heap's code is a tenth of a quicksort's.
            all.collect::<BinaryHeap<_>>().into_sorted_vec()
        };
        let (was, is) = (sorted(old, old_ids), sorted(new, &ids));
        let find = |sorted: &[(RoutePlace, usize)], wanted| {
            let found = sorted.binary_search_by_key(&wanted, |&(place, _)| place);
            sorted.get(found.ok()?).map(|&(_, at)| at)
        };
        for route in &old.routes {
            let (vrf, address, len) = place(route, old_ids);
            let Some(number) = vrf.filter(|&number| ids.vrfs.has(number)) else {
                continue;
            };
            if find(&is, (vrf, address, len)).is_none() {
                self.routes().remove_in(number, route.prefix);
            }
        }
        for route in &new.routes {
            let before = find(&was, place(route, &ids));
            let before = before.and_then(|at| old.routes.get(at));
            let vrf = ids.vrfs.of(route.vrf).unwrap_or(0);
            let same = before.is_some_and(|b| is_same_way((b, old_ids), (route, &ids)));
            if !same || !self.routes().has(vrf, route.prefix) {
                self.routes().insert_configured(route);
            }
        }
    }

    /// Records which neighbors are configured, and reserves entries for new ones.
    fn keep_static_neighbors(&mut self) {
        for neighbor in &self.config.neighbors {
            let Some(id) = self.state.ids.of(neighbor.interface) else {
                continue;
            };
            let known = self.tables.adjacencies.find(id, neighbor.address);
            let had = known.filter(|&at| {
                let entry = self.state.neighbors.entry(at);
                entry.is_some_and(|e| e.configured != 0)
            });
            let index = had.or_else(|| self.routes().pin_at(id, neighbor.address));
            let configured = self.state.configurations;
            if let Some(entry) = index.and_then(|at| self.state.neighbors.entry_mut(at)) {
                entry.configured = configured;
            }
        }
    }

    /// Removes neighbors that are no longer reachable, and updates the others for their interfaces'
    /// MTU.
    fn keep_neighbors(&mut self, before: &[LinkView]) {
        for index in 0..self.state.neighbors.slots() {
            let Some(entry) = self.state.neighbors.entry(index) else {
                continue;
            };
            let (id, address, state) = (entry.interface, entry.address, entry.state);
            // On a link without IPv6 it isn't static, but keeps its entry.
            let was_fixed = state == NeighborState::Static || entry.configured != 0;
            let fixed = entry.configured == self.state.configurations;
            let fixed = fixed || self.is_broadcast(id, address);
            let was = before.iter().find(|link| link.id == id);
            let interface = self.tables.interface(id);
            let (Some(was), Some(interface)) = (was, interface) else {
                if was_fixed && !fixed {
                    self.unpin(index);
                }
                if self.state.ids.index_of(id).is_none() {
                    self.nud().forget(index);
                }
                continue;
            };
            let open = self.tables.adjacencies.is_open(index);
            let here = interface.has_host(address);
            let mtu_changed = interface.mtu != was.mtu;
            if was_fixed {
                if !fixed {
                    self.unpin(index);
                    self.nud().forget(index);
                }
            } else if !here {
                self.nud().forget(index);
            } else if open
                && mtu_changed
                && let Some(mac) = self.tables.adjacencies.mac(index)
            {
                self.nud().open(index, id, mac);
            }
        }
    }

    /// Returns `true` if an address is a directed broadcast address that is allowed.
    fn is_broadcast(&self, id: InterfaceId, address: IpAddr) -> bool {
        let broadcast = |interface: &Interface| {
            let mut ends = interface.addresses.iter().filter_map(|n| n.broadcast());
            interface.allow.directed_broadcast && ends.any(|end| address == end)
        };
        self.tables.interface(id).is_some_and(broadcast)
    }

    fn unpin(&mut self, index: usize) {
        self.tables.adjacencies.close(index);
        self.state.neighbors.set(index, NeighborState::Idle, NEVER);
        let Tables { adjacencies, .. } = &mut *self.tables;
        if let Some(entry) = self.state.neighbors.entry_mut(index) {
            entry.configured = 0;
        }
        self.state.neighbors.unpin(adjacencies, index);
    }
}

/// Returns `true` if two routes to the same prefix have the same target.
fn is_same_way((a, a_ids): (&RouteConfig, &Ids), (b, b_ids): (&RouteConfig, &Ids)) -> bool {
    let interface = |a: usize, b: usize| a_ids.interfaces.of(a) == b_ids.interfaces.of(b);
    let target = match (&a.target, &b.target) {
        (RouteTarget::Via(a), RouteTarget::Via(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| {
                    (a.address, a.weight) == (b.address, b.weight)
                        && interface(a.interface, b.interface)
                })
        }
        (RouteTarget::Interface(a), RouteTarget::Interface(b)) => interface(*a, *b),
        (RouteTarget::Vrf(a), RouteTarget::Vrf(b)) => a_ids.vrfs.of(*a) == b_ids.vrfs.of(*b),
        (a, b) => a == b,
    };
    target && a.mtu == b.mtu
}
