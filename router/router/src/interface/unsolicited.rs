//! Unsolicited Neighbor Advertisements of the router's addresses (RFC 4861 7.2.6), so that hosts
//! that know another MAC address for them learn the router's.

use alloc::vec::Vec;
use core::net::Ipv6Addr;
use core::time::Duration;

use wire::addr::Mac;
use wire::ipv6::ALL_NODES;
use wire::ndp::Ndp;

use crate::cx::Cx;
use crate::frame::InterfaceId;
use crate::interface::Interface;
use crate::interface::output::send_ndp;
use crate::time::Instant;

/// The pauses between the advertisements of an address, of which there are three
/// (MAX_NEIGHBOR_ADVERTISEMENT, RFC 4861 10). The last one is sent after a bridge with spanning
/// tree starts to forward, 30 s after its port comes up.
const PAUSES: [Duration; 2] = [Duration::from_secs(15), Duration::from_secs(20)];

/// An address that is advertised.
#[derive(Clone, Copy, Debug)]
struct Announced {
    address: Ipv6Addr,
    /// The number of advertisements sent.
    times: usize,
    /// When the next one is due.
    due: Instant,
}

/// The addresses of an interface that are still to be advertised.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unsolicited(Vec<Announced>);

impl Unsolicited {
    /// Starts to advertise addresses.
    pub(crate) fn begin(&mut self, now: Instant, addresses: &[Ipv6Addr]) {
        self.0.retain(|a| !addresses.contains(&a.address));
        self.0.extend(addresses.iter().map(|&address| Announced {
            address,
            times: 0,
            due: now,
        }));
    }

    /// Returns when [`poll`](Self::poll) has something to send; `None` if it never has.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.iter().map(|a| a.due).min()
    }

    /// Advertises addresses that are due and may be used. Without room, an advertisement is
    /// skipped.
    pub(crate) fn poll(&mut self, cx: &mut Cx<'_>, on: InterfaceId, interface: &Interface) {
        let Some(v6) = &interface.v6 else { return };
        self.0.retain_mut(|announced| {
            if announced.due > cx.now {
                return true;
            }
            let target = announced.address;
            if !v6.usable().any(|n| n.address == target) {
                return false;
            }
            let advertisement = Ndp::Advertisement {
                target,
                link_layer_address: Some(interface.mac),
                router: true,
                solicited: false,
                overrides: true,
            };
            let all = Mac::of_group(ALL_NODES);
            send_ndp(cx, (on, interface), (target, ALL_NODES), all, advertisement);
            let pause = PAUSES.get(announced.times);
            announced.times += 1;
            announced.due = pause.map_or(cx.now, |&pause| cx.now.saturating_add(pause));
            pause.is_some()
        });
    }
}

#[cfg(test)]
mod tests;
