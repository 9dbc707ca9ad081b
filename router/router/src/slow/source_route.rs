//! Source routes of IPv4 packets, where an interface allows them (RFC 1812 5.2.4.1, 5.3.13.4).
//!
//! A packet whose next step is this router's gets a [`Hop`](source_route::Hop), and is routed to
//! where that leads as any other is that is sent there; the step is taken in its header when it
//! leaves. Answers go back by the way that was recorded.

use core::net::Ipv4Addr;

use crate::DropReason;
use crate::frame::ETHERNET_LEN;
use crate::route::target::Target;
use crate::router::{Egress, Router};
use crate::slow::ipv4_options::header;
use crate::slow::packet::Waiting;
use crate::time::Instant;
use wire::icmp_error::{IcmpError, Parameter};
use wire::ipv4::DESTINATION;
use wire::ipv4_options::source_route::{self, SourceRoute};

impl Router {
    /// Finds where a received packet to `destination` goes by its source route, if it has one.
    /// Whether it may go on; if not, it is dropped.
    pub(crate) fn follow_source_route(
        &mut self,
        now: Instant,
        waiting: &mut Waiting,
        destination: Ipv4Addr,
        out: &mut dyn Egress,
    ) -> bool {
        let (input, vrf) = (waiting.input, self.vrf_of(waiting.input));
        let packet = waiting.bytes.get(ETHERNET_LEN..).unwrap_or(&[]);
        let Some(route) = SourceRoute::of(header(packet)) else {
            return true;
        };
        let strict = route.is_strict();
        let target = |to: Ipv4Addr| self.vrfs.find(vrf, to.into()).1;
        let (mut to, mut hop) = (destination, None);
        for step in route.steps() {
            // More than one of the addresses may be the router's.
            if target(to) != Target::Local {
                break;
            }
            (to, hop) = (step.destination, Some(step));
        }
        let target = target(to);
        if self.is_network_end(vrf, to) {
            self.drop_frames(input, DropReason::Broadcast, 1);
            return false;
        }
        if strict && hop.is_none() && !matches!(target, Target::Local | Target::Drop(_)) {
            // Whoever it was for should have got it without this router.
            self.drop_frames(input, DropReason::BadOptions, 1);
            let error = IcmpError::Parameter(Parameter::Field, DESTINATION as u32);
            self.report(now, waiting, error, out);
            return false;
        }
        if target != Target::Local {
            waiting.hop = hop;
        } else if hop.is_some() {
            let len = header(packet).len();
            let header = waiting.bytes.get_mut(ETHERNET_LEN..ETHERNET_LEN + len);
            source_route::readdress(header.unwrap_or(&mut []), to);
        }
        true
    }

    /// Whether a packet to a target goes as directly as its source route asks for.
    pub(crate) fn is_as_strict(&self, waiting: &Waiting, target: Target) -> bool {
        let Some(hop) = waiting.hop.filter(|hop| hop.strict) else {
            return true;
        };
        match target {
            Target::OnLink(_) => true,
            Target::Neighbor(index) => {
                let entry = self.neighbors.entry(index as usize);
                entry.is_some_and(|e| e.address == hop.destination)
            }
            _ => false,
        }
    }

    /// Whether an address, seen from a table, means all hosts of a network here, as both ends do.
    pub(crate) fn is_network_end(&self, vrf: u8, address: Ipv4Addr) -> bool {
        let (vrf, _) = self.vrfs.find(vrf, address.into());
        self.vrfs.get(vrf).local_addresses.reason(address) == Some(DropReason::MartianSource)
    }
}
