//! The groups of next hops that routes refer to. Each exists once, however many routes use it,
//! so that a change of its members is a change in one place. Where a route has an MTU of its own,
//! its one next hop or more are a group with that MTU: other routes need not look for one.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::next_hop_group::Group;

/// Most groups at a time. Each takes about 1 KiB.
const GROUPS: usize = config::MAX_GROUPS;

/// What a group is: targets with their weights, and the largest packet for them, in bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Members {
    pub(crate) targets: Vec<(u32, u8)>,
    pub(crate) mtu: Option<u16>,
}

#[derive(Debug, Default)]
struct Slot {
    group: Group,
    members: Members,
    users: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Groups {
    slots: Vec<Slot>,
    numbers: BTreeMap<Members, u32>,
    free: Vec<u32>,
}

impl Groups {
    /// The group with these members, if there is one.
    pub(crate) fn find(&self, members: &Members) -> Option<u32> {
        self.numbers.get(members).copied()
    }

    /// Makes a group that doesn't exist yet and has no users. None if there are too many.
    pub(crate) fn add(&mut self, members: Members, usable: impl Fn(u32) -> bool) -> Option<u32> {
        let number = match self.free.pop() {
            Some(number) => number,
            None if self.slots.len() < GROUPS => {
                self.slots.push(Slot::default());
                u32::try_from(self.slots.len() - 1).ok()?
            }
            None => return None,
        };
        let slot = self.slots.get_mut(number as usize)?;
        slot.group = Group::new(&members.targets, usable);
        slot.members = members.clone();
        self.numbers.insert(members, number);
        Some(number)
    }

    /// Notes one more user of a group.
    pub(crate) fn hold(&mut self, number: u32) {
        if let Some(slot) = self.slots.get_mut(number as usize) {
            slot.users += 1;
        }
    }

    /// Notes one user less. When the last one is gone, so is the group; its members are
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

    /// Spreads the flows of every group over those of its members that are usable, where those are others
    /// than before.
    pub(crate) fn choose(&mut self, usable: impl Fn(u32) -> bool) {
        for slot in &mut self.slots {
            let targets = slot.members.targets.iter().map(|&(target, _)| target);
            if !slot.group.is_of(targets.filter(|&target| usable(target))) {
                slot.group = Group::new(&slot.members.targets, &usable);
            }
        }
    }

    /// A group by its number.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&Group> {
        Some(&self.slots.get(number as usize)?.group)
    }

    /// Returns `true` if there are none.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.free.len() == self.slots.len()
    }

    /// The largest packet for a group, in bytes, where that isn't the interfaces' matter.
    #[inline]
    pub(crate) fn mtu(&self, number: u32) -> Option<u16> {
        self.slots.get(number as usize)?.members.mtu
    }

    /// All members of a group.
    #[inline]
    pub(crate) fn members(&self, number: u32) -> impl Iterator<Item = u32> {
        let slot = self.slots.get(number as usize);
        let targets = slot.into_iter().flat_map(|s| &s.members.targets);
        targets.map(|&(target, _)| target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_changes_the_groups_that_have_a_member_there() {
        let mut groups = Groups::default();
        let members = |targets: &[(u32, u8)]| Members {
            targets: targets.to_vec(),
            mtu: None,
        };
        let all = |_| true;
        let near = groups.add(members(&[(1, 1), (2, 1)]), all).unwrap();
        let far = groups.add(members(&[(3, 1), (4, 1)]), all).unwrap();
        let place =
            |groups: &Groups, number| core::ptr::from_ref(groups.get(number).unwrap().flows());
        let (near_was, far_was) = (place(&groups, near), place(&groups, far));
        groups.choose(|target| target != 1);
        assert_eq!(place(&groups, far), far_was, "made anew");
        assert_ne!(place(&groups, near), near_was);
        let picked = |groups: &Groups| {
            (0..1000)
                .map(|n| groups.get(near)?.pick(n << 22))
                .collect::<Vec<_>>()
        };
        assert!(picked(&groups).iter().all(|&member| member == Some(2)));
        groups.choose(all);
        assert!(picked(&groups).contains(&Some(1)));
    }
}
