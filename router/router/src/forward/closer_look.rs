//! Frames that the few comparisons of the fast path don't recognise as plain.

use core::net::IpAddr;

use wire::{ethernet, ipv4, ipv6};

use crate::DropReason;
use crate::forward::lane::Lane;
use crate::forward::validate::Parsed;
use crate::frame::{ETHERNET_LEN, FrameMeta, Header, InterfaceId, Verdict};
use crate::route::flow_hash::is_icmp_error;
use crate::route::target::Target;
use crate::tables::Tables;

impl Tables {
    /// Looks closer at a frame that isn't plainly one to forward. If it isn't to be
    /// forwarded here, its verdict is set.
    #[cold]
    #[inline(never)]
    pub(crate) fn is_forwardable(
        &self,
        lane: &mut Lane,
        input: InterfaceId,
        header: &Header,
        meta: &FrameMeta,
        verdict: &mut Verdict,
    ) -> bool {
        *verdict = Verdict::Punt;
        match self.validate(input, &header.0, meta.len as usize) {
            Parsed::Bad(reason) => {
                if reason == DropReason::Vlan
                    && let Some(tagged) = self.tagged(lane, input, header, meta)
                {
                    *verdict = tagged;
                    return false;
                }
                lane.drop_frames(input, reason, 1);
                *verdict = Verdict::Drop;
                false
            }
            Parsed::Arp | Parsed::Incomplete | Parsed::Undecided => false,
            Parsed::Ip6(ip) => {
                let total = ETHERNET_LEN + ip.total_len;
                let padded = meta.len as usize > total.max(ethernet::MIN_FRAME);
                let local = ip.source.is_unicast_link_local() || ip.destination.is_multicast();
                let examined = ip.next_header == ipv6::HOP_BY_HOP;
                if ip.hop_limit <= 1 && !local && !examined {
                    self.drop_if_silent(lane, input, ip.destination.into(), verdict);
                }
                ip.hop_limit > 1 && !padded && !local && !examined
            }
            Parsed::Ip(ip) => {
                let total = ETHERNET_LEN + ip.total_len;
                let padded = meta.len as usize > total.max(ethernet::MIN_FRAME);
                let plain = ip.header_len == ipv4::HEADER_LEN;
                if plain && ip.ttl <= 1 {
                    self.drop_if_silent(lane, input, ip.destination.into(), verdict);
                }
                plain && ip.ttl > 1 && !padded
            }
        }
    }

    /// Drops a frame to where nothing goes and nobody is told, as without a closer look.
    fn drop_if_silent(
        &self,
        lane: &mut Lane,
        input: InterfaceId,
        destination: IpAddr,
        verdict: &mut Verdict,
    ) {
        if let Target::Drop(reason) = self.route_to(input, destination) {
            drop_silently(lane, input, reason, verdict);
        }
    }
}

/// Drops a frame whose sender isn't told why.
pub(crate) fn drop_silently(
    lane: &mut Lane,
    input: InterfaceId,
    reason: DropReason,
    verdict: &mut Verdict,
) {
    if matches!(
        reason,
        DropReason::Blackhole
            | DropReason::MartianDestination
            | DropReason::TentativeAddress
            | DropReason::Multicast
            | DropReason::Broadcast
    ) {
        lane.drop_frames(input, reason, 1);
        *verdict = Verdict::Drop;
    }
}

impl Tables {
    /// Returns `true` if a packet goes to one of several next hops by what it quotes, which is beyond
    /// the bytes at hand: an ICMP error.
    #[inline]
    pub(crate) fn is_hidden_choice(&self, answer: u32, ip: &[u8]) -> bool {
        let target = Target::from_number(answer);
        matches!(target, Target::Group(_) | Target::Vrf(_)) && is_icmp_error(ip)
    }
}
