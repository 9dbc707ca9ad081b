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
use crate::frame::InterfaceId;
use crate::router::{Egress, Router};
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
    station: Mac,
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
        conflict.map(|c| c.station)
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

impl Router {
    /// Announces the addresses of an interface where that is due, and forgets old conflicts.
    pub(crate) fn acd_due(&mut self, now: Instant, interface: InterfaceId, out: &mut dyn Egress) {
        let Some(link) = self.links.get_mut(interface.index()).filter(|l| l.up) else {
            return;
        };
        if link.acd.due().is_none_or(|due| due > now) {
            return;
        }
        link.acd.conflicts.retain(|c| c.end() > now);
        let Some((times, _)) = link.acd.announced.filter(|a| a.1 <= now) else {
            return;
        };
        let next = (times + 1, now.saturating_add(ANNOUNCE_INTERVAL));
        link.acd.announced = Some(next).filter(|n| n.0 < ANNOUNCEMENTS);
        let addresses: Vec<Ipv4Addr> = link.addresses.iter().map(|n| n.address).collect();
        for address in addresses {
            if times == 0 {
                // A probe: some answer nothing else that is about their own address.
                self.claim(interface, Ipv4Addr::UNSPECIFIED, address, out);
            }
            self.claim(interface, address, address, out);
        }
    }

    fn claim(
        &mut self,
        interface: InterfaceId,
        sender: Ipv4Addr,
        address: Ipv4Addr,
        out: &mut dyn Egress,
    ) {
        let mac = self.links.get(interface.index()).map(|l| l.mac);
        let arp = Arp {
            operation: REQUEST,
            sender_mac: mac.unwrap_or_default(),
            sender,
            target_mac: Mac::default(),
            target: address,
        };
        self.send_arp(interface, &arp, Mac::BROADCAST, out);
    }

    /// Somebody sent an ARP packet from one of our addresses.
    pub(crate) fn conflict(
        &mut self,
        now: Instant,
        input: InterfaceId,
        arp: &Arp,
        out: &mut dyn Egress,
    ) {
        let Some(link) = self.links.get_mut(input.index()) else {
            return;
        };
        let all = &mut link.acd.conflicts;
        let known = all.iter_mut().find(|c| c.address == arp.sender);
        let defend = match known {
            Some(conflict) => {
                (conflict.station, conflict.noticed) = (arp.sender_mac, now);
                let defend = now.saturating_since(conflict.defended) >= DEFEND_INTERVAL;
                if defend {
                    conflict.defended = now;
                }
                defend
            }
            None => {
                all.push(Conflict {
                    address: arp.sender,
                    station: arp.sender_mac,
                    defended: now,
                    noticed: now,
                });
                true
            }
        };
        self.drop_frames(input, DropReason::ArpConflict, 1);
        if defend {
            let name = self.config().interfaces.get(input.index());
            let name = name.map_or("", |i| i.name.as_str());
            let text = format!("{name}: {} also uses our {}", arp.sender_mac, arp.sender);
            self.notice(text);
            self.claim(input, arp.sender, arp.sender, out);
        }
    }
}
