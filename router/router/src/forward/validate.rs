//! Full validation of frames, which the fast path's few comparisons summarize and which the slow
//! path relies on.

use core::net::{IpAddr, Ipv4Addr};

use crate::DropReason;
use crate::frame::{ETHERNET_LEN, InterfaceId};
use crate::route::target::Target;
use crate::tables::Tables;
use wire::addr::Mac;
use wire::ethernet::{self, Ethernet};
use wire::icmpv6::{NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION};
use wire::ipv4::{self, Ipv4, Unreadable};
use wire::ipv6::{self, Ipv6, ON_LINK_HOPS};

/// A validated frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Parsed {
    /// The frame is to be dropped.
    Bad(DropReason),
    /// An ARP packet, not yet parsed.
    Arp,
    /// An IPv4 packet with a valid header.
    Ip(Ipv4),
    /// An IPv6 packet with a valid header.
    Ip6(Ipv6),
    /// An IPv4 packet whose header extends beyond the available bytes.
    Incomplete,
    /// A packet that a lane can't decide about while routes change that its source goes by.
    Undecided,
}

impl Tables {
    /// Validates a frame of `len` bytes that starts with `bytes`.
    pub(crate) fn validate(&self, input: InterfaceId, bytes: &[u8], len: usize) -> Parsed {
        let bytes = bytes.get(..len).unwrap_or(bytes);
        let Some(header) = Ethernet::parse(bytes) else {
            return Parsed::Bad(DropReason::Truncated);
        };
        let mac = self.interface(input).map_or(Mac::default(), |i| i.mac);
        let group = header.destination.is_group();
        if !group && header.destination != mac {
            return Parsed::Bad(DropReason::OtherHost);
        }
        match header.kind {
            ethernet::IPV4 => {}
            ethernet::ARP => return Parsed::Arp,
            ethernet::VLAN | ethernet::SERVICE_VLAN => return Parsed::Bad(DropReason::Vlan),
            ethernet::IPV6 => {
                return match self.validate6(input, bytes, len, group) {
                    Ok(ip) => self.bad_path6(input, &ip).unwrap_or(Parsed::Ip6(ip)),
                    Err(reason) => Parsed::Bad(reason),
                };
            }
            _ => return Parsed::Bad(DropReason::UnknownEthertype),
        }
        let packet = bytes.get(ETHERNET_LEN..).unwrap_or(&[]);
        let ip = match Ipv4::parse(packet, len.saturating_sub(ETHERNET_LEN)) {
            Ok(ip) => ip,
            Err(Unreadable::Incomplete) => return Parsed::Incomplete,
            Err(Unreadable::Bad(error)) => return Parsed::Bad(error.into()),
        };
        if let Some(reason) = self.bad_source(input, ip.source) {
            return Parsed::Bad(reason);
        }
        if let Some(parsed) = self.bad_path(input, ip.source.into()) {
            return parsed;
        }
        if group && !self.is_group_destination(input, ip.destination) {
            let local = &self.vrfs.get(self.vrf_of(input)).local_addresses;
            let end = local.reason(ip.destination) == Some(DropReason::MartianSource);
            return Parsed::Bad(if end {
                DropReason::Broadcast
            } else {
                DropReason::LinkBroadcast
            });
        }
        Parsed::Ip(ip)
    }

    /// Returns the reason to drop packets from this address; `None` if they are acceptable.
    fn bad_source(&self, input: InterfaceId, source: Ipv4Addr) -> Option<DropReason> {
        if ipv4::is_martian_source(source) {
            return Some(DropReason::MartianSource);
        }
        // Link-local sources are only accepted where there is a route to them (RFC 3927 2.7).
        if source.is_link_local() {
            let target = self.route_to(input, source.into());
            if target == Target::Drop(DropReason::MartianDestination) {
                return Some(DropReason::MartianSource);
            }
        }
        let local = &self.vrfs.get(self.vrf_of(input)).local_addresses;
        local.reason(source)
    }

    /// Validates an IPv6 header, including its addresses.
    fn validate6(
        &self,
        input: InterfaceId,
        bytes: &[u8],
        len: usize,
        group: bool,
    ) -> Result<Ipv6, DropReason> {
        let link = self.interface(input);
        let v6 = link.and_then(|l| l.v6.as_ref());
        let v6 = v6.ok_or(DropReason::Ipv6Disabled)?;
        let packet = bytes.get(ETHERNET_LEN..).unwrap_or(&[]);
        let ip = Ipv6::parse(packet, len.saturating_sub(ETHERNET_LEN))?;
        let to_group = ip.destination.is_multicast();
        if ipv6::is_martian_source(ip.source) || (ip.source.is_unspecified() && !to_group) {
            return Err(DropReason::MartianSource);
        }
        let own_here = v6.usable().any(|n| n.address == ip.source);
        let local = &self.vrfs.get(self.vrf_of(input)).local_addresses;
        // Neighbor Discovery messages reveal a conflict, so they are accepted.
        let tells = own_here && is_discovery(packet, &ip) && {
            v6.listens_to(ip.destination) || self.is_local6(input, ip.destination)
        };
        if (own_here || local.has6(ip.source)) && !tells {
            return Err(DropReason::OwnSource);
        }
        if to_group && !v6.listens_to(ip.destination) {
            return Err(DropReason::Multicast);
        }
        if group && !to_group {
            return Err(DropReason::LinkBroadcast);
        }
        Ok(ip)
    }

    /// Like [`Tables::bad_path`], for IPv6. Link-local and unspecified sources are always accepted.
    fn bad_path6(&self, input: InterfaceId, ip: &Ipv6) -> Option<Parsed> {
        let link_scope = ip.source.is_unspecified() || ip.source.is_unicast_link_local();
        if link_scope {
            return None;
        }
        self.bad_path(input, ip.source.into())
    }

    /// Returns the result for packets from this address that the interface's reverse-path filter
    /// doesn't accept; `None` if it accepts them.
    fn bad_path(&self, input: InterfaceId, source: IpAddr) -> Option<Parsed> {
        let rule = self.interface(input)?.rpf?;
        match self.is_expected(rule, input, source) {
            Some(true) => None,
            Some(false) => Some(Parsed::Bad(DropReason::ReversePath)),
            None => Some(Parsed::Undecided),
        }
    }

    fn is_group_destination(&self, input: InterfaceId, destination: Ipv4Addr) -> bool {
        matches!(
            self.vrfs
                .get(self.vrf_of(input))
                .fib
                .lookup(destination.to_bits()),
            Target::Drop(DropReason::Multicast | DropReason::Broadcast)
        )
    }
}

/// Returns `true` if a packet is a neighbor solicitation or advertisement.
fn is_discovery(packet: &[u8], ip: &Ipv6) -> bool {
    let kind = packet.get(ipv6::HEADER_LEN);
    ip.next_header == ipv6::ICMP
        && ip.hop_limit == ON_LINK_HOPS
        && matches!(
            kind,
            Some(&(NEIGHBOR_SOLICITATION | NEIGHBOR_ADVERTISEMENT))
        )
}
