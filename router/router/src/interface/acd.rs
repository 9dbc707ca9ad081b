//! Whether others use the router's IPv4 addresses: address conflict detection (RFC 5227).
//!
//! A router's addresses are what hosts know it by. It takes them at once and never gives them up,
//! which RFC 5227 2.4 (c) has for default routers; so there is nothing to wait for before they are
//! announced, and the question whether somebody has them already goes out with the announcement.
//! Who answers it, or says so at any other time, is shown, logged, and told by an announcement that
//! the address is taken.

use alloc::format;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use crate::DropReason;
use crate::cx::Cx;
use crate::frame::InterfaceId;
use crate::interface::Interface;
use crate::interface::output::send_arp;
use crate::time::Instant;
use wire::addr::Mac;
use wire::arp::{Arp, REQUEST};

/// How often addresses are announced, and how long that takes (ANNOUNCE_NUM, ANNOUNCE_INTERVAL,
/// RFC 5227 1.1).
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// An address isn't defended more often than this (DEFEND_INTERVAL).
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// How long a conflict is shown after it was last noticed.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The IPv4 addresses of a link as far as others are concerned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acd {
    /// How often they were announced, and when that is due again.
    announced: Option<(u8, Instant)>,
    conflicts: Vec<Conflict>,
}

/// An address of ours that somebody else uses.
#[derive(Clone, Copy, Debug)]
struct Conflict {
    address: Ipv4Addr,
    mac: Mac,
    defended: Instant,
    noticed: Instant,
}

impl Acd {
    /// All addresses are to be announced.
    pub(crate) fn begin(now: Instant) -> Self {
        Self {
            announced: Some((0, now)),
            conflicts: Vec::new(),
        }
    }

    /// Who else uses an address.
    pub(crate) fn conflicting_mac(&self, address: Ipv4Addr) -> Option<Mac> {
        let conflict = self.conflicts.iter().find(|c| c.address == address);
        conflict.map(|c| c.mac)
    }

    /// When something is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        let forgotten = self.conflicts.iter().map(Conflict::end);
        forgotten.chain(self.announced.map(|a| a.1)).min()
    }
}

impl Conflict {
    fn end(&self) -> Instant {
        self.noticed.saturating_add(REMEMBERED)
    }
}

impl Acd {
    /// Announces the addresses of an interface where that is due, and forgets old conflicts.
    pub(crate) fn poll(&mut self, cx: &mut Cx<'_>, on: InterfaceId, interface: &Interface) {
        if !interface.up || self.due().is_none_or(|due| due > cx.now) {
            return;
        }
        self.conflicts.retain(|c| c.end() > cx.now);
        let Some((times, _)) = self.announced.filter(|a| a.1 <= cx.now) else {
            return;
        };
        let next = (times + 1, cx.now.saturating_add(ANNOUNCE_INTERVAL));
        self.announced = Some(next).filter(|n| n.0 < ANNOUNCEMENTS);
        for network in &interface.addresses {
            if times == 0 {
                // A probe: some answer nothing else that is about their own address.
                claim(cx, on, interface, Ipv4Addr::UNSPECIFIED, network.address);
            }
            claim(cx, on, interface, network.address, network.address);
        }
    }

    /// Somebody sent an ARP packet from one of the interface's addresses. `name` is the
    /// interface's, to be told.
    pub(crate) fn conflict(
        &mut self,
        cx: &mut Cx<'_>,
        (on, interface): (InterfaceId, &Interface),
        name: &str,
        arp: &Arp,
    ) {
        let now = cx.now;
        let known = self.conflicts.iter_mut().find(|c| c.address == arp.sender);
        let defend = match known {
            Some(conflict) => {
                (conflict.mac, conflict.noticed) = (arp.sender_mac, now);
                let defend = now.saturating_since(conflict.defended) >= DEFEND_INTERVAL;
                if defend {
                    conflict.defended = now;
                }
                defend
            }
            None => {
                self.conflicts.push(Conflict {
                    address: arp.sender,
                    mac: arp.sender_mac,
                    defended: now,
                    noticed: now,
                });
                true
            }
        };
        cx.drop_frames(on, DropReason::ArpConflict, 1);
        if defend {
            let text = format!("{name}: {} also uses our {}", arp.sender_mac, arp.sender);
            cx.out.notice(text);
            claim(cx, on, interface, arp.sender, arp.sender);
        }
    }
}

/// Sends an announcement, or a probe if `sender` is unspecified (RFC 5227 1.1).
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
