//! The forwarding table: from destinations to what is done with packets to them.

mod address;
pub(crate) mod group;
pub(crate) mod lpm;
mod node;
mod pool;
pub mod table;
mod target;

/// Longest-prefix match for IPv4.
pub mod lpm4 {
    /// From IPv4 prefixes to values.
    pub type Table = super::table::Table<u32>;
}

/// Longest-prefix match for IPv6.
pub mod lpm6 {
    /// From IPv6 prefixes to values.
    pub type Table = super::table::Table<u128>;
}

use alloc::vec::Vec;

use group::Group;
use lpm::{Lpm, LpmRoute};
pub(crate) use target::Target;

use crate::DropReason;

/// The table and the groups it refers to.
#[derive(Debug)]
pub(crate) struct Fib {
    pub(crate) lpm: Lpm,
    groups: Vec<Group>,
}

/// Destinations that are never forwarded to (RFC 1812 5.3.7, RFC 1122 3.2.1.3).
/// Address 0 is among them by itself so that no shorter route can change its answer.
const SPECIAL: [(u32, u8, DropReason); 6] = [
    (0x0000_0000, 32, DropReason::MartianDestination),
    (0x0000_0000, 8, DropReason::MartianDestination),
    (0x7f00_0000, 8, DropReason::MartianDestination),
    (0xe000_0000, 4, DropReason::Multicast),
    (0xf000_0000, 4, DropReason::MartianDestination),
    (0xffff_ffff, 32, DropReason::Broadcast),
];

/// Collects routes; later ones win over earlier ones for the same prefix.
#[derive(Debug, Default)]
pub(crate) struct FibBuilder {
    routes: Vec<LpmRoute>,
    groups: Vec<Group>,
}

impl FibBuilder {
    pub(crate) fn route(&mut self, prefix: u32, len: u8, target: Target) {
        self.routes.push(LpmRoute {
            prefix,
            len,
            value: target.number(),
        });
    }

    /// Makes one target of several, with their weights.
    pub(crate) fn group(&mut self, members: &[(Target, u8)]) -> Target {
        if let [(only, _)] = members {
            return *only;
        }
        let members: Vec<(u32, u8)> = members.iter().map(|&(t, w)| (t.number(), w)).collect();
        let number = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        self.groups.push(Group::new(&members));
        Target::Group(number)
    }

    pub(crate) fn build(mut self) -> Fib {
        for (prefix, len, reason) in SPECIAL {
            self.route(prefix, len, Target::Nowhere(reason));
        }
        let default = Target::Nowhere(DropReason::NoRoute).number();
        Fib {
            lpm: Lpm::new(&mut self.routes, default),
            groups: self.groups,
        }
    }
}

impl Fib {
    /// A table that knows only what is never forwarded to.
    pub(crate) fn empty() -> Self {
        FibBuilder::default().build()
    }

    /// The target for a destination; a group is not yet resolved.
    #[inline]
    pub(crate) fn lookup(&self, destination: u32) -> Target {
        Target::from_number(self.lpm.lookup(destination))
    }

    /// Replaces the destinations of a burst by the numbers of their targets.
    #[inline(always)]
    pub(crate) fn answer(&self, burst: &mut [u32]) {
        // Frames of one flow come in trains: what was asked last is often asked again.
        let mut asked = !burst.first().copied().unwrap_or(0);
        let mut answer = 0;
        for lookup in burst {
            if *lookup != asked {
                asked = *lookup;
                answer = self.lpm.lookup(asked);
            }
            *lookup = answer;
        }
    }

    /// The member of a group that a packet's flow uses. `ip` begins with its IP header.
    pub(crate) fn member(&self, group: u32, ip: &[u8], key: u64) -> Target {
        self.groups
            .get(group as usize)
            .and_then(|g| g.pick(group::flow_hash(ip, key)))
            .map_or(Target::Nowhere(DropReason::NoRoute), Target::from_number)
    }

    /// All members of a group.
    pub(crate) fn members(&self, group: u32) -> impl Iterator<Item = Target> {
        let group = self.groups.get(group as usize);
        group
            .into_iter()
            .flat_map(|g| g.targets())
            .map(Target::from_number)
    }

    /// Bytes the table takes.
    pub(crate) fn bytes(&self) -> usize {
        self.lpm.bytes()
    }
}
