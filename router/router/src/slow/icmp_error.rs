//! ICMP errors about packets: whether one may be sent, from which address, and how often (RFC 1812 4.3.2,
//! RFC 4443 2.4).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use crate::frame::{ETHERNET_LEN, InterfaceId};
use crate::router::{Egress, Router};
use crate::slow::ipv4_options::header;
use crate::slow::packet::Waiting;
use crate::time::Instant;
use wire::icmp_error::IcmpError;
use wire::ipv4::{self, Ipv4};
use wire::ipv4_options::source_route::{self, Return};
use wire::ipv6::Ipv6;
use wire::{icmpv4, icmpv6};

impl Router {
    /// Tells the sender of a packet what happened to it, where that is allowed.
    ///
    /// The error's source is an address of the interface that the packet came in on, the
    /// one in the sender's network if there is one: what traceroute is to show. RFC 1812
    /// 4.3.2.4 asks for the outgoing interface, which is the same unless routes are
    /// asymmetric.
    pub(crate) fn report(
        &mut self,
        now: Instant,
        about: &Waiting,
        error: IcmpError,
        out: &mut dyn Egress,
    ) {
        if about.originated {
            return;
        }
        let input = about.input;
        let packet = about.bytes.get(ETHERNET_LEN..).unwrap_or(&[]);
        let link_group = about.bytes.first().is_some_and(|b| b & 1 != 0);
        let addresses = if about.is_ipv6() {
            self.report6_between(input, packet, error, link_group)
        } else {
            self.report4_between(input, packet)
                .filter(|_| !link_group)
                .map(|(from, to)| (IpAddr::V4(from), IpAddr::V4(to)))
        };
        let Some(addresses) = addresses else {
            return;
        };
        let rate = self.links.get(input.index()).and_then(|l| l.errors);
        let limit = self.limits.get_mut(input.index());
        if !limit.zip(rate).is_some_and(|(l, rate)| l.take(now, rate)) {
            return self.with_counters(input, |c| c.icmp_suppressed += 1);
        }
        self.with_counters(input, |c| c.icmp_errors += 1);
        let frame = match addresses {
            (IpAddr::V4(from), IpAddr::V4(to)) => error_frame4(error, from, to, packet),
            (IpAddr::V6(from), IpAddr::V6(to)) => icmpv6::error_frame(error, from, to, packet),
            _ => return,
        };
        self.originate(now, input, frame, out);
    }

    /// From which address to which one an error about an IPv4 packet goes, if it may.
    pub(crate) fn report4_between(
        &self,
        input: InterfaceId,
        packet: &[u8],
    ) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let ip = Ipv4::parse(packet, packet.len()).ok()?;
        let payload = packet.get(ip.header_len..).unwrap_or(&[]);
        // What was for more than one host is no one's error (RFC 1812 4.3.2.7).
        let many = ipv4::is_martian_source(ip.destination)
            || self.is_network_end(self.vrf_of(input), ip.destination);
        if many || !icmpv4::may_answer(&ip, payload) {
            return None;
        }
        let link_of = |interface: InterfaceId| self.links.get(interface.index());
        let source = link_of(self.error_source(input))
            .and_then(|l| l.address_towards(ip.source))
            .or_else(|| link_of(input)?.address_towards(ip.source))
            .or_else(|| self.any_address(input))?;
        Some((source, ip.source))
    }

    /// From which address to which one an error about an IPv6 packet goes, if it may: from
    /// the one that the packet was sent to if it is ours (RFC 4443 2.2).
    fn report6_between(
        &self,
        input: InterfaceId,
        packet: &[u8],
        error: IcmpError,
        link_group: bool,
    ) -> Option<(IpAddr, IpAddr)> {
        let ip = Ipv6::parse(packet, packet.len()).ok()?;
        let group = link_group || ip.destination.is_multicast();
        if !icmpv6::may_answer(packet, &ip, error, group) {
            return None;
        }
        let source = match self.is_local6(input, ip.destination) {
            true => ip.destination,
            false if ip.source.is_unicast_link_local() => self.source6(input, ip.source)?,
            false => self.source6(self.error_source(input), ip.source)?,
        };
        Some((source.into(), ip.source.into()))
    }

    /// The interface whose addresses errors about packets from `input` come from.
    pub(crate) fn error_source(&self, input: InterfaceId) -> InterfaceId {
        let configured = self.links.get(input.index()).and_then(|l| l.source);
        let configured = configured.and_then(|at| u8::try_from(at).ok());
        configured.map_or(input, InterfaceId)
    }

    /// One of the router's IPv4 addresses, of the same table, for an interface that has none.
    pub(crate) fn any_address(&self, interface: InterfaceId) -> Option<Ipv4Addr> {
        let vrf = self.vrf_of(interface);
        let links = self.links.iter().filter(|l| l.vrf == vrf);
        links.flat_map(|l| &l.addresses).next().map(|n| n.address)
    }
}

/// An ICMP error about a packet, by the way back if that came by a source route (RFC 1812
/// 4.3.2.6). About a field that is wrong it goes straight: the route may be what is wrong.
fn error_frame4(
    error: IcmpError,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    packet: &[u8],
) -> Vec<u8> {
    let mut frame = icmpv4::error_frame(error, source, destination, packet);
    if !matches!(error, IcmpError::Parameter(..)) {
        let back = Return::of(header(packet));
        source_route::answer(&mut frame, ETHERNET_LEN, &[], back.as_ref());
    }
    frame
}
