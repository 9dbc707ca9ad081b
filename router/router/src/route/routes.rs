//! Routes that come and go, one by one, and what they refer to.
//!
//! A route's value in its table is the number of its target: a neighbor, or a group of them.
//! Both count their users, keep their numbers while they have any, and are what changes when
//! something on the way changes. A route none of whose links is up stays in the table, hidden.

use core::net::IpAddr;
use core::time::Duration;

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;

use crate::DropReason;
use crate::forward::lane::Lane;
use crate::frame::InterfaceId;
use crate::interface::Interface;
use crate::interface::ids::InterfaceIds;
use crate::neighbor::adjacency::{Adjacencies, Key};
use crate::neighbor::table::{NeighborTable, Purpose};
use crate::route::fib::Fib;
use crate::route::next_hop_groups::{Groups, Members};
use crate::route::overlay::{OverlaidTable, Overlay};
use crate::route::target::{Target, TargetUsers};
use crate::route::vrf::{Vrf, VrfIds, Vrfs};
use crate::step::Step;
use crate::time::Instant;
use config::{ConfigError, RouteConfig, RouteSink, RouteTarget};
use lpm::marked;
use wire::addr::Network;

/// How long single changes of the IPv4 table gather before it is copied.
pub(crate) const SETTLING: Duration = Duration::from_millis(100);

/// Why a route can't be entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RouteError {
    /// There are as many gateways on one interface, or groups of gateways, as there can be.
    TooManyGateways,
    /// It is in a routing table, or leads to one, that the configuration doesn't have.
    NoVrf,
}

/// Returns `true` if packets can go to a target that is no group: not while its link is down.
fn is_usable(target: Target, interfaces: &[Interface], adjacencies: &Adjacencies) -> bool {
    let is_up = |at: u8| interfaces.get(usize::from(at)).is_some_and(|i| i.up);
    match target {
        Target::Neighbor(index) => {
            let adjacency = adjacencies.get(index as usize);
            adjacency.is_some_and(|a| is_up(a.out))
        }
        Target::OnLink(at) => is_up(at),
        Target::Local | Target::Drop(_) | Target::Vrf(_) => true,
        Target::Group(_) => false,
    }
}

/// Returns `true` if routes to a target are to be hidden.
fn is_hidden(
    number: u32,
    groups: &Groups,
    interfaces: &[Interface],
    adjacencies: &Adjacencies,
) -> bool {
    match Target::from_number(number) {
        Target::Group(group) => groups.get(group).is_none_or(|g| g.is_empty()),
        target => !is_usable(target, interfaces, adjacencies),
    }
}

/// The routing tables with what their routes refer to.
pub(crate) struct Routes<'a> {
    interfaces: &'a [Interface],
    adjacencies: &'a mut Adjacencies,
    vrfs: &'a mut Vrfs,
    neighbors: &'a mut NeighborTable,
    stats: &'a mut Lane,
    links_up: &'a mut u64,
    users: &'a mut TargetUsers,
    ids: &'a InterfaceIds,
    vrf_ids: &'a VrfIds,
}

/// A routing table that takes the routes of files.
struct Table<'a, 'r> {
    routes: &'a mut Routes<'r>,
    vrf: u8,
}

impl RouteSink for Table<'_, '_> {
    type Target = Target;

    fn target(&mut self, target: &RouteTarget) -> Option<Target> {
        self.routes.hold_target(target, None)
    }

    fn route(&mut self, prefix: Network, target: Target) -> bool {
        self.routes.hold(target);
        self.routes.enter(self.vrf, prefix, target)
    }

    fn done(&mut self, target: Target) {
        self.routes.release(target);
    }
}

