//! The use counts of targets: neighbors, groups, links, routing tables. Targets keep their numbers
//! while they are used.

use alloc::vec::Vec;

use crate::neighbor::table::NeighborTable;
use crate::route::group_numbers::GroupNumbers;
use crate::route::target::{Target, TargetUsers};

/// The use counts, which lanes don't read.
pub(crate) struct Holders<'a> {
    pub(crate) neighbors: &'a mut NeighborTable,
    pub(crate) groups: &'a mut GroupNumbers,
    pub(crate) users: &'a mut TargetUsers,
}

/// A target that is no longer used and can be removed from what lanes read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gone {
    /// A group, by its number.
    Group(u32),
    /// An idle neighbor, by its index.
    Neighbor(usize),
}

impl Holders<'_> {
    /// Adds a user of a target. Returns `false` if the limit of pinned neighbors is reached.
    pub(crate) fn hold(&mut self, target: Target) -> bool {
        match target {
            Target::Neighbor(index) => return self.neighbors.pin(index as usize),
            Target::Group(number) => self.groups.hold(number),
            Target::OnLink(_) | Target::Vrf(_) => self.users.count(target, 1),
            Target::Local | Target::Drop(_) => {}
        }
        true
    }

    /// Removes a user of a target. Returns the targets that are no longer used.
    pub(crate) fn release(&mut self, target: Target) -> Vec<Gone> {
        match target {
            Target::Neighbor(index) => {
                let index = index as usize;
                if self.neighbors.release(index) {
                    return alloc::vec![Gone::Neighbor(index)];
                }
            }
            Target::Group(number) => {
                if let Some(members) = self.groups.release(number) {
                    let mut gone = self.release_all(&members.targets);
                    gone.push(Gone::Group(number));
                    return gone;
                }
            }
            Target::OnLink(_) | Target::Vrf(_) => self.users.count(target, -1),
            Target::Local | Target::Drop(_) => {}
        }
        Vec::new()
    }

    /// Removes a user of each of these targets, none of which is a group.
    pub(crate) fn release_all(&mut self, members: &[(u32, u8)]) -> Vec<Gone> {
        let members = members
            .iter()
            .map(|&(member, _)| Target::from_number(member));
        members.flat_map(|member| self.release(member)).collect()
    }
}
