//! Detection of packets whose next hop is on the link that they came from, so that a redirect can
//! be sent (RFC 1812 5.2.7.2, RFC 4861 8.2).
//!
//! Off by default. If enabled on an interface, the fast path hands the first such frame of a burst
//! to the slow path, as long as the rate limit permits another redirect.

use core::net::IpAddr;

use wire::{be32, be128};

use crate::frame::{ETHERNET_LEN, Header, InterfaceId, Verdict};
use crate::rate_limit::REDIRECTS;
use crate::route::target::Target;
use crate::tables::Tables;
use crate::time::Instant;

/// The contents of a redirect, and the address of the router that sends it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shortcut {
    pub(crate) from: IpAddr,
    pub(crate) next_hop: IpAddr,
}

impl Tables {
    /// Returns `true` if an interface may send a redirect now.
    #[inline(always)]
    pub(crate) fn is_redirect_due(&self, now: Instant, input: InterfaceId) -> bool {
        let link = self.interface(input);
        link.is_some_and(|l| l.allow.redirects && l.redirects.has_token(now, REDIRECTS))
    }

    /// Punts the first of the frames in `which` that calls for a redirect, and returns its bit.
    /// `answer` returns the table's answer for a frame.
    #[cold]
    #[inline(never)]
    pub(crate) fn punt_detour(
        &self,
        input: InterfaceId,
        headers: &[Header],
        verdicts: &mut [Verdict],
        which: u64,
        answer: impl Fn(usize) -> u32,
    ) -> u64 {
        for (at, (header, verdict)) in headers.iter().zip(verdicts).enumerate() {
            if which >> at & 1 == 0 {
                continue;
            }
            let ip = header.0.get(ETHERNET_LEN..).unwrap_or(&[]);
            let (source, destination) = addresses(ip);
            let (target, _) = self.vrfs.settle(answer(at), ip, self.flow_key);
            if self.shortcut(input, source, destination, target).is_some() {
                *verdict = Verdict::Punt;
                return 1 << at;
            }
        }
        0
    }

    /// Returns the redirect for packets received on `input`, if they would be sent back there.
    pub(crate) fn shortcut(
        &self,
        input: InterfaceId,
        source: IpAddr,
        destination: IpAddr,
        target: Target,
    ) -> Option<Shortcut> {
        let link = self.interface(input)?;
        let next_hop = match target {
            Target::OnLink(at) if at == input.0 => destination,
            Target::Neighbor(index) => {
                let key = self.adjacencies.key(index as usize)?;
                (key.interface == input).then_some(key.address)?
            }
            _ => return None,
        };
        let from = match (source, next_hop) {
            // Host and next hop must be in one network, in which the router has an address that the
            // host knows.
            (IpAddr::V4(host), IpAddr::V4(next_hop)) => {
                let both = |n: &&wire::addr::Ipv4Network| n.contains(host) && n.contains(next_hop);
                link.addresses.iter().find(both)?.address.into()
            }
            // Hosts identify routers by their link-local addresses.
            (IpAddr::V6(_), IpAddr::V6(router)) => {
                let known = next_hop == destination || router.is_unicast_link_local();
                let own = link.v6.as_ref()?.source()?;
                known.then_some(own.into())?
            }
            _ => return None,
        };
        let better = next_hop != source && link.has_host(source) && link.has_host(next_hop);
        better.then_some(Shortcut { from, next_hop })
    }
}

/// Returns source and destination of a packet with a complete header.
fn addresses(ip: &[u8]) -> (IpAddr, IpAddr) {
    if ip.first().is_some_and(|b| b >> 4 == 6) {
        let at = |at| IpAddr::V6(be128(ip, at).into());
        (at(8), at(24))
    } else {
        let at = |at| IpAddr::V4(be32(ip, at).into());
        (at(12), at(16))
    }
}
