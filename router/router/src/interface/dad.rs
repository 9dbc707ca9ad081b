//! Duplicate Address Detection (RFC 4862 5.4) for the router's IPv6 addresses.
//!
//! An address is tentative until as many solicitations as configured have been sent without an
//! objection. Objections arrive as Neighbor Discovery messages ([`ndp`](crate::neighbor::ndp)).

use alloc::vec::Vec;
use core::net::Ipv6Addr;
use core::time::Duration;

use wire::addr::{Mac, solicited_node};
use wire::ndp::Ndp;

use crate::cx::Cx;
use crate::frame::InterfaceId;
use crate::interface::Interface;
use crate::interface::addresses::{DadState, Ipv6Addresses};
use crate::interface::output::send_ndp;
use crate::time::Instant;

/// The time to wait for an objection (RetransTimer, RFC 4862 5.1; RETRANS_TIMER, RFC 4861 10).
const OBJECTION: Duration = Duration::from_secs(1);
/// How long to wait if there was no room for a solicitation.
const CONGESTED: Duration = Duration::from_millis(20);

/// A tentative address.
#[derive(Clone, Copy, Debug)]
struct Probe {
    address: Ipv6Addr,
    /// The number of solicitations sent.
    asked: u8,
    /// When the next solicitation is due, or, after the last one, when the address is unique.
    due: Instant,
}

/// The tentative addresses of an interface.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dad(Vec<Probe>);

impl Dad {
    /// Starts detection for those of the addresses that are tentative. Detection that `old` has
    /// begun continues.
    pub(crate) fn start(&mut self, now: Instant, addresses: &Ipv6Addresses, old: Option<&Self>) {
        let tentative = addresses.iter().filter(|a| a.state == DadState::Tentative);
        let probes = tentative.map(|a| {
            let address = a.network.address;
            let old = old.into_iter().flat_map(|old| &old.0);
            let known = old.copied().find(|p| p.address == address);
            known.unwrap_or(Probe {
                address,
                asked: 0,
                due: now,
            })
        });
        self.0 = probes.collect();
    }

    /// Returns when [`poll`](Self::poll) has something to do; `None` if no address is tentative.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.iter().map(|p| p.due).min()
    }

    /// Returns how many addresses are asked about.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Stops detection for an address, which is a duplicate.
    pub(crate) fn stop(&mut self, address: Ipv6Addr) {
        self.0.retain(|p| p.address != address);
    }

    /// Sends solicitations that are due, and returns the addresses that are unique from now on,
    /// after `transmits` solicitations without an objection (DupAddrDetectTransmits, RFC 4862 5.1;
    /// 0 for no detection). A solicitation for which there is no room doesn't count.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Cx<'_>,
        on: InterfaceId,
        interface: &Interface,
        transmits: u8,
    ) -> Vec<Ipv6Addr> {
        let mut proven = Vec::new();
        let now = cx.now;
        for probe in self.0.iter_mut().filter(|p| p.due <= now) {
            let target = probe.address;
            if probe.asked >= transmits {
                proven.push(target);
                continue;
            }
            let group = solicited_node(target);
            let question = Ndp::Solicitation {
                target,
                link_layer_address: None,
            };
            let addresses = (Ipv6Addr::UNSPECIFIED, group);
            let mac = Mac::of_group(group);
            let pause = if send_ndp(cx, (on, interface), addresses, mac, question) {
                probe.asked += 1;
                OBJECTION
            } else {
                CONGESTED
            };
            probe.due = now.saturating_add(pause);
        }
        self.0.retain(|p| !proven.contains(&p.address));
        proven
    }
}

#[cfg(test)]
mod tests;
