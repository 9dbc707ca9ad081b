//! IPv4 options on the slow path (RFC 1812 5.3.13): which packets are refused for theirs, and what
//! the router enters in those of others.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use crate::DropReason;
use crate::frame::{ETHERNET_LEN, InterfaceId};
use crate::router::{Egress, Router};
use crate::slow::packet::Waiting;
use crate::time::Instant;
use wire::icmp_error::{IcmpError, Parameter};
use wire::ipv4::{self, DESTINATION, HEADER_LEN, Ipv4};
use wire::ipv4_options::record;
use wire::ipv4_options::source_route::{self, Hop};
use wire::ipv4_options::{self, Fault, Malformed};
use wire::{be32, checksum, icmpv4, put};

/// The header of a packet that was checked.
pub(crate) fn header(packet: &[u8]) -> &[u8] {
    let words = packet.first().map_or(0, |b| usize::from(b & 15));
    packet.get(..words * 4).unwrap_or(&[])
}

impl Router {
    /// Whether a received packet may go on, as far as its options tell. If not, it is dropped,
    /// and its sender told of the octet that is wrong (RFC 1812 4.3.3.5).
    pub(crate) fn has_good_options(
        &mut self,
        now: Instant,
        waiting: &Waiting,
        out: &mut dyn Egress,
    ) -> bool {
        let packet = waiting.bytes.get(ETHERNET_LEN..).unwrap_or(&[]);
        let all = header(packet).get(HEADER_LEN..).unwrap_or(&[]);
        let link = self.links.get(waiting.input.index());
        let source_route = link.is_some_and(|l| l.allow.source_route);
        match ipv4_options::check(all, source_route) {
            Ok(()) => return true,
            Err(Fault::SourceRoute) => {
                self.drop_frames(waiting.input, DropReason::SourceRoute, 1);
            }
            Err(Fault::Malformed(Malformed(at))) => {
                self.drop_frames(waiting.input, DropReason::BadOptions, 1);
                let at = u32::try_from(HEADER_LEN + at).unwrap_or(0);
                let error = IcmpError::Parameter(Parameter::Field, at);
                self.report(now, waiting, error, out);
            }
        }
        false
    }

    /// Takes 1 from the TTL of a packet from `input` on its way to a neighbour, and enters what its
    /// options ask for; `hop` is the step on its source route.
    pub(crate) fn decrement_ttl_and_record(
        &self,
        now: Instant,
        input: InterfaceId,
        interface: InterfaceId,
        neighbor: IpAddr,
        hop: Option<Hop>,
        packet: &mut [u8],
    ) {
        let word = checksum::decrement_ttl(be32(packet, 8).swap_bytes());
        put(packet, 8, &word.to_le_bytes());
        let len = header(packet).len();
        let link = self.links.get(interface.index());
        let address = match neighbor {
            IpAddr::V4(neighbor) => link.and_then(|l| l.address_towards(neighbor)),
            IpAddr::V6(_) => None,
        };
        // An interface without an address lends one from another (RFC 1812 4.2.2.2).
        let address = address.or_else(|| self.any_address(interface));
        let Some(header) = packet.get_mut(..len).filter(|_| len > HEADER_LEN) else {
            return;
        };
        if let Some(hop) = hop {
            // Where it was sent to is ours as well.
            let sent_to = be32(header, DESTINATION).into();
            source_route::step(header, hop, address.unwrap_or(sent_to));
        }
        if let Some(address) = address {
            self.with_entry(now, input, address, |entry| record::enter(header, entry));
        }
    }

    /// Calls `f` with what this router enters in options.
    fn with_entry<T>(
        &self,
        now: Instant,
        input: InterfaceId,
        address: Ipv4Addr,
        f: impl FnOnce(&record::Entry<'_>) -> T,
    ) -> T {
        let local = &self.vrfs.get(self.vrf_of(input)).local_addresses;
        f(&record::Entry {
            address,
            uptime_ms: now.as_nanos() / 1_000_000,
            is_local: &|address| local.has(address),
        })
    }

    /// What the answer to a packet for the router has to carry in options, if it is an echo
    /// request.
    pub(crate) fn reply_options(
        &self,
        now: Instant,
        input: InterfaceId,
        packet: &[u8],
        ip: &Ipv4,
    ) -> Vec<u8> {
        let request =
            ip.protocol == ipv4::ICMP && packet.get(ip.header_len) == Some(&icmpv4::ECHO_REQUEST);
        if !request || ip.header_len == HEADER_LEN {
            return Vec::new();
        }
        self.with_entry(now, input, ip.destination, |entry| {
            record::for_reply(header(packet), entry)
        })
    }
}
