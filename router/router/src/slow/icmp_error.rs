//! Sending of ICMP errors: whether one may be sent, its source address, and rate limits (RFC 1812
//! 4.3.2, RFC 4443 2.4).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use wire::icmp_error::IcmpError;
use wire::ipv4::{self, Ipv4};
use wire::ipv4_options::source_route::{self, ReversedRoute};
use wire::ipv6::Ipv6;
use wire::{icmpv4, icmpv6};

use crate::frame::{ETHERNET_LEN, InterfaceId};
use crate::local::source_address::source6;
use crate::packet::{Ip, Packet};
use crate::step::Step;
use crate::tables::Tables;

impl Step<'_> {
    /// Sends an ICMP error about a packet to its source, if that is allowed. Only the first segment
    /// of a large frame causes one.
    ///
    /// The error's source is an address of the interface on which the packet was received, the one
    /// in the sender's network if there is one, for the benefit of traceroute. RFC 1812 4.3.2.4
    /// requires that of the outgoing interface, which is the same unless routes are asymmetric.
    pub(crate) fn report(&mut self, about: &Packet, error: IcmpError) {
        if about.originated || about.later_segment {
            return;
        }
        let input = about.input;
        let Some(addresses) = error_addresses(self.tables, about, error) else {
            return;
        };
        let rates = self.state.machines.get(input.index());
        let rates = rates.and_then(|m| m.icmp_error_rates);
        let limits = &mut self.state.icmp_limits;
        let now = self.cx.now;
        let to = addresses.1;
        if !rates.is_some_and(|rates| limits.take(now, rates, input, to, error)) {
            return self.cx.count(input, |c| c.icmp_suppressed += 1);
        }
        self.cx.count(input, |c| c.icmp_errors += 1);
        let frame = match addresses {
            (IpAddr::V4(from), IpAddr::V4(to)) => error_frame4(error, from, to, about),
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                icmpv6::error_frame(error, from, to, about.ip_bytes())
            }
            _ => return,
        };
        self.cx.originate(input, frame);
    }
}

/// Returns the source and destination of an error about a packet; `None` if none may be sent.
fn error_addresses(tables: &Tables, about: &Packet, error: IcmpError) -> Option<(IpAddr, IpAddr)> {
    match about.ip() {
        Ip::V4(_) if about.is_link_group() => None,
        Ip::V4(ip) => {
            let (from, to) = error_addresses4(tables, about, &ip)?;
            // Errors from the destination itself have its address as source (RFC 1122 3.2.1.3).
            let own = matches!(
                error,
                IcmpError::PortUnreachable | IcmpError::ProtocolUnreachable
            );
            let from = if own { ip.destination } else { from };
            Some((from.into(), to.into()))
        }
        Ip::V6(ip) => error_addresses6(tables, about, &ip, error),
    }
}

/// Like [`error_addresses`] for an IPv4 packet, whatever its link-layer destination.
pub(crate) fn error_addresses4(
    tables: &Tables,
    about: &Packet,
    ip: &Ipv4,
) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let input = about.input;
    let payload = about.ip_bytes().get(ip.header_len..).unwrap_or(&[]);
    // No errors about packets to more than one host (RFC 1812 4.3.2.7).
    let many = ipv4::is_martian_source(ip.destination)
        || tables.is_network_end(tables.vrf_of(input), ip.destination);
    if many || !icmpv4::may_answer(ip, payload) {
        return None;
    }
    let source = tables
        .interface(error_source(tables, input))
        .and_then(|i| i.address_towards(ip.source))
        .or_else(|| tables.interface(input)?.address_towards(ip.source))
        .or_else(|| tables.any_address(input))?;
    Some((source, ip.source))
}

/// Like [`error_addresses`] for IPv6. The source is the packet's destination if that is local (RFC
/// 4443 2.2).
fn error_addresses6(
    tables: &Tables,
    about: &Packet,
    ip: &Ipv6,
    error: IcmpError,
) -> Option<(IpAddr, IpAddr)> {
    let input = about.input;
    let group = about.is_link_group() || ip.destination.is_multicast();
    if !icmpv6::may_answer(about.ip_bytes(), ip, error, group) {
        return None;
    }
    let source = match tables.is_local6(input, ip.destination) {
        true => ip.destination,
        false if ip.source.is_unicast_link_local() => source6(tables, input, ip.source)?,
        false => source6(tables, error_source(tables, input), ip.source)?,
    };
    Some((source.into(), ip.source.into()))
}

/// Returns the interface whose addresses errors about packets from `input` come from.
fn error_source(tables: &Tables, input: InterfaceId) -> InterfaceId {
    let configured = tables.interface(input).and_then(|i| i.icmp_source);
    configured.unwrap_or(input)
}

/// Returns a frame with an ICMP error about a packet, with the reversed source route if the packet
/// had one (RFC 1812 4.3.2.6), except for parameter problems: the route may be what is wrong.
fn error_frame4(
    error: IcmpError,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    about: &Packet,
) -> Vec<u8> {
    let mut frame = icmpv4::error_frame(error, source, destination, about.ip_bytes());
    if !matches!(error, IcmpError::Parameter(..)) {
        let back = ReversedRoute::of(about.header());
        source_route::answer(&mut frame, ETHERNET_LEN, &[], back.as_ref());
    }
    frame
}
