//! Validates a frame in full: what the fast path's few comparisons
//! summarise, and what the slow path trusts.

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

/// What a frame turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Parsed {
    /// Nothing to be handled.
    Bad(DropReason),
    /// An ARP packet, not yet looked into.
    Arp,
    /// An IPv4 packet whose header is good.
    Ip(Ipv4),
    /// An IPv6 packet whose header is good.
    Ip6(Ipv6),
    /// An IPv4 packet whose header goes on beyond the bytes at hand.
    Incomplete,
    /// A packet that a lane can't decide about while routes change that its source goes by.
    Undecided,
}

impl Tables {
    /// Validates a frame of `len` bytes of which `bytes` are at hand.
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

    /// Returns why a packet from this address must not be accepted, if so.
    fn bad_source(&self, input: InterfaceId, source: Ipv4Addr) -> Option<DropReason> {
        if ipv4::is_martian_source(source) {
            return Some(DropReason::MartianSource);
        }
        // They mean nothing beyond their link, but where there is a route to them (RFC 3927 2.7).
        if source.is_link_local() {
            let target = self.route_to(input, source.into());
            if target == Target::Drop(DropReason::MartianDestination) {
                return Some(DropReason::MartianSource);
            }
        }
        let local = &self.vrfs.get(self.vrf_of(input)).local_addresses;
        local.reason(source)
    }

    /// The same for an IPv6 packet's header, which is checked as a whole.
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
        // Neighbor Discovery tells who else uses the address.
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

    /// As [`Tables::bad_path`]. What is of one link only comes from there.
    fn bad_path6(&self, input: InterfaceId, ip: &Ipv6) -> Option<Parsed> {
        let link_scope = ip.source.is_unspecified() || ip.source.is_unicast_link_local();
        if link_scope {
            return None;
        }
        self.bad_path(input, ip.source.into())
    }

    /// Returns what a packet is whose source its interface's rule about that doesn't let in.
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

/// Returns `true` if a packet is a solicitation or an advertisement of a neighbor.
fn is_discovery(packet: &[u8], ip: &Ipv6) -> bool {
    let kind = packet.get(ipv6::HEADER_LEN);
    ip.next_header == ipv6::ICMP
        && ip.hop_limit == ON_LINK_HOPS
        && matches!(
            kind,
            Some(&(NEIGHBOR_SOLICITATION | NEIGHBOR_ADVERTISEMENT))
        )
}
