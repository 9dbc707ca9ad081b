//! Virtual routing and forwarding (VRF): separate routing tables with their own networks, addresses
//! and fragments. Each interface uses one of them.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::Range;

use crate::DropReason;
use crate::local::addresses::LocalAddresses;
use crate::route::fib::Fib;
use crate::route::flow_hash::flow_hash;
use crate::route::next_hop_groups::Groups;
use crate::route::overlay::Overlay;
use crate::route::rib::Rib;
use crate::route::target::Target;
use lpm::Reader;
use lpm::epochs::Epochs;
use spin::RwLock;
use wire::addr::Network;
use wire::{be32, be128};

/// A routing table of both families, and what is known of its addresses.
#[derive(Clone, Debug)]
pub(crate) struct Vrf {
    pub(crate) fib: Fib,
    pub(crate) fib6: Reader<u128>,
    /// What changes those two. Lanes look here for nothing but other ways to a source.
    pub(crate) rib: Arc<RwLock<Rib>>,
    pub(crate) local_addresses: Arc<LocalAddresses>,
}

impl Vrf {
    /// Creates a table without routes, for lanes of `epochs`. `key` makes the hash of its addresses
    /// hard to foresee.
    pub(crate) fn new(key: u64, epochs: &Arc<Epochs>) -> Self {
        let mut rib = Rib::new();
        Self {
            fib: Fib::new(rib.v4.table_mut().reader(epochs)),
            fib6: rib.v6.table_mut().reader(epochs),
            rib: Arc::new(RwLock::new(rib)),
            local_addresses: Arc::new(LocalAddresses::new(key)),
        }
    }

    /// Returns `true` if this is the same table, and lanes read it in the same way.
    fn is_same(&self, other: &Self) -> bool {
        let same = Arc::ptr_eq(&self.rib, &other.rib) && self.fib.is_same(&other.fib);
        same && Arc::ptr_eq(&self.local_addresses, &other.local_addresses)
    }

    /// Returns what it answers for a destination, as the number of a target.
    #[inline]
    fn lookup(&self, destination: IpAddr) -> u32 {
        match destination {
            IpAddr::V4(destination) => self.fib.lookup(destination.to_bits()).number(),
            IpAddr::V6(destination) => self.fib6.lookup(destination.to_bits()),
        }
    }

    /// Returns `true` if `accept` takes the target of a prefix that an address is in, other than the
    /// default route; `None` while routes are being changed, for which nobody waits.
    #[inline(never)]
    pub(crate) fn any_containing(
        &self,
        address: IpAddr,
        accept: impl Fn(Target) -> bool,
    ) -> Option<bool> {
        let accept = |value| accept(Target::from_number(value));
        let rib = self.rib.try_read()?;
        Some(rib.any_containing(address, accept))
    }
}

/// Changes, which are quicker while no lane reads it.
impl Vrf {
    /// Replaces the router's addresses.
    pub(crate) fn set_local_addresses(&mut self, new: LocalAddresses) {
        if *self.local_addresses != new {
            self.local_addresses = Arc::new(new);
        }
    }

    /// Adds a route or changes it. Returns the value it had, without [`HIDDEN`](lpm::HIDDEN).
    pub(crate) fn insert(&mut self, prefix: Network, value: u32) -> Option<u32> {
        let mut rib = self.rib.write();
        let rib = &mut *rib;
        match (prefix.v4(), prefix.v6()) {
            (Some(prefix), _) => {
                let reader = self.fib.changes();
                let (first, len) = (prefix.first(), prefix.len);
                rib.v4.insert(first, len, value, Some(reader))
            }
            (_, Some(prefix)) => {
                let (first, len) = (prefix.first(), prefix.len);
                rib.v6.insert(first, len, value, Some(&mut self.fib6))
            }
            _ => None,
        }
    }

    /// Removes a route. Returns its value, without [`HIDDEN`](lpm::HIDDEN).
    pub(crate) fn remove(&mut self, prefix: Network) -> Option<u32> {
        let mut rib = self.rib.write();
        let rib = &mut *rib;
        match (prefix.v4(), prefix.v6()) {
            (Some(prefix), _) => {
                let reader = self.fib.changes();
                rib.v4.remove(prefix.first(), prefix.len, Some(reader))
            }
            (_, Some(prefix)) => {
                let reader = &mut self.fib6;
                rib.v6.remove(prefix.first(), prefix.len, Some(reader))
            }
            _ => None,
        }
    }

