//! The numbers of next-hop groups, and the number of routes that use each.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::next_hop_groups::Members;
use crate::numbers::Numbers;

/// The maximum number of groups, which take about 1 KiB each.
const GROUPS: usize = config::MAX_GROUPS;

#[derive(Debug, Default)]
struct Slot {
    members: Members,
    users: u32,
}

/// The numbers of all groups. What lanes read of them is in
/// [`Groups`](crate::route::next_hop_groups::Groups).
#[derive(Debug, Default)]
pub(crate) struct GroupNumbers {
    slots: Vec<Slot>,
    numbers: BTreeMap<Members, u32>,
    /// Those of the slots.
    pub(crate) all: Numbers,
}

impl GroupNumbers {
    /// Returns the group with these members, if there is one.
    pub(crate) fn find(&self, members: &Members) -> Option<u32> {
        self.numbers.get(members).copied()
    }

    /// Returns a number for a group that doesn't exist yet and has no users. `None` if there are
    /// too many.
    pub(crate) fn add(&mut self, members: Members) -> Option<u32> {
        if !self.all.has_free() && self.all.len() == GROUPS {
            return None;
        }
        let at = self.all.take();
        if at >= self.slots.len() {
            self.slots.resize_with(at + 1, Slot::default);
        }
        let number = u32::try_from(at).ok()?;
        self.slots.get_mut(number as usize)?.members = members.clone();
        self.numbers.insert(members, number);
        Some(number)
    }

    /// Adds a user of a group.
    pub(crate) fn hold(&mut self, number: u32) {
        if let Some(slot) = self.slots.get_mut(number as usize) {
            slot.users += 1;
        }
    }

    /// Removes a user of a group. If it was the last one, the group is removed and its members are
    /// returned.
    pub(crate) fn release(&mut self, number: u32) -> Option<Members> {
        let slot = self.slots.get_mut(number as usize)?;
        slot.users = slot.users.checked_sub(1)?;
        if slot.users > 0 {
            return None;
        }
        let members = core::mem::take(slot).members;
        self.numbers.remove(&members);
        self.all.give_back(number as usize);
        Some(members)
    }

    /// Returns `true` if there are none.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.all.used() == 0
    }
}
