//! Routes that come and go, one by one, and what they refer to.
//!
//! A route's value in the table is the number of its target: a neighbour, or a group of them.
//! Both count their users, keep their numbers while they have any, and are what changes when
//! something on the way changes. A route none of whose links is up stays in the table, hidden.

use core::net::IpAddr;
use core::time::Duration;

use alloc::vec::Vec;

use crate::DropReason;
use crate::addr::Network;
use crate::config::{self, Config, ConfigError, RouteConfig, RouteSink, RouteTarget};
use crate::fib::groups::{Groups, Members};
use crate::fib::layers::{Layers, Upper};
use crate::fib::table::marked;
use crate::fib::{Fib, Target};
use crate::frame::InterfaceId;
use crate::link::Link;
use crate::neighbors::{Neighbors, Purpose};
use crate::router::Router;
use crate::time::Instant;

/// How long single changes of the IPv4 table gather before it is copied.
const SETTLING: Duration = Duration::from_millis(100);

/// There are as many gateways on one interface, or groups of gateways, as there can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManyGateways;

/// Whether packets can go to a target that is no group: not while its link is down.
fn is_usable(target: Target, links: &[Link], neighbors: &Neighbors) -> bool {
    let is_up = |at: u8| links.get(usize::from(at)).is_some_and(|l| l.up);
    match target {
        Target::Neighbor(index) => {
            let adjacency = neighbors.adjacencies.get(index as usize);
            adjacency.is_some_and(|a| is_up(a.out))
        }
        Target::OnLink(at) => is_up(at),
        Target::Local | Target::Nowhere(_) => true,
        Target::Group(_) => false,
    }
}

/// Whether routes to a target are to be hidden.
fn is_hidden(number: u32, groups: &Groups, links: &[Link], neighbors: &Neighbors) -> bool {
    match Target::from_number(number) {
        Target::Group(group) => groups.get(group).is_none_or(|g| g.is_empty()),
        target => !is_usable(target, links, neighbors),
    }
}

impl RouteSink for Router {
    type Target = Target;

    fn target(&mut self, target: &RouteTarget) -> Option<Target> {
        self.hold_target(target, None)
    }

    fn route(&mut self, prefix: Network, target: Target) -> bool {
        self.hold(target);
        self.enter_route(prefix, target)
    }

    fn done(&mut self, target: Target) {
        self.release(target);
    }
}

impl Router {
    /// Adds a route, or changes where it leads. What was configured counts as any other.
    ///
    /// # Errors
    ///
    /// [`TooManyGateways`]; everything is as it was then.
    pub fn insert_route(&mut self, route: &RouteConfig) -> Result<(), TooManyGateways> {
        let target = self.hold_target(&route.target, route.mtu);
        self.enter_route(route.prefix, target.ok_or(TooManyGateways)?);
        Ok(())
    }

    /// Reads the files of routes that the configuration names out of the ramdisk that it came
    /// from ([`from_ramdisk`](crate::config::from_ramdisk)).
    ///
    /// # Errors
    ///
    /// The first line that is wrong: an error of line 0 whose text begins with `FILE:LINE`. The
    /// router has some of the routes then, and is of no use.
    pub fn read_route_files(&mut self, ramdisk: &[u8]) -> Result<(), ConfigError> {
        let config = core::mem::replace(&mut self.config, Config::empty());
        let read = config.route_files.iter().try_for_each(|path| {
            let file = config::ramdisk_file(ramdisk, path)?;
            let count = config::read_route_file(&config, path, file, self)?;
            self.route_files.push((path.clone(), count));
            Ok(())
        });
        self.config = config;
        self.fib.settle();
        read
    }

    /// Removes a route. Whether there was one with exactly this prefix.
    pub fn remove_route(&mut self, prefix: Network) -> bool {
        let old = match (prefix.v4(), prefix.v6()) {
            (Some(prefix), _) => {
                self.fib.changed();
                self.fib.v4.remove(prefix.first(), prefix.len)
            }
            (_, Some(prefix)) => self.fib6.remove(prefix.first(), prefix.len),
            _ => None,
        };
        if let Some(old) = old {
            self.release(Target::from_number(old));
        }
        old.is_some()
    }

    /// How many routes there are, of IPv4 and of IPv6, those that aren't usable now included.
    pub fn route_counts(&self) -> (usize, usize) {
        (self.fib.v4.routes(), self.fib6.routes())
    }

    /// Enters a route whose target is held for it. Whether it is a new one.
    pub(crate) fn enter_route(&mut self, prefix: Network, target: Target) -> bool {
        let number = target.number();
        let hidden = is_hidden(number, &self.fib.groups, &self.links, &self.neighbors);
        let value = marked(number, hidden);
        let old = match (prefix.v4(), prefix.v6()) {
            (Some(prefix), _) => {
                self.fib.changed();
                self.fib.v4.insert(prefix.first(), prefix.len, value)
            }
            (_, Some(prefix)) => self.fib6.insert(prefix.first(), prefix.len, value),
            _ => None,
        };
        if let Some(old) = old {
            self.release(Target::from_number(old));
        }
        old.is_none()
    }

