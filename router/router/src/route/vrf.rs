//! Routing tables that are kept apart (VRF, virtual routing and forwarding): each interface
//! uses one of them, with networks, addresses and fragments of its own.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::Range;

use crate::DropReason;
use crate::local::addresses::LocalAddresses;
use crate::route::fib::Fib;
use crate::route::flow_hash::flow_hash;
use crate::route::next_hop_groups::Groups;
use crate::route::overlay::OverlaidTable;
use crate::route::target::Target;
use wire::{be32, be128};

/// A routing table of both families, and what is known of its addresses.
pub(crate) struct Vrf {
    pub(crate) fib: Fib,
    pub(crate) fib6: OverlaidTable<u128>,
    pub(crate) local_addresses: LocalAddresses,
}

impl Vrf {
    /// A table without routes. `key` makes the hash of its addresses hard to foresee.
    pub(crate) fn new(key: u64) -> Self {
        Self {
            fib: Fib::new(),
            fib6: OverlaidTable::new(),
            local_addresses: LocalAddresses::new(key),
        }
    }

    /// What it answers for a destination, as the number of a target.
    #[inline]
    fn lookup(&self, destination: IpAddr) -> u32 {
        match destination {
            IpAddr::V4(destination) => self.fib.lookup(destination.to_bits()).number(),
            IpAddr::V6(destination) => self.fib6.lookup(destination.to_bits()),
        }
    }
}

impl Vrf {
    /// Returns `true` if `accept` takes the target of a prefix that an address is in, other than the
    /// default route.
    pub(crate) fn any_containing(&self, address: IpAddr, accept: impl Fn(Target) -> bool) -> bool {
        let accept = |value| accept(Target::from_number(value));
        match address {
            IpAddr::V4(address) => self.fib.v4.any_containing(address.to_bits(), accept),
            IpAddr::V6(address) => self.fib6.any_containing(address.to_bits(), accept),
        }
    }
}

/// The number of each configured routing table, which it keeps over changes of the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct VrfIds {
    /// By index into [`Config::vrfs`](config::Config::vrfs).
    ids: Vec<u8>,
}

impl VrfIds {
    /// The numbers for tables named `new`, in which those that are among `old`, whose numbers these
    /// are, keep theirs. The others get the lowest ones that `is_free` holds for.
    pub(crate) fn after(
        &self,
        old: &[String],
        new: &[String],
        is_free: impl Fn(u8) -> bool,
    ) -> Self {
        let was = |name: &String| self.of(old.iter().position(|n| n == name)?);
        let kept: Vec<Option<u8>> = new.iter().map(was).collect();
        let mut free = (1..u8::MAX).filter(|id| !kept.contains(&Some(*id)) && is_free(*id));
        let number = |(at, kept): (usize, &Option<u8>)| match at {
            0 => Some(0),
            _ => kept.or_else(|| free.next()),
        };
        Self {
            ids: kept.iter().enumerate().map_while(number).collect(),
        }
    }

    /// The number of the table at an index. `None` if there is no such table.
    pub(crate) fn of(&self, index: usize) -> Option<u8> {
        self.ids.get(index).copied()
    }

    /// Returns `true` if a table has this number.
    pub(crate) fn has(&self, number: u8) -> bool {
        self.ids.contains(&number)
    }

    /// How many numbers up to the highest one there are.
    pub(crate) fn slots(&self) -> usize {
        self.ids
            .iter()
            .map(|&id| usize::from(id) + 1)
            .max()
            .unwrap_or(1)
    }
}

/// All of them. Number 0, the default one, is always there.
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

    /// Has tables up to the highest of this many numbers; `make` makes those that are new.
    pub(crate) fn resize(&mut self, slots: usize, make: impl FnMut() -> Vrf) {
        self.others.resize_with(slots.saturating_sub(1), make);
    }

    /// The numbers of all.
    pub(crate) fn numbers(&self) -> Range<u8> {
        0..u8::try_from(self.others.len() + 1).unwrap_or(u8::MAX)
    }

    /// All of them, to be changed.
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
    pub(crate) fn split(&mut self, number: u8) -> (&mut Vrf, &Groups) {
        let other = self.others.get_mut(usize::from(number).wrapping_sub(1));
        (other.unwrap_or(&mut self.default), &self.groups)
    }

    /// The target of a packet for which a table gave an answer: where that is another table,
    /// what that one says, and of a group the member for the packet's flow. Also the MTU of the
    /// route in bytes, if it has one of its own. `ip` begins with the IP header.
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
        let mtu = self.groups.mtu(group);
        let group = self.groups.get(group);
        let member = group
            .and_then(|g| g.pick(flow_hash(ip, key)))
            .map_or(Target::Drop(DropReason::NoRoute), Target::from_number);
        (member, mtu)
    }

    /// All members of a group.
    #[inline]
    pub(crate) fn members(&self, group: u32) -> impl Iterator<Item = Target> {
        self.groups.members(group).map(Target::from_number)
    }

    /// Returns `true` if a table has a default route of IPv6 by which packets can go on, or leads to one
    /// that has.
    pub(crate) fn has_default_route6(&self, number: u8) -> bool {
        let mut number = number;
        for _ in 0..=self.others.len() {
            let default = self.get(number).fib6.visible(0, 0);
            match default.map(Target::from_number) {
                Some(Target::Vrf(next)) => number = next,
                Some(Target::Neighbor(_) | Target::OnLink(_) | Target::Group(_)) => return true,
                Some(Target::Local | Target::Drop(_)) | None => return false,
            }
        }
        false
    }

    /// What is answered for a destination, and by which table: `number` or one that it leads
    /// to. A group is not yet resolved.
    #[inline]
    pub(crate) fn find(&self, number: u8, destination: IpAddr) -> (u8, Target) {
        let mut number = number;
        // Who has been everywhere goes round in a circle.
        for _ in 0..=self.others.len() {
            match Target::from_number(self.get(number).lookup(destination)) {
                Target::Vrf(next) => number = next,
                target => return (number, target),
            }
        }
        (number, Target::Drop(DropReason::VrfLoop))
    }
}
