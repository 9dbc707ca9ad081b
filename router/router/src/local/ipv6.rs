//! Local delivery of IPv6 packets: extension headers, fragments, and dispatch by protocol.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use wire::addr::Mac;
use wire::icmpv6::{
    self, ECHO_REQUEST, MLD_QUERY, NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION,
    ROUTER_SOLICITATION,
};
use wire::ipv6::{self, HEADER_LEN, Ipv6};
use wire::ipv6_extension::{self, Content};
use wire::mld::Query;

use crate::DropReason;
use crate::drop_reason::Refused;
use crate::local::reassembly::Piece;
use crate::local::services::Answer;
use crate::local::source_address::source6;
use crate::packet::{Ip, Packet};
use crate::step::Step;

/// The upper-layer protocol of a packet.
#[derive(Clone, Copy)]
struct Upper {
    protocol: u8,
    /// The offset of its header from the IPv6 header, in bytes.
    at: usize,
}

impl Step<'_> {
    /// Handles a packet for one of the router's addresses or groups.
    pub(crate) fn deliver6(&mut self, mut packet: Packet, ip: &Ipv6) {
        packet.complete_checksum();
        let input = packet.input;
        let bytes = packet.ip_bytes();
        let content = ipv6_extension::walk(bytes, ip)
            .and_then(|found| ipv6_extension::check_fragment(found, ip));
        match content {
            Err(refused) => self.refuse6(&packet, refused.into()),
            Ok(Content::Nothing) => self.cx.count(input, |c| c.consumed += 1),
            Ok(Content::Upper { protocol, at }) => {
                self.upper(&packet, ip, Upper { protocol, at });
            }
            Ok(Content::Fragment(fragment)) => {
                let piece = Piece::v6(self.tables.vrf_of(input), bytes, ip, fragment);
                match self.state.reassembly.add(self.cx.now, input, &piece) {
                    Err(reason) => self.cx.drop_frames(input, reason, 1),
                    Ok(None) => self.cx.count(input, |c| c.consumed += 1),
                    Ok(Some(whole)) => self.reassembled(&packet, &whole),
                }
            }
        }
    }

    /// Drops a packet, and reports the error to its sender, if any.
    fn refuse6(&mut self, packet: &Packet, Refused(reason, error): Refused) {
        self.cx.drop_frames(packet.input, reason, 1);
        if let Some(error) = error {
            self.report(packet, error);
        }
    }

    /// Handles a reassembled packet, the last fragment of which was `last`. It must not contain
    /// fragments, nor messages that must not be fragmented (RFC 6980).
    fn reassembled(&mut self, last: &Packet, whole: &[u8]) {
        let input = last.input;
        let whole = match Packet::reassembled(&last.ethernet(), whole, input) {
            Ok(whole) => whole,
            Err(reason) => return self.cx.drop_frames(input, reason, 1),
        };
        let Ip::V6(ip) = whole.ip() else {
            return self.cx.drop_frames(input, DropReason::BadFragment, 1);
        };
        match ipv6_extension::walk(whole.ip_bytes(), &ip) {
            Err(refused) => self.refuse6(&whole, refused.into()),
            Ok(Content::Upper { protocol, at }) => {
                let kind = whole.ip_bytes().get(at).copied().unwrap_or(0);
                if protocol == ipv6::ICMP && (133..=137).contains(&kind) {
                    return self.cx.drop_frames(input, DropReason::BadNd, 1);
                }
                self.upper(&whole, &ip, Upper { protocol, at });
            }
            Ok(Content::Fragment(_)) => self.cx.drop_frames(input, DropReason::BadFragment, 1),
            Ok(Content::Nothing) => self.cx.count(input, |c| c.consumed += 1),
        }
    }

    /// Dispatches a packet by its upper-layer protocol.
    fn upper(&mut self, packet: &Packet, ip: &Ipv6, Upper { protocol, at }: Upper) {
        let input = packet.input;
        let payload = packet.ip_bytes().get(at..).unwrap_or(&[]);
        if protocol != ipv6::ICMP {
            if ip.destination.is_multicast() || ip.source.is_unspecified() {
                return self.cx.drop_frames(input, DropReason::Multicast, 1);
            }
            self.cx.count(input, |c| c.consumed += 1);
            return self.serve6(packet, ip, ip.destination, protocol, payload);
        }
        if !icmpv6::verifies(ip.source, ip.destination, payload) {
            return self.cx.drop_frames(input, DropReason::BadIcmp, 1);
        }
        match payload.first().copied().unwrap_or(0) {
            NEIGHBOR_SOLICITATION | NEIGHBOR_ADVERTISEMENT | ROUTER_SOLICITATION => {
                return self.ndp_input(input, Mac(packet.source_mac()), ip, payload);
            }
            // Valid queries come from a link-local address, with a hop limit of 1 and a router
            // alert (RFC 3810 6.2).
            MLD_QUERY
                if ip.source.is_unicast_link_local()
                    && ip.hop_limit == 1
                    && ipv6_extension::has_mld_router_alert(packet.ip_bytes(), ip) =>
            {
                if let Some(query) = Query::parse(payload)
                    && let Some(machines) = self.state.machines.get_mut(input.index())
                {
                    machines.mld.query(&mut self.cx, query);
                }
            }
            ECHO_REQUEST if !ip.source.is_unspecified() => self.echo(packet, ip, payload),
            // Other messages are ignored.
            _ => {}
        }
        self.cx.count(input, |c| c.consumed += 1);
    }

    /// Answers an echo request. If it was sent to a multicast or anycast address, the reply comes
    /// from an address of the interface (RFC 4443 4.2).
    fn echo(&mut self, about: &Packet, ip: &Ipv6, message: &[u8]) {
        let input = about.input;
        if self.tables.is_local6(input, ip.destination) {
            return self.serve6(about, ip, ip.destination, ipv6::ICMP, message);
        }
        let Some(to) = source6(self.tables, input, ip.source) else {
            return;
        };
        let mut message = message.to_vec();
        icmpv6::fill_checksum(ip.source, to, &mut message);
        self.serve6(about, ip, to, ipv6::ICMP, &message);
    }

    /// Passes a packet to the router's own services, without its extension headers and as if sent
    /// to `destination`, and sends their replies.
    fn serve6(
        &mut self,
        about: &Packet,
        ip: &Ipv6,
        destination: Ipv6Addr,
        protocol: u8,
        payload: &[u8],
    ) {
        let input = about.input;
        let header = Ipv6 {
            total_len: HEADER_LEN + payload.len(),
            next_header: protocol,
            destination,
            ..*ip
        };
        let packet: Vec<u8> = [&header.header()[..], payload].concat();
        let vrf = usize::from(self.tables.vrf_of(input));
        let Some(services) = self.state.services.get_mut(vrf) else {
            return;
        };
        for answer in services.receive(self.cx.now, packet) {
            match answer {
                Answer::Error(error) => self.report(about, error),
                Answer::Frame(bytes) => self.cx.originate(input, bytes),
            }
        }
    }
}