    /// Begins with the routes and neighbours of the configuration.
    pub(crate) fn start_routes(&mut self) {
        (self.fib, self.fib6) = (Fib::new(), Layers::new());
        self.links_up = self.up_now();
        self.route_files.clear();
        let config = core::mem::replace(&mut self.config, Config::empty());
        for neighbor in &config.neighbors {
            if let Ok(interface) = u8::try_from(neighbor.interface) {
                self.pin(InterfaceId(interface), neighbor.address);
            }
        }
        for route in &config.routes {
            let target = self.hold_target(&route.target, route.mtu);
            let none = Target::Nowhere(DropReason::NeighborTableFull);
            self.enter_route(route.prefix, target.unwrap_or(none));
        }
        self.config = config;
    }

    fn up_now(&self) -> u64 {
        let links = self.links.iter().enumerate();
        links.fold(0, |up, (at, link)| up | u64::from(link.up) << at)
    }

    /// Lays what the router has in the tables over the routes, and hides those that can't be
    /// used while the links are as they are.
    pub(crate) fn lay(&mut self, four: Upper<u32>, six: Upper<u128>) {
        let up = self.up_now();
        let news = core::mem::replace(&mut self.links_up, up) != up;
        let Self {
            fib,
            fib6,
            links,
            neighbors,
            ..
        } = self;
        if news {
            let usable = |t| is_usable(Target::from_number(t), links, neighbors);
            fib.groups.choose(usable);
        }
        let groups = &fib.groups;
        let hidden = |target| is_hidden(target, groups, links, neighbors);
        let changed = fib.v4.lay(four, hidden);
        fib6.lay(six, hidden);
        if news {
            fib.v4.hide(hidden);
            fib6.hide(hidden);
        }
        if news || changed {
            fib.changed();
        }
        fib.settle();
    }

    /// Has the IPv4 table copied once single changes had time to gather. When that is due.
    pub(crate) fn settle_routes(&mut self, now: Instant) -> Option<Instant> {
        if self.fib.is_settled() {
            self.settle_at = None;
            return None;
        }
        let due = *self.settle_at.get_or_insert(now.saturating_add(SETTLING));
        if due > now {
            return Some(due);
        }
        self.fib.settle();
        self.settle_at = None;
        None
    }

    /// The target of a route, held for one user; None if there are too many already.
    fn hold_target(&mut self, target: &RouteTarget, mtu: Option<u16>) -> Option<Target> {
        match target {
            RouteTarget::Blackhole => Some(Target::Nowhere(DropReason::Blackhole)),
            RouteTarget::Unreachable => Some(Target::Nowhere(DropReason::Unreachable)),
            RouteTarget::Prohibit => Some(Target::Nowhere(DropReason::Prohibited)),
            RouteTarget::Interface(at) => {
                let target = Target::OnLink(u8::try_from(*at).ok()?);
                self.hold_members(alloc::vec![(target.number(), 1)], mtu)
            }
            RouteTarget::Via(gateways) => {
                let mut members = Vec::with_capacity(gateways.len());
                for via in gateways {
                    let interface = u8::try_from(via.interface).ok().map(InterfaceId);
                    match interface.and_then(|i| self.pin(i, via.address)) {
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
            _ => targets.sort_unstable(),
        }
        let members = Members { targets, mtu };
        let number = if let Some(number) = self.fib.groups.find(&members) {
            self.release_all(&members.targets);
            number
        } else {
            let (links, neighbors) = (&self.links, &self.neighbors);
            let usable = |t| is_usable(Target::from_number(t), links, neighbors);
            match self.fib.groups.add(members.clone(), usable) {
                Some(number) => number,
                None => {
                    self.release_all(&members.targets);
                    return None;
                }
            }
        };
        self.fib.groups.hold(number);
        Some(Target::Group(number))
    }

    /// Notes one more user of a target.
    pub(crate) fn hold(&mut self, target: Target) {
        match target {
            Target::Neighbor(index) => {
                if let Some(entry) = self.neighbors.entry_mut(index as usize) {
                    entry.pinned += 1;
                }
            }
            Target::Group(number) => self.fib.groups.hold(number),
            Target::OnLink(_) | Target::Local | Target::Nowhere(_) => {}
        }
    }

    /// Notes one user less.
    pub(crate) fn release(&mut self, target: Target) {
        match target {
            Target::Neighbor(index) => {
                if let Some(entry) = self.neighbors.entry_mut(index as usize) {
                    entry.pinned = entry.pinned.saturating_sub(1);
                }
            }
            Target::Group(number) => {
                if let Some(members) = self.fib.groups.release(number) {
                    self.release_all(&members.targets);
                }
            }
            Target::OnLink(_) | Target::Local | Target::Nowhere(_) => {}
        }
    }

    fn release_all(&mut self, members: &[(u32, u8)]) {
        for &(member, _) in members {
            self.release(Target::from_number(member));
        }
    }

    /// A neighbour that keeps its index while it is held, which it is once: its target.
    fn pin(&mut self, interface: InterfaceId, address: IpAddr) -> Option<u32> {
        let index = self.neighbor(Instant(0), interface, address, Purpose::Learn)?;
        self.neighbors.entry_mut(index)?.pinned += 1;
        Some(Target::Neighbor(u32::try_from(index).ok()?).number())
    }
}

#[cfg(test)]
mod tests;
