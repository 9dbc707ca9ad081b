//! Adding and removing routes, and the targets that they refer to.
//!
//! A route's value in its table is the number of its target: a neighbor, or a group of them.
//! Targets count their users, keep their numbers while they have any, and are what changes when a
//! link or neighbor changes. A route without a usable link stays in the table, hidden.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use crate::DropReason;
use crate::forward::lane::Lane;
use crate::frame::InterfaceId;
use crate::interface::Interface;
use crate::interface::ids::InterfaceIds;
use crate::neighbor::adjacency::{Adjacencies, Key};
use crate::neighbor::table::Purpose;
use crate::route::error::RouteError;
use crate::route::holders::{Gone, Holders};
use crate::route::next_hop_groups::Members;
use crate::route::overlay::Overlay;
use crate::route::target::Target;
use crate::route::usable::{is_hidden, is_usable};
use crate::route::vrf::{Vrf, VrfIds, Vrfs};
use crate::step::Step;
use crate::tables::Tables;
use crate::time::Instant;
use config::{ConfigError, RouteConfig, RouteSink, RouteTarget};
use lpm::epochs::Epochs;
use lpm::marked;
use wire::addr::Network;

/// The time after a change of an IPv4 table until its copy is rebuilt.
pub(crate) const SETTLING: Duration = Duration::from_millis(100);

/// Nodes of a table in which routes are hidden and shown at once, which takes some 100 us.
const HIDDEN_AT_ONCE: usize = 1024;

/// The routing tables with what their routes refer to.
pub(crate) struct Routes<'a> {
    interfaces: &'a [Interface],
    adjacencies: &'a mut Adjacencies,
    vrfs: &'a mut Vrfs,
    epochs: &'a Arc<Epochs>,
    holders: Holders<'a>,
    stats: &'a mut Lane,
    links_up: &'a mut u64,
    ids: &'a InterfaceIds,
    vrf_ids: &'a VrfIds,
}

/// A routing table that receives the routes of files.
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
        self.routes.holders.hold(target);
        self.routes.enter(self.vrf, prefix, target)
    }

    fn done(&mut self, target: Target) {
        self.routes.release(target);
    }
}

impl Step<'_> {
    /// Returns the routing tables with what their routes refer to.
    pub(crate) fn routes(&mut self) -> Routes<'_> {
        Routes {
            interfaces: &self.tables.interfaces,
            adjacencies: &mut self.tables.adjacencies,
            vrfs: &mut self.tables.vrfs,
            epochs: &self.tables.epochs,
            holders: Holders {
                neighbors: &mut self.state.neighbors,
                groups: &mut self.state.groups,
                users: &mut self.state.users,
            },
            stats: self.cx.stats,
            links_up: &mut self.state.links_up,
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
            while !vrf.is_settled() {
                vrf.settle();
            }
        }
        read
    }

    /// Hides routes that can't be used while the links are as they are, and shows the others: a part of what
    /// there is to do. Returns `true` if there is more.
    pub(crate) fn hide_routes(&mut self) -> bool {
        let Tables {
            vrfs,
            interfaces,
            adjacencies,
            ..
        } = &mut *self.tables;
        let Some(number) = vrfs.numbers().find(|&at| vrfs.get(at).is_hiding()) else {
            return false;
        };
        let (vrf, groups) = vrfs.split(number);
        vrf.hide_part(HIDDEN_AT_ONCE, |target| {
            is_hidden(target, groups, interfaces, adjacencies)
        });
        true
    }

    /// Has the IPv4 tables settle, large ones by and by, once single changes had time to gather.
    /// When that is due.
    pub(crate) fn settle_routes(&mut self) -> Option<Instant> {
        let (now, settle_at) = (self.cx.now, &mut self.state.settle_at);
        let vrfs = &mut self.tables.vrfs;
        if settle_at.is_some_and(|due| due <= now) {
            let all = vrfs.all_mut().filter(|vrf| !vrf.is_hiding());
            all.for_each(Vrf::settle);
            *settle_at = None;
        }
        if vrfs.all().all(Vrf::is_settled) {
            *settle_at = None;
            return None;
        }
        Some(*settle_at.get_or_insert(now.saturating_add(SETTLING)))
    }
}

