//! Whether a frame may go further, in full: what the fast path's few comparisons
//! summarise, and what the slow path trusts.

use core::net::Ipv4Addr;

use crate::fib::Target;
use crate::frame::{ETHERNET_LEN, InterfaceId};
use crate::router::Router;
use crate::wire::ethernet::{self, Ethernet};
use crate::wire::ipv4::{self, Ipv4, Unreadable};
use crate::{DropReason, addr::Mac};

/// What a frame turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// Nothing to be handled.
    Bad(DropReason),
    /// An ARP packet, not yet looked into.
    Arp,
    /// An IPv4 packet whose header is good.
    Ip(Ipv4),
    /// An IPv4 packet whose header goes on beyond the bytes at hand.
    Incomplete,
}

impl Router {
    /// Examines a frame of `len` bytes of which `bytes` are at hand.
    pub(crate) fn examine(&self, input: InterfaceId, bytes: &[u8], len: usize) -> Seen {
        let bytes = bytes.get(..len).unwrap_or(bytes);
        let Some(header) = Ethernet::parse(bytes) else {
            return Seen::Bad(DropReason::Truncated);
        };
        let mac = self
            .links
            .get(input.index())
            .map_or(Mac::default(), |l| l.mac);
        let group = header.destination.is_group();
        if !group && header.destination != mac {
            return Seen::Bad(DropReason::OtherHost);
        }
        match header.kind {
            ethernet::IPV4 => {}
            ethernet::ARP => return Seen::Arp,
            ethernet::VLAN | ethernet::SERVICE_VLAN => return Seen::Bad(DropReason::Vlan),
            ethernet::IPV6 => return Seen::Bad(DropReason::Ipv6Unsupported),
            _ => return Seen::Bad(DropReason::UnknownEthertype),
        }
        let packet = bytes.get(ETHERNET_LEN..).unwrap_or(&[]);
        let ip = match Ipv4::parse(packet, len.saturating_sub(ETHERNET_LEN)) {
            Ok(ip) => ip,
            Err(Unreadable::Incomplete) => return Seen::Incomplete,
            Err(Unreadable::Bad(reason)) => return Seen::Bad(reason),
        };
        if let Some(reason) = self.bad_source(ip.source) {
            return Seen::Bad(reason);
        }
        if group && !self.is_group_destination(ip.destination) {
            return Seen::Bad(DropReason::LinkBroadcast);
        }
        Seen::Ip(ip)
    }

    /// Why a packet from this address must not be accepted, if so.
    fn bad_source(&self, source: Ipv4Addr) -> Option<DropReason> {
        if ipv4::is_martian_source(source) {
            return Some(DropReason::MartianSource);
        }
        self.own.reason(source)
    }

    fn is_group_destination(&self, destination: Ipv4Addr) -> bool {
        matches!(
            self.fib.lookup(destination.to_bits()),
            Target::Nowhere(DropReason::Multicast | DropReason::Broadcast)
        )
    }
}
