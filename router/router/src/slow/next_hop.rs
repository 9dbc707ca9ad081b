//! From a target to a neighbor, for both families.

use core::net::IpAddr;

use wire::icmp_error::IcmpError;

use crate::DropReason;
use crate::frame::InterfaceId;
use crate::packet::Packet;
use crate::route::target::Target;
use crate::step::Step;

/// The next hop of a packet.
pub(crate) enum NextHop {
    /// To one of the router's addresses.
    Local,
    /// To a neighbor.
    Neighbor(NeighborRef),
}

/// A neighbor to send to. An unknown one is only added when something is sent to it
/// ([`Step::arrive`]), not for packets that are dropped before.
#[derive(Clone, Copy)]
pub(crate) enum NeighborRef {
    /// By its index.
    Known(usize),
    /// By its address on the link of an interface.
    At(InterfaceId, IpAddr),
    /// Unknown.
    Nowhere,
}

impl Step<'_> {
    /// Returns the next hop of a packet to `destination` with this `target`, which isn't a group.
    /// Returns `None` if the packet was dropped; it has been counted, and an error reported.
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

    /// Returns the MTU in bytes of the link that a neighbor is on, if it is up. Otherwise counts a
    /// packet received on `input` as dropped.
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

    /// Returns the index of the neighbor to which `packets` packets, received on `input`, are sent
    /// now. They are dropped if no more neighbors may be added.
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
