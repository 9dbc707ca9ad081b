//! Which targets are usable in the current state of the links.

use crate::interface::Interface;
use crate::neighbor::adjacency::Adjacencies;
use crate::route::next_hop_groups::Groups;
use crate::route::target::Target;

/// Returns `true` if a target other than a group is usable: its link is up.
pub(crate) fn is_usable(
    target: Target,
    interfaces: &[Interface],
    adjacencies: &Adjacencies,
) -> bool {
    let is_up = |at: u8| interfaces.get(usize::from(at)).is_some_and(|i| i.up);
    match target {
        Target::Neighbor(index) => {
            let adjacency = adjacencies.get(index as usize);
            adjacency.is_some_and(|a| is_up(a.out()))
        }
        Target::OnLink(at) => is_up(at),
        Target::Local | Target::Drop(_) | Target::Vrf(_) => true,
        Target::Group(_) => false,
    }
}

/// Returns `true` if routes to a target are to be hidden.
pub(crate) fn is_hidden(
    number: u32,
    groups: &Groups,
    interfaces: &[Interface],
    adjacencies: &Adjacencies,
) -> bool {
    match Target::from_number(number) {
        Target::Group(group) => groups.get(group).is_none_or(|g| g.is_empty()),
        target => !is_usable(target, interfaces, adjacencies),
    }
}
