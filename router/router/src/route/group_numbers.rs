//! The numbers of next-hop groups, and the number of routes that use each.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::next_hop_groups::Members;

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
    free: Vec<u32>,
}

impl GroupNumbers {
    /// Returns the group with these members, if there is one.
    pub(crate) fn find(&self, members: &Members) -> Option<u32> {
        self.numbers.get(members).copied()
    }

    /// Returns a number for a group that doesn't exist yet and has no users. `None` if there are
    /// too many.
    pub(crate) fn add(&mut self, members: Members) -> Option<u32> {
        let number = match self.free.pop() {
            Some(number) => number,
            None if self.slots.len() < GROUPS => {
                self.slots.push(Slot::default());
                u32::try_from(self.slots.len() - 1).ok()?
            }
            None => return None,
        };
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
        self.free.push(number);
        Some(members)
    }

    /// Returns `true` if there are none.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.free.len() == self.slots.len()
    }
}
