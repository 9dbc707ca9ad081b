//! IPv6 packets for the router itself: extension headers, fragments, and who gets the rest.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use crate::DropReason;
use crate::frame::{ETHERNET_LEN, FrameMeta, InterfaceId};
use crate::local::reassembly::Piece;
use crate::router::{Egress, Router};
use crate::slow::packet::Waiting;
use crate::slow::packet::complete_checksum;
use crate::time::Instant;
use wire::addr::Mac;
use wire::icmpv6::{
    self, ECHO_REQUEST, MLD_QUERY, NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION,
    ROUTER_SOLICITATION,
};
use wire::ipv6::{self, HEADER_LEN, Ipv6};
use wire::ipv6_extension::{self, Content, Refused};
use wire::mld::Query;

impl Router {
    /// Takes in a packet for one of the router's addresses or groups.
    pub(crate) fn deliver6(
        &mut self,
        now: Instant,
        mut waiting: Waiting,
        ip: &Ipv6,
        out: &mut dyn Egress,
    ) {
        complete_checksum(&mut waiting);
        let input = waiting.input;
        let vrf = self.vrf_of(input);
        let packet = waiting.bytes.get(ETHERNET_LEN..).unwrap_or(&[]);
        match ipv6_extension::walk(packet, ip)
            .and_then(|found| ipv6_extension::check_fragment(found, ip))
        {
            Err(refused) => self.refuse(now, &waiting, refused, out),
            Ok(Content::Nothing) => self.with_counters(input, |c| c.consumed += 1),
            Ok(Content::Upper { protocol, at }) => {
                self.upper(now, &waiting, ip, protocol, at, out);
            }
            Ok(Content::Fragment(fragment)) => {
                let piece = Piece::v6(vrf, packet, ip, fragment);
                match self.reassembly.add(now, input, &piece) {
                    Err(reason) => self.drop_frames(input, reason, 1),
                    Ok(None) => self.with_counters(input, |c| c.consumed += 1),
                    Ok(Some(packet)) => {
                        let ethernet = waiting.bytes.get(..ETHERNET_LEN).unwrap_or(&[]);
                        let bytes = [ethernet, &packet].concat();
                        let meta = FrameMeta::plain(bytes.len());
                        let whole = Waiting {
                            bytes,
                            meta,
                            ..waiting
                        };
                        self.reassembled(now, &whole, out);
                    }
                }
            }
        }
    }

    fn refuse(&mut self, now: Instant, waiting: &Waiting, refused: Refused, out: &mut dyn Egress) {
        let Refused(error, reply) = refused;
        self.drop_frames(waiting.input, error.into(), 1);
        if let Some(reply) = reply {
            self.report(now, waiting, reply, out);
        }
    }

    /// A packet made of fragments. It has no fragments inside, nor what must not come in
    /// pieces (RFC 6980).
    fn reassembled(&mut self, now: Instant, whole: &Waiting, out: &mut dyn Egress) {
        let packet = whole.bytes.get(ETHERNET_LEN..).unwrap_or(&[]);
        let ip = match Ipv6::parse(packet, packet.len()) {
            Ok(ip) => ip,
            Err(error) => return self.drop_frames(whole.input, error.into(), 1),
        };
        match ipv6_extension::walk(packet, &ip) {
            Err(refused) => self.refuse(now, whole, refused, out),
            Ok(Content::Upper { protocol, at }) => {
                let kind = packet.get(at).copied().unwrap_or(0);
                if protocol == ipv6::ICMP && (133..=137).contains(&kind) {
                    return self.drop_frames(whole.input, DropReason::BadNd, 1);
                }
                self.upper(now, whole, &ip, protocol, at, out);
            }
            Ok(Content::Fragment(_)) => {
                self.drop_frames(whole.input, DropReason::BadFragment, 1);
            }
            Ok(Content::Nothing) => self.with_counters(whole.input, |c| c.consumed += 1),
        }
    }

    /// What is behind the extension headers, at `at` in the packet.
    fn upper(
        &mut self,
        now: Instant,
        waiting: &Waiting,
        ip: &Ipv6,
        protocol: u8,
        at: usize,
        out: &mut dyn Egress,
    ) {
        let input = waiting.input;
        let packet = waiting.bytes.get(ETHERNET_LEN..).unwrap_or(&[]);
        let payload = packet.get(at..ip.total_len).unwrap_or(&[]);
        let to_group = ip.destination.is_multicast();
        if protocol != ipv6::ICMP {
            if to_group || ip.source.is_unspecified() {
                return self.drop_frames(input, DropReason::Multicast, 1);
            }
            self.with_counters(input, |c| c.consumed += 1);
            return self.serve(
                now,
                input,
                ip,
                ip.destination,
                protocol,
                payload.to_vec(),
                out,
            );
        }
        if !icmpv6::verifies(ip.source, ip.destination, payload) {
            return self.drop_frames(input, DropReason::BadIcmp, 1);
        }
        match payload.first().copied().unwrap_or(0) {
            NEIGHBOR_SOLICITATION | NEIGHBOR_ADVERTISEMENT | ROUTER_SOLICITATION => {
                let sender = waiting.bytes.get(6..12).and_then(|b| b.first_chunk());
                let sender = Mac(sender.copied().unwrap_or_default());
                return self.nd_input(now, input, sender, ip, payload, out);
            }
            // From a querier on the link, and formed as its messages are (RFC 3810 6.2).
            MLD_QUERY
                if ip.source.is_unicast_link_local()
                    && ip.hop_limit == 1
                    && ipv6_extension::alerts_of_mld(packet, ip) =>
            {
                if let Some(query) = Query::parse(payload) {
                    self.mld_query(now, input, query);
                }
            }
            ECHO_REQUEST if !ip.source.is_unspecified() => {
                self.echo(now, input, ip, payload.to_vec(), out);
            }
            // What other routers and hosts say is nothing to this one.
            _ => {}
        }
        self.with_counters(input, |c| c.consumed += 1);
    }

    /// Answers an echo request; one to a group or to any router, from an address of the
    /// interface (RFC 4443 4.2).
    fn echo(
        &mut self,
        now: Instant,
        input: InterfaceId,
        ip: &Ipv6,
        mut message: Vec<u8>,
        out: &mut dyn Egress,
    ) {
        let mut to = ip.destination;
        if !self.is_local6(input, to) {
            let Some(source) = self.source6(input, ip.source) else {
                return;
            };
            to = source;
            icmpv6::fill_checksum(ip.source, to, &mut message);
        }
        self.serve(now, input, ip, to, ipv6::ICMP, message, out);
    }

    /// Hands a packet to the router's own services, without its extension headers, as if it
    /// were sent to `destination`, and sends their answers.
    #[expect(clippy::too_many_arguments, reason = "the parts of a packet")]
    fn serve(
        &mut self,
        now: Instant,
        input: InterfaceId,
        ip: &Ipv6,
        destination: Ipv6Addr,
        protocol: u8,
        payload: Vec<u8>,
        out: &mut dyn Egress,
    ) {
        let header = Ipv6 {
            total_len: HEADER_LEN + payload.len(),
            next_header: protocol,
            destination,
            ..*ip
        };
        let packet = [&header.header()[..], &payload].concat();
        let vrf = self.vrf_of(input);
        for bytes in self.vrfs.get_mut(vrf).local.receive(now, packet) {
            self.originate(now, input, bytes, out);
        }
    }
}
