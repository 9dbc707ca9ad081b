//! From what the table answers to a neighbor, the same for both families.

use core::net::IpAddr;

use wire::icmp_error::IcmpError;

use crate::DropReason;
use crate::frame::InterfaceId;
use crate::packet::Packet;
use crate::route::target::Target;
use crate::step::Step;

/// Where a packet goes.
pub(crate) enum NextHop {
    /// To one of the router's addresses.
    Local,
    /// To a neighbor, by its index; to none if no more may be asked for.
    Neighbor(Option<usize>),
}

impl Step<'_> {
    /// Where a packet to `destination` goes, for which the tables answered `target` (a member,
    /// where that was a group). `None` if it goes nowhere: it is counted then, and its sender
    /// told.
    pub(crate) fn next_hop(
        &mut self,
        target: Target,
        destination: IpAddr,
        packet: &Packet,
    ) -> Option<NextHop> {
        match target {
            Target::Local if packet.originated => {
                let reason = DropReason::MartianDestination;
                self.cx.drop_frames(packet.input, reason, 1);
                None
            }
            Target::Local => Some(NextHop::Local),
            Target::Drop(reason) => {
                self.cx.drop_frames(packet.input, reason, 1);
                let error = match reason {
                    DropReason::NoRoute | DropReason::VrfLoop if packet.hop.is_some() => {
                        IcmpError::SourceRouteFailed
                    }
                    DropReason::NoRoute | DropReason::VrfLoop => IcmpError::NetUnreachable,
                    DropReason::Unreachable => IcmpError::HostUnreachable,
                    DropReason::Prohibited => IcmpError::Prohibited,
                    _ => return None,
                };
                self.report(packet, error);
                None
            }
            Target::Neighbor(index) => Some(NextHop::Neighbor(Some(index as usize))),
            Target::OnLink(interface) => {
                let index = self.nud().resolve(InterfaceId(interface), destination);
                Some(NextHop::Neighbor(index))
            }
            Target::Group(_) | Target::Vrf(_) => Some(NextHop::Neighbor(None)),
        }
    }

    /// The index of a neighbor that has an entry and a link, and the MTU of that link in bytes.
    /// Otherwise a packet that came in on `input` is dropped.
    pub(crate) fn within_reach(
        &mut self,
        input: InterfaceId,
        neighbor: Option<usize>,
    ) -> Option<(usize, u16)> {
        let entry = neighbor.map(|index| (index, self.state.neighbors.entry(index)));
        let reason = match entry {
            None => DropReason::NeighborRateLimited,
            Some((_, None)) => DropReason::NeighborTableFull,
            Some((index, Some(entry))) => {
                let interface = self.tables.interface(entry.interface);
                match interface.filter(|i| i.up) {
                    Some(interface) => return Some((index, interface.mtu)),
                    None => DropReason::LinkDown,
                }
            }
        };
        self.cx.drop_frames(input, reason, 1);
        None
    }
}
