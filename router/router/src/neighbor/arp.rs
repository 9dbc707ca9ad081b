//! ARP (RFC 826): what is asked and answered. The states are in
//! [`nud`](crate::neighbor::nud).

use crate::DropReason;
use crate::frame::{ETHERNET_LEN, FrameMeta, InterfaceId};
use crate::neighbor::table::Purpose;
use crate::router::{Egress, Router};
use crate::time::Instant;
use core::net::Ipv4Addr;
use wire::addr::Mac;
use wire::arp::{Arp, REPLY, REQUEST};
use wire::{ethernet, ipv4};

impl Router {
    /// Handles an ARP packet.
    pub(crate) fn arp_input(
        &mut self,
        now: Instant,
        input: InterfaceId,
        frame: &[u8],
        out: &mut dyn Egress,
    ) {
        let Some(arp) = Arp::parse(frame.get(ETHERNET_LEN..).unwrap_or(&[])) else {
            return self.drop_frames(input, DropReason::BadArp, 1);
        };
        let Some(link) = self.links.get(input.index()).filter(|l| l.up) else {
            return self.drop_frames(input, DropReason::LinkDown, 1);
        };
        if arp.sender_mac == link.mac {
            // Our own, come back.
            return self.drop_frames(input, DropReason::OwnSource, 1);
        }
        if link.addresses.iter().any(|n| n.address == arp.sender) {
            return self.conflict(now, input, &arp, out);
        }
        let mac = link.mac;
        let ours = link.addresses.iter().any(|n| n.address == arp.target);
        let probe = arp.sender.is_unspecified();
        let here = link.has_host(arp.sender.into());
        let known = self.neighbors.find(input, arp.sender.into());
        // Hosts ask with whatever address the waiting packet has, so any of a host's may ask.
        let request = arp.operation == REQUEST;
        let asked = ours && request;
        let alien = !ipv4::is_martian_source(arp.sender)
            && !link.addresses.iter().any(|n| n.contains(arp.sender));
        let welcome = probe || here || known.is_some() || (asked && alien);
        if !welcome {
            return self.drop_frames(input, DropReason::ForeignArp, 1);
        }
        self.with_counters(input, |c| c.consumed += 1);
        // Who only asks whether an address is free isn't told that it is taken elsewhere.
        let proxied = !ours && request && here && self.is_proxy_for(input, arp.target);
        if asked || proxied {
            let reply = Arp {
                operation: REPLY,
                sender_mac: mac,
                sender: arp.target,
                target_mac: arp.sender_mac,
                target: arp.sender,
            };
            self.send_arp(input, &reply, arp.sender_mac, out);
        }
        // Merge what is known already; learn anew only from those who are about to talk to us.
        let index = match known {
            Some(index) => Some(index),
            None if (asked || proxied) && here => {
                self.neighbor(now, input, arp.sender.into(), Purpose::Learn)
            }
            None => None,
        };
        if let Some(index) = index {
            self.confirm(now, index, arp.sender_mac, out);
        }
    }

    /// Asks for a neighbour, all stations or, by its own, itself. Whether there was room.
    pub(crate) fn ask_arp(
        &mut self,
        interface: InterfaceId,
        target: Ipv4Addr,
        station: Option<Mac>,
        out: &mut dyn Egress,
    ) -> bool {
        let Some(link) = self.links.get(interface.index()).filter(|l| l.up) else {
            return true;
        };
        let Some(sender) = link.address_towards(target) else {
            return true;
        };
        let request = Arp {
            operation: REQUEST,
            sender_mac: link.mac,
            sender,
            target_mac: Mac::default(),
            target,
        };
        self.send_arp(interface, &request, station.unwrap_or(Mac::BROADCAST), out)
    }

    pub(crate) fn send_arp(
        &mut self,
        interface: InterfaceId,
        arp: &Arp,
        destination: Mac,
        out: &mut dyn Egress,
    ) -> bool {
        let mut frame = [0; ethernet::MIN_FRAME];
        wire::put(&mut frame, 0, &arp.frame(destination));
        self.with_counters(interface, |c| c.originated += 1);
        self.emit(interface, &frame, FrameMeta::plain(frame.len()), out)
    }
}
