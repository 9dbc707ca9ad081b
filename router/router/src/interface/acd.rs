//! Address Conflict Detection (RFC 5227): announces the router's IPv4 addresses and detects
//! conflicts.
//!
//! Hosts depend on a router's addresses. The router uses them at once and never gives them up, as
//! RFC 5227 2.4 (c) permits for default routers; so addresses are announced without waiting, and
//! the probe is sent together with the first announcement. If a host answers the probe or uses one
//! of the addresses later, the conflict is shown and logged, and the address is defended.

use alloc::format;
use core::net::Ipv4Addr;
use core::time::Duration;

use crate::DropReason;
use crate::cx::Cx;
use crate::frame::InterfaceId;
use crate::interface::Interface;
use crate::interface::conflicts::Conflicts;
use crate::interface::output::send_arp;
use crate::time::Instant;
use wire::addr::Mac;
use wire::arp::{Arp, REQUEST};

/// The pauses between announcements. The second announcement follows after ANNOUNCE_INTERVAL (RFC
/// 5227 1.1), the others 5, 15 and 35 s after the first: a bridge with spanning tree starts to
/// forward 30 s after its port comes up, and hosts behind it miss the earlier ones.
const PAUSES_S: [u64; 4] = [2, 3, 10, 20];
/// The state machine of an interface.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acd {
    /// The number of announcements so far, and when the next is due; `None` if none is.
    announced: Option<(usize, Instant)>,
    conflicts: Conflicts,
}

impl Acd {
    /// Returns how many of the addresses somebody else uses, as far as was noticed lately.
    pub(crate) fn conflicts(&self) -> usize {
        self.conflicts.len()
    }

    /// Creates the state machine of a link that came up at `now`, with all addresses to be
    /// announced.
    pub(crate) fn begin(now: Instant) -> Self {
        Self {
            announced: Some((0, now)),
            conflicts: Conflicts::default(),
        }
    }

    /// Returns the MAC address of another host that uses an address; `None` if there is none.
    pub(crate) fn conflicting_mac(&self, address: Ipv4Addr) -> Option<Mac> {
        self.conflicts.mac_of(address.into())
    }

    /// Returns when [`poll`](Self::poll) is due; `None` if it isn't.
    pub(crate) fn due(&self) -> Option<Instant> {
        let announced = self.announced.map(|a| a.1);
        self.conflicts.due().into_iter().chain(announced).min()
    }

    /// Announces the addresses of an interface if that is due, and forgets old conflicts.
    /// Announcements without room are not retried before the next ones.
    pub(crate) fn poll(&mut self, cx: &mut Cx<'_>, on: InterfaceId, interface: &Interface) {
        if !interface.up || self.due().is_none_or(|due| due > cx.now) {
            return;
        }
        self.conflicts.forget_old(cx.now);
        let Some((times, _)) = self.announced.filter(|a| a.1 <= cx.now) else {
            return;
        };
        let pause = PAUSES_S.get(times).map(|&pause| Duration::from_secs(pause));
        self.announced = pause.map(|pause| (times + 1, cx.now.saturating_add(pause)));
        for network in &interface.addresses {
            if times == 0 {
                // Some hosts only answer probes for their own address.
                claim(cx, on, interface, Ipv4Addr::UNSPECIFIED, network.address);
            }
            claim(cx, on, interface, network.address, network.address);
        }
    }

    /// Handles an ARP packet whose sender protocol address is one of the interface's addresses, and
    /// defends the address unless it was defended recently. `name` is the interface's, for the
    /// notice.
    pub(crate) fn conflict(
        &mut self,
        cx: &mut Cx<'_>,
        (on, interface): (InterfaceId, &Interface),
        name: &str,
        arp: &Arp,
    ) {
        let (address, mac) = (arp.sender.into(), arp.sender_mac);
        let defend = self.conflicts.note(cx.now, address, mac);
        cx.drop_frames(on, DropReason::ArpConflict, 1);
        if defend {
            let text = format!(
                "{name}: duplicate address {} detected, also used by {}",
                arp.sender, arp.sender_mac
            );
            cx.out.notice(text);
            claim(cx, on, interface, arp.sender, arp.sender);
        }
    }
}

/// Sends an ARP announcement of `address`, or an ARP probe if `sender` is unspecified (RFC 5227
/// 1.1).
fn claim(
    cx: &mut Cx<'_>,
    on: InterfaceId,
    interface: &Interface,
    sender: Ipv4Addr,
    address: Ipv4Addr,
) {
    let arp = Arp {
        operation: REQUEST,
        sender_mac: interface.mac,
        sender,
        target_mac: Mac::default(),
        target: address,
    };
    send_arp(cx, on, &arp, Mac::BROADCAST);
}

#[cfg(test)]
mod tests;