impl Routes<'_> {
    /// Adds a route to its table, or changes its target.
    ///
    /// # Errors
    ///
    /// See [`RouteError`]. Nothing is changed then.
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
        self.vrfs.get(number).rib.read().has(prefix)
    }

    /// Removes a route from a table by its number. Returns `true` if there was one.
    pub(crate) fn remove_in(&mut self, number: u8, prefix: Network) -> bool {
        let old = self.vrfs.get_mut(number).remove(prefix);
        if let Some(old) = old {
            self.release(Target::from_number(old));
        }
        old.is_some()
    }

    /// Adds a configured route, without a target if there is no room for it.
    pub(crate) fn insert_configured(&mut self, route: &RouteConfig) {
        let target = self.hold_target(&route.target, route.mtu);
        let none = Target::Drop(DropReason::NeighborTableFull);
        let vrf = self.vrf_ids.of(route.vrf).unwrap_or(0);
        self.enter(vrf, route.prefix, target.unwrap_or(none));
    }

    /// Removes all routes of a table, by its number.
    pub(crate) fn clear(&mut self, number: u8) {
        let old = self.vrfs.get_mut(number).clear(self.epochs);
        old.read()
            .for_each_route(|value| self.release(Target::from_number(value)));
    }

    /// Adds a route, whose target is held for it, to a table. Returns `true` if it is new.
    fn enter(&mut self, vrf: u8, prefix: Network, target: Target) -> bool {
        let number = target.number();
        let (vrf, groups) = self.vrfs.split(vrf);
        let hidden = is_hidden(number, groups, self.interfaces, self.adjacencies);
        let old = vrf.insert(prefix, marked(number, hidden));
        if let Some(old) = old {
            self.release(Target::from_number(old));
        }
        old.is_none()
    }

    fn up_now(&self) -> u64 {
        let interfaces = self.interfaces.iter().enumerate();
        interfaces.fold(0, |up, (at, i)| up | u64::from(i.up) << at)
    }

    /// Updates the groups for the state of the links. Returns `true` if it has changed.
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
    /// while the links are as they are, if that is new: at once, or beside lanes part by part
    /// ([`Step::hide_routes`]).
    pub(crate) fn replace_overlay(
        &mut self,
        vrf: u8,
        four: Overlay<u32>,
        six: Overlay<u128>,
        news: bool,
        has_lanes: bool,
    ) {
        let (vrf, groups) = self.vrfs.split(vrf);
        let hidden = |target| is_hidden(target, groups, self.interfaces, self.adjacencies);
        vrf.replace_overlay(four, six, hidden);
        if news {
            vrf.begin_hiding();
        }
        while vrf.is_hiding() && !has_lanes {
            vrf.hide_part(usize::MAX, hidden);
        }
        if !vrf.is_hiding() {
            vrf.settle();
        }
    }

    /// Returns the target of a route, held for one user; `None` if a limit is reached.
    fn hold_target(&mut self, target: &RouteTarget, mtu: Option<u16>) -> Option<Target> {
        match target {
            RouteTarget::Blackhole => Some(Target::Drop(DropReason::Blackhole)),
            RouteTarget::Unreachable => Some(Target::Drop(DropReason::Unreachable)),
            RouteTarget::Prohibit => Some(Target::Drop(DropReason::Prohibited)),
            RouteTarget::Vrf(index) => {
                let target = Target::Vrf(self.vrf_ids.of(*index)?);
                self.holders.hold(target);
                Some(target)
            }
            RouteTarget::Interface(at) => {
                let target = Target::OnLink(self.ids.of(*at)?.0);
                self.holders.hold(target);
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

    /// Returns a single target for these, which are held.
    fn hold_members(&mut self, targets: Vec<(u32, u8)>, mtu: Option<u16>) -> Option<Target> {
        let members = match Members::new(targets, mtu) {
            Ok(members) => members,
            Err(only) => return Some(only),
        };
        let number = if let Some(number) = self.holders.groups.find(&members) {
            self.release_all(&members.targets);
            number
        } else if let Some(number) = self.holders.groups.add(members.clone()) {
            let (interfaces, adjacencies) = (self.interfaces, &*self.adjacencies);
            let usable = |t| is_usable(Target::from_number(t), interfaces, adjacencies);
            self.vrfs.groups.set(number, members, usable);
            number
        } else {
            self.release_all(&members.targets);
            return None;
        };
        self.holders.groups.hold(number);
        Some(Target::Group(number))
    }

    /// Removes a user of a target.
    fn release(&mut self, target: Target) {
        let gone = self.holders.release(target);
        self.forget(gone);
    }

    fn release_all(&mut self, members: &[(u32, u8)]) {
        let gone = self.holders.release_all(members);
        self.forget(gone);
    }

    /// Removes targets that are no longer used.
    fn forget(&mut self, gone: Vec<Gone>) {
        for gone in gone {
            match gone {
                Gone::Group(number) => self.vrfs.groups.clear(number),
                // No packets are queued for an idle neighbor.
                Gone::Neighbor(index) => {
                    self.holders.neighbors.remove(self.adjacencies, index);
                }
            }
        }
    }

    /// Pins a neighbor once and returns its target.
    pub(crate) fn pin(&mut self, interface: usize, address: IpAddr) -> Option<u32> {
        let index = self.pin_at(self.ids.of(interface)?, address)?;
        Some(Target::Neighbor(u32::try_from(index).ok()?).number())
    }

    /// Pins a neighbor on the interface with this number, and returns its index.
    pub(crate) fn pin_at(&mut self, interface: InterfaceId, address: IpAddr) -> Option<usize> {
        let key = Key { interface, address };
        let neighbors = &mut self.holders.neighbors;
        let index = neighbors.add(self.adjacencies, self.stats, key, Purpose::Pin)?;
        neighbors.pin(index).then_some(index)
    }
}