impl Step<'_> {
    /// The routing tables with what their routes refer to.
    pub(crate) fn routes(&mut self) -> Routes<'_> {
        Routes {
            interfaces: &self.tables.interfaces,
            adjacencies: &mut self.tables.adjacencies,
            vrfs: &mut self.tables.vrfs,
            neighbors: &mut self.state.neighbors,
            stats: self.cx.stats,
            links_up: &mut self.state.links_up,
            users: &mut self.state.users,
            ids: &self.state.ids,
            vrf_ids: &self.state.vrf_ids,
        }
    }

    /// Reads the configured files of routes out of a ramdisk.
    ///
    /// # Errors
    ///
    /// The first line that is wrong: an error of line 0 whose text begins with `FILE:LINE`.
    pub(crate) fn read_route_files(&mut self, ramdisk: &[u8]) -> Result<(), ConfigError> {
        let config = self.config;
        let read = config.route_files.iter().try_for_each(|file| {
            let text = config::ramdisk_file(ramdisk, &file.path)?;
            let vrf = self.state.vrf_ids.of(file.vrf).unwrap_or(0);
            let mut routes = self.routes();
            let mut table = Table {
                routes: &mut routes,
                vrf,
            };
            let count = config::read_route_file(config, file, text, &mut table)?;
            self.state.route_files.push(count);
            Ok(())
        });
        for vrf in self.tables.vrfs.all_mut() {
            while !vrf.fib.is_settled() {
                vrf.fib.settle();
            }
        }
        read
    }

    /// Has the IPv4 tables settle, large ones by and by, once single changes had time to gather.
    /// When that is due.
    pub(crate) fn settle_routes(&mut self) -> Option<Instant> {
        let (now, settle_at) = (self.cx.now, &mut self.state.settle_at);
        let vrfs = &mut self.tables.vrfs;
        if settle_at.is_some_and(|due| due <= now) {
            vrfs.all_mut().for_each(|vrf| vrf.fib.settle());
            *settle_at = None;
        }
        if vrfs.all_mut().all(|vrf| vrf.fib.is_settled()) {
            *settle_at = None;
            return None;
        }
        Some(*settle_at.get_or_insert(now.saturating_add(SETTLING)))
    }
}