    /// Removes all routes, and what lies over them. Returns what it was.
    pub(crate) fn clear(&mut self, epochs: &Arc<Epochs>) -> Arc<RwLock<Rib>> {
        let new = Self::new(0, epochs);
        (self.fib, self.fib6) = (new.fib, new.fib6);
        core::mem::replace(&mut self.rib, new.rib)
    }

    /// Replaces the overlay. Routes that reappear are hidden if `hidden` returns `true` for their
    /// values.
    pub(crate) fn replace_overlay(
        &mut self,
        four: Overlay<u32>,
        six: Overlay<u128>,
        hidden: impl Fn(u32) -> bool,
    ) {
        let mut rib = self.rib.write();
        let rib = &mut *rib;
        if rib.v4.is_other(&four) {
            let reader = self.fib.changes();
            rib.v4.replace_overlay(four, reader, &hidden);
        }
        rib.v6.replace_overlay(six, &mut self.fib6, hidden);
    }

    /// Has routes hidden and shown anew, part by part.
    pub(crate) fn begin_hiding(&mut self) {
        self.rib.write().begin_hiding();
    }

    /// Returns `true` if routes are still to be hidden or shown.
    pub(crate) fn is_hiding(&self) -> bool {
        self.rib.read().is_hiding()
    }

    /// Hides those routes of the next `nodes` nodes whose values `hidden` holds for, and shows the others.
    pub(crate) fn hide_part(&mut self, nodes: usize, hidden: impl Fn(u32) -> bool) {
        let readers = (self.fib.changes(), &mut self.fib6);
        self.rib.write().hide_part(nodes, readers, hidden);
    }

    /// Returns `true` if lookups of IPv4 are as quick as they can be.
    pub(crate) fn is_settled(&self) -> bool {
        self.fib.is_settled(self.rib.read().v4.table())
    }

    /// Optimizes a part of the IPv4 table for lookups.
    pub(crate) fn settle(&mut self) {
        self.fib.settle(self.rib.write().v4.table_mut());
    }
}

/// The number of each configured routing table, which it keeps over changes of the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct VrfIds {
    /// By index into [`Config::vrfs`](config::Config::vrfs).
    ids: Vec<u8>,
}

impl VrfIds {
    /// Returns the numbers for tables named `new`, in which those that are among `old`, whose
    /// numbers these are, keep theirs. The others get the lowest ones that `is_free` holds for, first those that none of
    /// `old` has.
    pub(crate) fn after(
        &self,
        old: &[String],
        new: &[String],
        is_free: impl Fn(u8) -> bool,
    ) -> Self {
        let was = |name: &String| self.of(old.iter().position(|n| n == name)?);
        let kept: Vec<Option<u8>> = new.iter().map(was).collect();
        // Lanes may still find the old ones where routes lead to a table, until they have newer tables.
        let (others, used): (Vec<u8>, Vec<u8>) = (1..u8::MAX)
            .filter(|id| !kept.contains(&Some(*id)) && is_free(*id))
            .partition(|id| !self.has(*id));
        let mut free = others.into_iter().chain(used);
        let number = |(at, kept): (usize, &Option<u8>)| match at {
            0 => Some(0),
            _ => kept.or_else(|| free.next()),
        };
        Self {
            ids: kept.iter().enumerate().map_while(number).collect(),
        }
    }

    /// Returns the number of the table at an index. `None` if there is no such table.
    pub(crate) fn of(&self, index: usize) -> Option<u8> {
        self.ids.get(index).copied()
    }

    /// Returns `true` if a table has this number.
    pub(crate) fn has(&self, number: u8) -> bool {
        self.ids.contains(&number)
    }

    /// Returns the highest number plus one.
    pub(crate) fn slots(&self) -> usize {
        self.ids
            .iter()
            .map(|&id| usize::from(id) + 1)
            .max()
            .unwrap_or(1)
    }
}

/// All of them. Number 0, the default one, is always there.
#[derive(Clone)]
pub(crate) struct Vrfs {
    default: Vrf,
    others: Vec<Vrf>,
    /// The groups that routes of all tables refer to.
    pub(crate) groups: Groups,
}

impl Vrfs {
    pub(crate) fn new(default: Vrf) -> Self {
        Self {
            default,
            others: Vec::new(),
            groups: Groups::default(),
        }
    }

