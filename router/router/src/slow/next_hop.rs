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
    /// To a neighbor.
    Neighbor(NeighborRef),
}

/// A neighbor to send to. One that isn't known yet is added when something is sent
/// ([`Step::arrive`]), not for packets that die before.
#[derive(Clone, Copy)]
pub(crate) enum NeighborRef {
    /// By its index.
    Known(usize),
    /// By its address on the link of an interface.
    At(InterfaceId, IpAddr),
    /// None that can be told.
    Nowhere,
}

impl Step<'_> {
    /// Returns where a packet to `destination` goes, for which the tables answered `target` (a
    /// member, where that was a group). `None` if it goes nowhere: it is counted then, and its
    /// sender told.
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
            Target::Neighbor(index) => Some(NextHop::Neighbor(NeighborRef::Known(index as usize))),
            Target::OnLink(interface) => {
                let neighbor = NeighborRef::At(InterfaceId(interface), destination);
                Some(NextHop::Neighbor(neighbor))
            }
            Target::Group(_) | Target::Vrf(_) => Some(NextHop::Neighbor(NeighborRef::Nowhere)),
        }
    }

    /// Returns the MTU in bytes of the link that a neighbor is on, if that works. Otherwise a
    /// packet that came in on `input` is dropped.
    pub(crate) fn within_reach(
        &mut self,
        input: InterfaceId,
        neighbor: NeighborRef,
    ) -> Option<u16> {
        let on = match neighbor {
            NeighborRef::Known(index) => match self.state.neighbors.entry(index) {
                Some(entry) => Ok(entry.interface),
                None => Err(DropReason::NeighborTableFull),
            },
            NeighborRef::At(interface, _) => Ok(interface),
            NeighborRef::Nowhere => Err(DropReason::NeighborRateLimited),
        };
        let mtu = on.and_then(|on| {
            let interface = self.tables.interface(on).filter(|i| i.up);
            interface.map(|i| i.mtu).ok_or(DropReason::LinkDown)
        });
        if let Err(reason) = mtu {
            self.cx.drop_frames(input, reason, 1);
        }
        mtu.ok()
    }

    /// Returns the index of the neighbor that `packets` packets, which came in on `input`, are sent
    /// to now. They are dropped if no more may be asked for.
    pub(crate) fn arrive(
        &mut self,
        input: InterfaceId,
        neighbor: NeighborRef,
        packets: u64,
    ) -> Option<usize> {
        let index = match neighbor {
            NeighborRef::Known(index) => Some(index),
            NeighborRef::At(interface, address) => self.nud().resolve(interface, address),
            NeighborRef::Nowhere => None,
        };
        if index.is_none() {
            let reason = DropReason::NeighborRateLimited;
            self.cx.drop_frames(input, reason, packets);
        }
        index
    }
}
