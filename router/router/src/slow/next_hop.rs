//! From what the table answers to a neighbour, the same for both families.

use core::net::IpAddr;

use crate::DropReason;
use crate::frame::InterfaceId;
use crate::neighbor::table::Purpose;
use crate::route::target::Target;
use crate::router::{Egress, Router};
use crate::slow::packet::Waiting;
use crate::time::Instant;
use wire::icmp_error::IcmpError;

/// Where a packet goes.
pub(crate) enum NextHop {
    /// To one of our own addresses.
    Local,
    /// To a neighbour, by its index; to none if no more may be asked for.
    Neighbor(Option<usize>),
}

impl Router {
    /// Where a packet to `destination` goes, for which the tables answered `target` (a member,
    /// where that was a group). None if it goes nowhere: it is counted then, and its sender told.
    pub(crate) fn next_hop(
        &mut self,
        now: Instant,
        target: Target,
        destination: IpAddr,
        waiting: &Waiting,
        out: &mut dyn Egress,
    ) -> Option<NextHop> {
        match target {
            Target::Local if waiting.originated => {
                self.drop_frames(waiting.input, DropReason::MartianDestination, 1);
                None
            }
            Target::Local => Some(NextHop::Local),
            Target::Drop(reason) => {
                self.drop_frames(waiting.input, reason, 1);
                let error = match reason {
                    DropReason::NoRoute | DropReason::VrfLoop if waiting.hop.is_some() => {
                        IcmpError::SourceRouteFailed
                    }
                    DropReason::NoRoute | DropReason::VrfLoop => IcmpError::NetUnreachable,
                    DropReason::Unreachable => IcmpError::HostUnreachable,
                    DropReason::Prohibited => IcmpError::Prohibited,
                    _ => return None,
                };
                self.report(now, waiting, error, out);
                None
            }
            Target::Neighbor(index) => Some(NextHop::Neighbor(Some(index as usize))),
            Target::OnLink(interface) => {
                let interface = InterfaceId(interface);
                let index = self.neighbor(now, interface, destination, Purpose::Resolve);
                Some(NextHop::Neighbor(index))
            }
            Target::Group(_) | Target::Vrf(_) => Some(NextHop::Neighbor(None)),
        }
    }

    /// The index of a neighbour that has an entry and a link, and the MTU of that link in bytes.
    /// Otherwise a packet that came in on `input` is dropped.
    pub(crate) fn within_reach(
        &mut self,
        input: InterfaceId,
        neighbor: Option<usize>,
    ) -> Option<(usize, u16)> {
        let entry = neighbor.map(|index| (index, self.neighbors.entry(index)));
        let reason = match entry {
            None => DropReason::NeighborRateLimited,
            Some((_, None)) => DropReason::NeighborTableFull,
            Some((index, Some(entry))) => {
                let link = self.links.get(entry.interface.index());
                match link.filter(|l| l.up) {
                    Some(link) => return Some((index, link.mtu)),
                    None => DropReason::LinkDown,
                }
            }
        };
        self.drop_frames(input, reason, 1);
        None
    }
}
