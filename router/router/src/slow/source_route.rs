//! Source routes of IPv4 packets, where an interface allows them (RFC 1812 5.2.4.1, 5.3.13.4).
//!
//! A packet with a source route through this router gets a [`Hop`](source_route::Hop), and is
//! routed to the hop's destination; its header is changed when it is sent. Replies take the
//! reversed route.

use core::net::Ipv4Addr;

use wire::icmp_error::{IcmpError, Parameter};
use wire::ipv4::{DESTINATION, Ipv4};
use wire::ipv4_options::source_route::{self, SourceRoute};

use crate::DropReason;
use crate::packet::Packet;
use crate::route::target::Target;
use crate::step::Step;
use crate::tables::Tables;

impl Step<'_> {
    /// Determines the next hop of a received packet's source route, if it has one. Returns `true`
    /// if the packet may be forwarded; otherwise it is dropped.
    pub(crate) fn follow_source_route(&mut self, packet: &mut Packet, ip: &Ipv4) -> bool {
        let input = packet.input;
        let Some(route) = SourceRoute::of(packet.header()) else {
            return true;
        };
        let strict = route.is_strict();
        let target = |to: Ipv4Addr| self.tables.route_to(input, to.into());
        let (mut to, mut hop) = (ip.destination, None);
        for step in route.steps() {
            // Several addresses in a row may be the router's.
            if target(to) != Target::Local {
                break;
            }
            (to, hop) = (step.destination, Some(step));
        }
        let target = target(to);
        if self.tables.is_network_end(self.tables.vrf_of(input), to) {
            self.cx.drop_frames(input, DropReason::Broadcast, 1);
            return false;
        }
        if strict && hop.is_none() && !matches!(target, Target::Local | Target::Drop(_)) {
            // With a strict source route, the destination must be reached directly, not through
            // this router.
            self.cx.drop_frames(input, DropReason::BadOptions, 1);
            let error = IcmpError::Parameter(Parameter::Field, DESTINATION as u32);
            self.report(packet, error);
            return false;
        }
        if target != Target::Local {
            packet.hop = hop;
        } else if hop.is_some() {
            let readdressed = packet.edit(|bytes| {
                let header = bytes.get_mut(..ip.header_len);
                source_route::readdress(header.unwrap_or(&mut []), to);
            });
            if let Err(reason) = readdressed {
                self.cx.drop_frames(input, reason, 1);
                return false;
            }
        }
        true
    }
}

/// Returns `true` if a target satisfies the packet's source route: on link, if it is strict.
pub(crate) fn is_as_strict(tables: &Tables, packet: &Packet, target: Target) -> bool {
    let Some(hop) = packet.hop.filter(|hop| hop.strict) else {
        return true;
    };
    match target {
        Target::OnLink(_) => true,
        Target::Neighbor(index) => {
            let key = tables.adjacencies.key(index as usize);
            key.is_some_and(|key| key.address == hop.destination)
        }
        _ => false,
    }
}
