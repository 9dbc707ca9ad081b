//! IPv4 options in the slow path (RFC 1812 5.3.13): validation, and the entries that the router
//! records.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use wire::icmp_error::{IcmpError, Parameter};
use wire::ipv4::{self, DESTINATION, HEADER_LEN, Ipv4};
use wire::ipv4_options::record;
use wire::ipv4_options::source_route::{self, Hop};
use wire::ipv4_options::{self, Fault, Malformed};
use wire::{be32, checksum, icmpv4, put};

use crate::DropReason;
use crate::frame::InterfaceId;
use crate::packet::Packet;
use crate::step::Step;
use crate::tables::Tables;
use crate::time::Instant;

impl Step<'_> {
    /// Returns `true` if the options of a received packet are acceptable. Otherwise the packet is
    /// dropped, and a parameter problem with the octet that is wrong is sent (RFC 1812 4.3.3.5).
    pub(crate) fn has_good_options(&mut self, packet: &Packet) -> bool {
        let input = packet.input;
        let all = packet.header().get(HEADER_LEN..).unwrap_or(&[]);
        let interface = self.tables.interface(input);
        let source_route = interface.is_some_and(|i| i.allow.source_route);
        match ipv4_options::check(all, source_route) {
            Ok(()) => return true,
            Err(Fault::SourceRoute) => {
                self.cx.drop_frames(input, DropReason::SourceRoute, 1);
            }
            Err(Fault::Malformed(Malformed(at))) => {
                self.cx.drop_frames(input, DropReason::BadOptions, 1);
                let at = u32::try_from(HEADER_LEN + at).unwrap_or(0);
                let error = IcmpError::Parameter(Parameter::Field, at);
                self.report(packet, error);
            }
        }
        false
    }
}

/// Decrements the TTL of a packet, and records what its options request. `way` is the incoming
/// interface, the outgoing one and the neighbor; `hop` is the hop of its source route.
pub(crate) fn decrement_ttl_and_record(
    tables: &Tables,
    now: Instant,
    (input, interface, neighbor): (InterfaceId, InterfaceId, IpAddr),
    hop: Option<Hop>,
    ip: &Ipv4,
    packet: &mut [u8],
) {
    let word = checksum::decrement_ttl(be32(packet, 8).swap_bytes());
    put(packet, 8, &word.to_le_bytes());
    let out = tables.interface(interface);
    let address = match neighbor {
        IpAddr::V4(neighbor) => out.and_then(|i| i.address_towards(neighbor)),
        IpAddr::V6(_) => None,
    };
    // An interface without an address uses one of another interface (RFC 1812 4.2.2.2).
    let address = address.or_else(|| tables.any_address(interface));
    let header = packet.get_mut(..ip.header_len);
    let Some(header) = header.filter(|h| h.len() > HEADER_LEN) else {
        return;
    };
    if let Some(hop) = hop {
        // The destination is the router's address as well.
        let sent_to = be32(header, DESTINATION).into();
        source_route::step(header, hop, address.unwrap_or(sent_to));
    }
    if let Some(address) = address {
        with_entry(tables, now, input, address, |entry| {
            record::enter(header, entry);
        });
    }
}

/// Returns the options for the reply to a packet for the router, if it is an echo request.
pub(crate) fn reply_options(
    tables: &Tables,
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
    with_entry(tables, now, input, ip.destination, |entry| {
        let header = packet.get(..ip.header_len).unwrap_or(&[]);
        record::for_reply(header, entry)
    })
}

/// Calls `f` with the entry that this router records in options.
fn with_entry<T>(
    tables: &Tables,
    now: Instant,
    input: InterfaceId,
    address: Ipv4Addr,
    f: impl FnOnce(&record::Entry<'_>) -> T,
) -> T {
    let own = &tables.vrfs.get(tables.vrf_of(input)).local_addresses;
    f(&record::Entry {
        address,
        uptime_ms: now.as_nanos() / 1_000_000,
        is_local: &|address| own.has(address),
    })
}