    /// Returns `true` if lanes find the same in both.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let (all, others) = (self.all(), other.all());
        self.others.len() == other.others.len()
            && self.groups.is_same(&other.groups)
            && all.zip(others).all(|(a, b)| a.is_same(b))
    }

    /// Has tables up to the highest of this many numbers; `make` makes those that are new.
    pub(crate) fn resize(&mut self, slots: usize, make: impl FnMut() -> Vrf) {
        self.others.resize_with(slots.saturating_sub(1), make);
    }

    /// Returns the numbers of all.
    pub(crate) fn numbers(&self) -> Range<u8> {
        0..u8::try_from(self.others.len() + 1).unwrap_or(u8::MAX)
    }

    /// Returns all of them, to be changed.
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Vrf> {
        core::iter::once(&mut self.default).chain(&mut self.others)
    }

    #[inline]
    pub(crate) fn get(&self, number: u8) -> &Vrf {
        let other = self.others.get(usize::from(number).wrapping_sub(1));
        other.unwrap_or(&self.default)
    }

    pub(crate) fn get_mut(&mut self, number: u8) -> &mut Vrf {
        let other = self.others.get_mut(usize::from(number).wrapping_sub(1));
        other.unwrap_or(&mut self.default)
    }

    /// One of them to be changed, and the groups.
    pub(crate) fn split(&mut self, number: u8) -> (&mut Vrf, &mut Groups) {
        let other = self.others.get_mut(usize::from(number).wrapping_sub(1));
        (other.unwrap_or(&mut self.default), &mut self.groups)
    }

    /// Returns all routing tables.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Vrf> {
        core::iter::once(&self.default).chain(&self.others)
    }

    /// Returns the target of a packet for which a table gave an answer: where that is another table,
    /// what that one says, and of a group the member for the packet's flow, if the group is known here. Also
    /// the MTU of the route in bytes, if it has one of its own. `ip` begins with the IP header.
    #[inline]
    pub(crate) fn settle(&self, answer: u32, ip: &[u8], key: u64) -> (Target, Option<u16>) {
        let destination = || match ip.first() {
            Some(first) if first >> 4 == 6 => IpAddr::V6(be128(ip, 24).into()),
            _ => IpAddr::V4(be32(ip, 16).into()),
        };
        let mut target = Target::from_number(answer);
        if let Target::Vrf(next) = target {
            (_, target) = self.find(next, destination());
        }
        let Target::Group(group) = target else {
            return (target, None);
        };
        let Some(known) = self.groups.get(group) else {
            return (target, None);
        };
        let member = known
            .pick(flow_hash(ip, key))
            .map_or(Target::Drop(DropReason::NoRoute), Target::from_number);
        (member, self.groups.mtu(group))
    }

    /// Returns all members of a group.
    #[inline]
    pub(crate) fn members(&self, group: u32) -> impl Iterator<Item = Target> {
        self.groups.members(group).map(Target::from_number)
    }

    /// Returns `true` if a table, or one that its default route leads to, has a usable IPv6 default
    /// route.
    pub(crate) fn has_default_route6(&self, number: u8) -> bool {
        let mut number = number;
        for _ in 0..=self.others.len() {
            let default = self.get(number).rib.read().v6.visible(0, 0);
            match default.map(Target::from_number) {
                Some(Target::Vrf(next)) => number = next,
                Some(Target::Neighbor(_) | Target::OnLink(_) | Target::Group(_)) => return true,
                Some(Target::Local | Target::Drop(_)) | None => return false,
            }
        }
        false
    }

    /// Returns the target for a destination, and the table that it was found in: `number` or one
    /// that it leads to. Groups aren't resolved.
    #[inline]
    pub(crate) fn find(&self, number: u8, destination: IpAddr) -> (u8, Target) {
        let mut number = number;
        // A path longer than the number of tables is a cycle.
        for _ in 0..=self.others.len() {
            match Target::from_number(self.get(number).lookup(destination)) {
                Target::Vrf(next) => number = next,
                target => return (number, target),
            }
        }
        (number, Target::Drop(DropReason::VrfLoop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec;

    #[test]
    fn a_new_table_has_no_number_of_one_that_goes_if_there_are_others() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| name.to_string())
                .collect::<Vec<_>>()
        };
        let (mut ids, mut old) = (VrfIds::default(), names(&[]));
        for (new, wanted) in [
            (["default", "red"], [0, 1]),
            (["default", "blue"], [0, 2]),
            (["default", "green"], [0, 1]),
            (["default", "green"], [0, 1]),
        ] {
            let new = names(&new);
            ids = ids.after(&old, &new, |_| true);
            assert_eq!(ids.ids, wanted);
            old = new;
        }
        // Where there are no others, it has.
        let new = names(&["default", "red"]);
        let only = |number| number == 1;
        assert_eq!(ids.after(&old, &new, only).ids, vec![0, 1]);
    }
}
