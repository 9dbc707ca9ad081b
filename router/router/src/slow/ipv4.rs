//! The slow path for IPv4 (RFC 791, RFC 1812): forwarding what the fast path doesn't, and fragments.

use alloc::vec::Vec;

use crate::DropReason;
use crate::forward::ipv4::segments_fit_at;
use crate::frame::{ETHERNET_LEN, FrameMeta};
use crate::router::{Egress, Router};
use crate::slow::ipv4_options;
use crate::slow::next_hop::NextHop;
use crate::slow::packet::{Waiting, complete_checksum};
use crate::time::Instant;
use wire::icmp_error::IcmpError;
use wire::ipv4::{DF, Ipv4};
use wire::{checksum, ipv4_fragment, put};

impl Router {
    /// Sends an IPv4 packet, received or our own, on its way.
    pub(crate) fn route4(&mut self, now: Instant, mut waiting: Waiting, out: &mut dyn Egress) {
        let input = waiting.input;
        let packet = waiting.bytes.get(ETHERNET_LEN..).unwrap_or(&[]);
        let Ok(mut ip) = Ipv4::parse(packet, packet.len()) else {
            return self.drop_frames(input, DropReason::Truncated, 1);
        };
        if let Some(hop) = waiting.hop {
            ip.destination = hop.destination;
        }
        let (_, found) = self.vrfs.find(self.vrf_of(input), ip.destination.into());
        let (target, route_mtu) = self.vrfs.settle(found.number(), packet, self.flow_key);
        // Padding ends here.
        waiting.bytes.truncate(ETHERNET_LEN + ip.total_len);
        waiting.meta.len = u32::try_from(waiting.bytes.len()).unwrap_or(u32::MAX);
        let destination = ip.destination.into();
        if waiting.originated && self.is_network_end(self.vrf_of(input), ip.destination) {
            // A recorded route may say so, but nothing of our own is for all hosts.
            return self.drop_frames(input, DropReason::Broadcast, 1);
        }
        let neighbor = match self.next_hop(now, target, destination, &waiting, out) {
            None => return,
            Some(NextHop::Local) => return self.deliver4(now, waiting, &ip, out),
            Some(NextHop::Neighbor(neighbor)) => neighbor,
        };
        if !waiting.originated && ip.ttl <= 1 {
            self.drop_frames(input, DropReason::TtlExpired, 1);
            return self.report(now, &waiting, IcmpError::TimeExceeded, out);
        }
        if !self.is_as_strict(&waiting, target) {
            self.drop_frames(input, DropReason::SourceRoute, 1);
            return self.report(now, &waiting, IcmpError::SourceRouteFailed, out);
        }
        let Some((index, mtu)) = self.within_reach(input, neighbor) else {
            return;
        };
        self.redirect(now, &waiting, target, out);
        let mtu = mtu.min(route_mtu.unwrap_or(u16::MAX));
        let max_len = u32::from(mtu) + ETHERNET_LEN as u32;
        if ip.total_len <= usize::from(mtu)
            || segments_fit_at(&waiting.bytes, ip.header_len, &waiting.meta, max_len)
        {
            self.send_to(now, index, waiting, out);
        } else if ip.fragment & DF != 0 && !waiting.originated {
            self.drop_frames(input, DropReason::TooBig, 1);
            self.report(now, &waiting, IcmpError::FragmentationNeeded(mtu), out);
        } else {
            self.fragment(now, index, waiting, mtu, out);
        }
    }

    fn fragment(
        &mut self,
        now: Instant,
        index: usize,
        mut waiting: Waiting,
        mtu: u16,
        out: &mut dyn Egress,
    ) {
        complete_checksum(&mut waiting);
        let input = waiting.input;
        let Some(packet) = waiting.bytes.get_mut(ETHERNET_LEN..) else {
            return;
        };
        if waiting.originated {
            // smoltcp numbers no packets and forbids to fragment them.
            self.ident = self.ident.wrapping_add(1);
            put(packet, 4, &self.ident.to_be_bytes());
            put(packet, 6, &[0, 0]);
            let len = ipv4_options::header(packet).len();
            if let Some(header) = packet.get_mut(..len) {
                checksum::fill(header, 10);
            }
        }
        let Ok(ip) = Ipv4::parse(packet, packet.len()) else {
            return self.drop_frames(input, DropReason::Truncated, 1);
        };
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        let count = ipv4_fragment::fragment(packet, &ip, mtu.into(), ETHERNET_LEN, |piece| {
            pieces.push(core::mem::take(piece));
        });
        if count == 0 {
            return self.drop_frames(input, DropReason::TooBig, 1);
        }
        self.with_counters(input, |c| c.originated += count as u64 - 1);
        for bytes in pieces {
            let meta = FrameMeta::plain(bytes.len());
            let piece = Waiting {
                bytes,
                meta,
                input,
                originated: waiting.originated,
                hop: waiting.hop,
            };
            self.send_to(now, index, piece, out);
        }
    }
}
