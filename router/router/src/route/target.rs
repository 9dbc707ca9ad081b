//! The target of a lookup in the forwarding table.

use alloc::vec::Vec;

use crate::DropReason;
use crate::frame::{InterfaceId, MAX_INTERFACES};

/// What happens to packets to a destination. Lookups return the target's number; that of a neighbor
/// is its index, so the common case needs no decoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// To this neighbor.
    Neighbor(u32),
    /// Sent to the neighbor with the packet's destination address, on the link of an interface.
    OnLink(u8),
    /// To one of a group of targets.
    Group(u32),
    /// Looked up in another routing table, by its number.
    Vrf(u8),
    /// To the router itself.
    Local,
    /// Dropped. For some reasons the sender is notified.
    Drop(DropReason),
}

const ON_LINK: u32 = 1 << 28;
const GROUP: u32 = 2 << 28;
const LOCAL: u32 = 3 << 28;
const DROP: u32 = 4 << 28;
const VRF: u32 = 5 << 28;
const KIND: u32 = 7 << 28;

impl Target {
    #[inline]
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Neighbor(index) => index & !KIND,
            Self::OnLink(interface) => ON_LINK | interface as u32,
            Self::Group(group) => GROUP | (group & !KIND),
            Self::Vrf(number) => VRF | number as u32,
            Self::Local => LOCAL,
            Self::Drop(reason) => DROP | reason as u32,
        }
    }

    #[inline]
    pub(crate) fn from_number(number: u32) -> Self {
        let rest = number & !KIND;
        match number & KIND {
            0 => Self::Neighbor(rest),
            ON_LINK => Self::OnLink(u8::try_from(rest).unwrap_or(u8::MAX)),
            GROUP => Self::Group(rest),
            VRF => Self::Vrf(u8::try_from(rest).unwrap_or(0)),
            LOCAL => Self::Local,
            _ => {
                let reason = DropReason::ALL.get(rest as usize).copied();
                Self::Drop(reason.unwrap_or(DropReason::NoRoute))
            }
        }
    }
}

/// The use counts of links and routing tables as targets.
#[derive(Debug)]
pub(crate) struct TargetUsers {
    on_link: [u32; MAX_INTERFACES],
    /// By number, as many as were ever led to.
    vrfs: Vec<u32>,
}

impl Default for TargetUsers {
    fn default() -> Self {
        Self {
            on_link: [0; MAX_INTERFACES],
            vrfs: Vec::new(),
        }
    }
}

impl TargetUsers {
    /// Adds or removes a user of a target that is the link of an interface or a routing table.
    pub(crate) fn count(&mut self, target: Target, change: i32) {
        let users = match target {
            Target::OnLink(at) => self.on_link.get_mut(usize::from(at)),
            Target::Vrf(number) => {
                let needed = usize::from(number) + 1;
                self.vrfs.resize(needed.max(self.vrfs.len()), 0);
                self.vrfs.get_mut(usize::from(number))
            }
            _ => None,
        };
        if let Some(users) = users {
            *users = users.saturating_add_signed(change);
        }
    }

    /// Returns `true` if no route leads to the link of an interface.
    pub(crate) fn is_free(&self, interface: InterfaceId) -> bool {
        self.on_link.get(interface.index()) == Some(&0)
    }

    /// Returns `true` if no route leads to a routing table.
    pub(crate) fn is_free_vrf(&self, number: u8) -> bool {
        self.vrfs
            .get(usize::from(number))
            .is_none_or(|&users| users == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        let targets = [
            Target::Neighbor(0),
            Target::Neighbor(77),
            Target::OnLink(15),
            Target::Group(3),
            Target::Vrf(63),
            Target::Local,
        ];
        let nowhere = DropReason::ALL.map(Target::Drop);
        for target in targets.into_iter().chain(nowhere) {
            assert_eq!(Target::from_number(target.number()), target);
            assert!(target.number() < 1 << 31);
        }
    }
}
