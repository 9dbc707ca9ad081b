//! Sending of redirects to hosts whose next hop is on their own link (RFC 1812 5.2.7.2, RFC 4861
//! 8.2). [`shortcut`](crate::forward::shortcut) detects the packets that cause them.

use core::net::IpAddr;

use wire::ipv4_options::source_route::SourceRoute;
use wire::ipv6::ON_LINK_HOPS;
use wire::{icmpv4, icmpv6, ndp_redirect};

use crate::DropReason;
use crate::frame::ETHERNET_LEN;
use crate::packet::{Ip, Packet};
use crate::rate_limit::REDIRECTS;
use crate::route::target::Target;
use crate::slow::icmp_error::error_addresses4;
use crate::step::Step;
use crate::tables::Tables;

impl Step<'_> {
    /// Sends a redirect to the source of a packet, which is forwarded nevertheless. `target` is the
    /// packet's.
    pub(crate) fn redirect(&mut self, packet: &Packet, target: Target) {
        let input = packet.input;
        let interface = self.tables.interface(input);
        if packet.originated || !interface.is_some_and(|i| i.allow.redirects) {
            return;
        }
        let (source, destination) = (packet.source(), packet.destination());
        let Some(shortcut) = self.tables.shortcut(input, source, destination, target) else {
            return;
        };
        let index = self.tables.adjacencies.find(input, shortcut.next_hop);
        let entry = |&i: &usize| self.state.neighbors.entry(i);
        let known = |i: &usize| entry(i).is_some_and(|e| e.state.is_known());
        let Some(index) = index.filter(known) else {
            return;
        };
        if !may_redirect(self.tables, packet) {
            return;
        }
        let interface = self.tables.interface(input);
        if !interface.is_some_and(|i| i.redirects.take(self.cx.now, REDIRECTS)) {
            return;
        }
        let bytes = packet.ip_bytes();
        let frame = match (shortcut.from, source, shortcut.next_hop, destination) {
            (IpAddr::V4(from), IpAddr::V4(host), IpAddr::V4(next_hop), _) => {
                icmpv4::redirect_frame(next_hop, from, host, bytes)
            }
            (IpAddr::V6(from), IpAddr::V6(host), IpAddr::V6(next_hop), IpAddr::V6(to)) => {
                let mac = self.tables.adjacencies.mac(index);
                let message = ndp_redirect::message(next_hop, to, mac, bytes);
                icmpv6::packet(from, host, ON_LINK_HOPS, ETHERNET_LEN, message)
            }
            _ => return,
        };
        self.cx.count(input, |c| c.icmp_redirects += 1);
        self.cx.count(input, |c| c.originated += 1);
        // The host is on the link that its packet came from.
        match (self.nud().resolve(input, source), Packet::own(frame, input)) {
            (Some(host), Ok(redirect)) => self.send_to(host, redirect),
            (None, _) => {
                let reason = DropReason::NeighborRateLimited;
                self.cx.drop_frames(input, reason, 1);
            }
            (_, Err(reason)) => self.cx.drop_frames(input, reason, 1),
        }
    }
}

/// Returns `true` if a redirect may be sent about a packet: not if it has a source route.
fn may_redirect(tables: &Tables, packet: &Packet) -> bool {
    match packet.ip() {
        Ip::V4(ip) => {
            let chosen = SourceRoute::of(packet.header()).is_some();
            !chosen && error_addresses4(tables, packet, &ip).is_some()
        }
        Ip::V6(_) => true,
    }
}
