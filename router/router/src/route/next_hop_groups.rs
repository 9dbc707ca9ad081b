//! The next-hop groups that routes refer to, as lanes read them. Each group exists once, however
//! many routes use it, so that a change of its members is a change in one place. The next hops of a
//! route with an MTU, even a single one, are a group with that MTU, so that other routes don't have
//! to check for one.

use alloc::collections::BinaryHeap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::next_hop_group::Group;
use super::target::Target;

/// The members of a group: targets with their weights, and the MTU in bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Members {
    pub(crate) targets: Vec<(u32, u8)>,
    pub(crate) mtu: Option<u16>,
}

impl Members {
    /// Creates the members of a group for these targets.
    ///
    /// # Errors
    ///
    /// The only target, if it needs no group.
    pub(crate) fn new(targets: Vec<(u32, u8)>, mtu: Option<u16>) -> Result<Self, Target> {
        if let ([(only, _)], None) = (targets.as_slice(), mtu) {
            return Err(Target::from_number(*only));
        }
        // A heap's code is a tenth of a quicksort's, and these are few.
        let targets = BinaryHeap::from(targets).into_sorted_vec();
        Ok(Self { targets, mtu })
    }
}

#[derive(Debug)]
struct Slot {
    group: Group,
    members: Members,
}

/// All groups, as lanes read them; a change makes another list of them. Which numbers are taken, and by
/// whom, is in [`GroupNumbers`](crate::route::group_numbers::GroupNumbers).
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    slots: Arc<Vec<Option<Arc<Slot>>>>,
}

impl Groups {
    /// Returns `true` if this is the same list.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.slots, &other.slots)
    }

    /// Makes a group of these members.
    pub(crate) fn set(&mut self, number: u32, members: Members, usable: impl Fn(u32) -> bool) {
        let (at, slots) = (number as usize, Arc::make_mut(&mut self.slots));
        if at >= slots.len() {
            slots.resize(at + 1, None);
        }
        if let Some(slot) = slots.get_mut(at) {
            let group = Group::new(&members.targets, usable);
            *slot = Some(Arc::new(Slot { group, members }));
        }
    }

    /// Removes a group that is no longer used.
    pub(crate) fn clear(&mut self, number: u32) {
        if let Some(slot) = Arc::make_mut(&mut self.slots).get_mut(number as usize) {
            *slot = None;
        }
    }

    /// Recomputes the groups whose usable members have changed.
    pub(crate) fn choose(&mut self, usable: impl Fn(u32) -> bool) {
        let is_as_before = |slot: &Slot| {
            let targets = slot.members.targets.iter().map(|&(target, _)| target);
            slot.group.is_of(targets.filter(|&target| usable(target)))
        };
        if self.slots.iter().flatten().all(|slot| is_as_before(slot)) {
            return;
        }
        for slot in Arc::make_mut(&mut self.slots).iter_mut().flatten() {
            if !is_as_before(slot) {
                *slot = Arc::new(Slot {
                    group: Group::new(&slot.members.targets, &usable),
                    members: slot.members.clone(),
                });
            }
        }
    }

    #[inline]
    fn slot(&self, number: u32) -> Option<&Slot> {
        self.slots.get(number as usize)?.as_deref()
    }

    /// Returns a group by its number. `None` if it isn't known here, as a lane may not know yet of one that was
    /// just made.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&Group> {
        Some(&self.slot(number)?.group)
    }

    /// Returns the MTU of a group in bytes; `None` if the interfaces' MTUs apply.
    #[inline]
    pub(crate) fn mtu(&self, number: u32) -> Option<u16> {
        self.slot(number)?.members.mtu
    }

    /// Returns all members of a group.
    #[inline]
    pub(crate) fn members(&self, number: u32) -> impl Iterator<Item = u32> {
        let targets = self
            .slot(number)
            .into_iter()
            .flat_map(|s| &s.members.targets);
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
        let (near, far) = (0, 1);
        groups.set(near, members(&[(1, 1), (2, 1)]), all);
        groups.set(far, members(&[(3, 1), (4, 1)]), all);
        let place =
            |groups: &Groups, number| core::ptr::from_ref(groups.get(number).unwrap().flows());
        let (near_was, far_was) = (place(&groups, near), place(&groups, far));
        groups.choose(|target| target != 1);
        assert_eq!(place(&groups, far), far_was, "made again");
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