impl Routes<'_> {
    /// Adds a route to its table, or changes where it leads.
    ///
    /// # Errors
    ///
    /// Those of [`RouteError`]; everything is as it was then.
    pub(crate) fn insert(&mut self, route: &RouteConfig) -> Result<(), RouteError> {
        let number = self.vrf_ids.of(route.vrf).ok_or(RouteError::NoVrf)?;
        if let RouteTarget::Vrf(to) = route.target {
            self.vrf_ids.of(to).ok_or(RouteError::NoVrf)?;
        }
        let target = self.hold_target(&route.target, route.mtu);
        let target = target.ok_or(RouteError::TooManyGateways)?;
        self.enter(number, route.prefix, target);
        Ok(())
    }

    /// Removes a route from a table, by its index in [`Config::vrfs`](config::Config::vrfs).
    /// Returns `true` if there was one with exactly this prefix.
    pub(crate) fn remove(&mut self, vrf: usize, prefix: Network) -> bool {
        let number = self.vrf_ids.of(vrf);
        number.is_some_and(|number| self.remove_in(number, prefix))
    }

    /// Returns `true` if a table, by its number, has a route with exactly this prefix.
    pub(crate) fn has(&self, number: u8, prefix: Network) -> bool {
        let vrf = self.vrfs.get(number);
        match (prefix.v4(), prefix.v6()) {
            (Some(prefix), _) => vrf.fib.v4.has(prefix.first(), prefix.len),
            (_, Some(prefix)) => vrf.fib6.has(prefix.first(), prefix.len),
            _ => false,
        }
    }

    /// Removes a route from a table by its number. Returns `true` if there was one.
    pub(crate) fn remove_in(&mut self, number: u8, prefix: Network) -> bool {
        let vrf = self.vrfs.get_mut(number);
        let old = match (prefix.v4(), prefix.v6()) {
            (Some(prefix), _) => {
                vrf.fib.changed();
                vrf.fib.v4.remove(prefix.first(), prefix.len)
            }
            (_, Some(prefix)) => vrf.fib6.remove(prefix.first(), prefix.len),
            _ => None,
        };
        if let Some(old) = old {
            self.release(Target::from_number(old));
        }
        old.is_some()
    }

    /// Enters a configured route, as one to nowhere if there is no room for its target.
    pub(crate) fn insert_configured(&mut self, route: &RouteConfig) {
        let target = self.hold_target(&route.target, route.mtu);
        let none = Target::Drop(DropReason::NeighborTableFull);
        let vrf = self.vrf_ids.of(route.vrf).unwrap_or(0);
        self.enter(vrf, route.prefix, target.unwrap_or(none));
    }

    /// Removes all routes of a table, by its number.
    pub(crate) fn clear(&mut self, number: u8) {
        let vrf = self.vrfs.get_mut(number);
        let fib = core::mem::replace(&mut vrf.fib, Fib::new());
        let fib6 = core::mem::replace(&mut vrf.fib6, OverlaidTable::new());
        let mut release = |value| self.release(Target::from_number(value));
        fib.v4.for_each_route(&mut release);
        fib6.for_each_route(&mut release);
    }

    /// Enters a route whose target is held for it into a table. Returns `true` if it is a new one.
    fn enter(&mut self, vrf: u8, prefix: Network, target: Target) -> bool {
        let number = target.number();
        let (vrf, groups) = self.vrfs.split(vrf);
        let hidden = is_hidden(number, groups, self.interfaces, self.adjacencies);
        let value = marked(number, hidden);
        let old = match (prefix.v4(), prefix.v6()) {
            (Some(prefix), _) => {
                vrf.fib.changed();
                vrf.fib.v4.insert(prefix.first(), prefix.len, value)
            }
            (_, Some(prefix)) => vrf.fib6.insert(prefix.first(), prefix.len, value),
            _ => None,
        };
        if let Some(old) = old {
            self.release(Target::from_number(old));
        }
        old.is_none()
    }

    fn up_now(&self) -> u64 {
        let interfaces = self.interfaces.iter().enumerate();
        interfaces.fold(0, |up, (at, i)| up | u64::from(i.up) << at)
    }

    /// Has groups use what can be used while the links are as they are. Returns `true` if they are
    /// another way than before.
    pub(crate) fn note_links(&mut self) -> bool {
        let up = self.up_now();
        let news = core::mem::replace(self.links_up, up) != up;
        if news {
            let (interfaces, adjacencies) = (self.interfaces, &*self.adjacencies);
            let usable = |t| is_usable(Target::from_number(t), interfaces, adjacencies);
            self.vrfs.groups.choose(usable);
        }
        news
    }

    /// Replaces what the router has in a table over its routes, and hides those that can't be used
    /// while the links are as they are, if that is new.
    pub(crate) fn replace_overlay(
        &mut self,
        vrf: u8,
        four: Overlay<u32>,
        six: Overlay<u128>,
        news: bool,
    ) {
        let (Vrf { fib, fib6, .. }, groups) = self.vrfs.split(vrf);
        let hidden = |target| is_hidden(target, groups, self.interfaces, self.adjacencies);
        let changed = fib.v4.replace_overlay(four, hidden);
        fib6.replace_overlay(six, hidden);
        if news {
            fib.v4.hide(hidden);
            fib6.hide(hidden);
        }
        if news || changed {
            fib.changed();
        }
        fib.settle();
    }

    /// The target of a route, held for one user; `None` if there are too many already.
    fn hold_target(&mut self, target: &RouteTarget, mtu: Option<u16>) -> Option<Target> {
        match target {
            RouteTarget::Blackhole => Some(Target::Drop(DropReason::Blackhole)),
            RouteTarget::Unreachable => Some(Target::Drop(DropReason::Unreachable)),
            RouteTarget::Prohibit => Some(Target::Drop(DropReason::Prohibited)),
            RouteTarget::Vrf(index) => {
                let target = Target::Vrf(self.vrf_ids.of(*index)?);
                self.hold(target);
                Some(target)
            }
            RouteTarget::Interface(at) => {
                let target = Target::OnLink(self.ids.of(*at)?.0);
                self.hold(target);
                self.hold_members(alloc::vec![(target.number(), 1)], mtu)
            }
            RouteTarget::Via(gateways) => {
                if let ([via], None) = (gateways.as_slice(), mtu) {
                    return self
                        .pin(via.interface, via.address)
                        .map(Target::from_number);
                }
                let mut members = Vec::with_capacity(gateways.len());
                for via in gateways {
                    match self.pin(via.interface, via.address) {
                        Some(member) => members.push((member, via.weight)),
                        None => {
                            self.release_all(&members);
                            return None;
                        }
                    }
                }
                self.hold_members(members, mtu)
            }
        }
    }

    /// One target for these, which are held.
    fn hold_members(&mut self, mut targets: Vec<(u32, u8)>, mtu: Option<u16>) -> Option<Target> {
        match *targets {
            [(only, _)] if mtu.is_none() => return Some(Target::from_number(only)),
            // A heap's code is a tenth of a quicksort's, and these are few.
            _ => targets = BinaryHeap::from(targets).into_sorted_vec(),
        }
        let members = Members { targets, mtu };
        let number = if let Some(number) = self.vrfs.groups.find(&members) {
            self.release_all(&members.targets);
            number
        } else {
            let (interfaces, adjacencies) = (self.interfaces, &*self.adjacencies);
            let usable = |t| is_usable(Target::from_number(t), interfaces, adjacencies);
            match self.vrfs.groups.add(members.clone(), usable) {
                Some(number) => number,
                None => {
                    self.release_all(&members.targets);
                    return None;
                }
            }
        };
        self.vrfs.groups.hold(number);
        Some(Target::Group(number))
    }

    /// Notes one more user of a target.
    pub(crate) fn hold(&mut self, target: Target) {
        match target {
            Target::Neighbor(index) => {
                self.neighbors.pin(index as usize);
            }
            Target::Group(number) => self.vrfs.groups.hold(number),
            Target::OnLink(_) | Target::Vrf(_) => self.users.count(target, 1),
            Target::Local | Target::Drop(_) => {}
        }
    }

    /// Notes one user less.
    pub(crate) fn release(&mut self, target: Target) {
        match target {
            Target::Neighbor(index) => {
                self.neighbors.unpin(self.adjacencies, index as usize);
            }
            Target::Group(number) => {
                if let Some(members) = self.vrfs.groups.release(number) {
                    self.release_all(&members.targets);
                }
            }
            Target::OnLink(_) | Target::Vrf(_) => self.users.count(target, -1),
            Target::Local | Target::Drop(_) => {}
        }
    }

    fn release_all(&mut self, members: &[(u32, u8)]) {
        for &(member, _) in members {
            self.release(Target::from_number(member));
        }
    }

    /// A neighbor that keeps its index while it is held, which it is once: its target.
    pub(crate) fn pin(&mut self, interface: usize, address: IpAddr) -> Option<u32> {
        let index = self.pin_at(self.ids.of(interface)?, address)?;
        Some(Target::Neighbor(u32::try_from(index).ok()?).number())
    }

    /// The same for the interface with this number: its index.
    pub(crate) fn pin_at(&mut self, interface: InterfaceId, address: IpAddr) -> Option<usize> {
        let key = Key { interface, address };
        let index = self
            .neighbors
            .add(self.adjacencies, self.stats, key, Purpose::Pin)?;
        if !self.neighbors.pin(index) {
            return None;
        }
        Some(index)
    }
}
