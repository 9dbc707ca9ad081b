//! ARP (RFC 826): what is asked and answered. The states are in
//! [`reachability`](crate::reachability).

use crate::addr::Mac;
use crate::frame::{ETHERNET_LEN, FrameMeta, InterfaceId};
use crate::neighbors::Purpose;
use crate::router::{Egress, Router};
use crate::time::Instant;
use crate::wire::arp::{Arp, REPLY, REQUEST};
use crate::{DropReason, wire::ethernet};
use core::net::Ipv4Addr;

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
        if link.addresses.iter().any(|n| n.address == arp.sender) {
            return self.drop_frames(input, DropReason::ArpConflict, 1);
        }
        let mac = link.mac;
        let ours = link.addresses.iter().any(|n| n.address == arp.target);
        let probe = arp.sender.is_unspecified();
        let here = link.has_host(arp.sender.into());
        let known = self.neighbors.find(input, arp.sender.into());
        // Hosts ask with whatever address the waiting packet has, so any may ask for ours.
        let asked = ours && arp.operation == REQUEST;
        let alien = !link.addresses.iter().any(|n| n.contains(arp.sender));
        let welcome = probe || here || known.is_some() || (asked && alien);
        if !welcome {
            return self.drop_frames(input, DropReason::ForeignArp, 1);
        }
        self.with_counters(input, |c| c.consumed += 1);
        if asked {
            let reply = Arp {
                operation: REPLY,
                sender_mac: mac,
                sender: arp.target,
                target_mac: arp.sender_mac,
                target: arp.sender,
            };
            self.send_arp(input, &reply, arp.sender_mac, out);
        }
        // Merge what is known already; learn anew only from those who talk to us.
        let index = match known {
            Some(index) => Some(index),
            None if ours && here => self.neighbor(now, input, arp.sender.into(), Purpose::Learn),
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

    /// Tells the link of an interface who has its addresses (RFC 5227 3).
    pub(crate) fn announce(&mut self, interface: InterfaceId, out: &mut dyn Egress) {
        let Some(link) = self.links.get(interface.index()).filter(|l| l.up) else {
            return;
        };
        let mac = link.mac;
        for at in 0..link.addresses.len() {
            let address = self
                .links
                .get(interface.index())
                .and_then(|l| l.addresses.get(at));
            if let Some(address) = address.map(|n| n.address) {
                let announcement = Arp {
                    operation: REQUEST,
                    sender_mac: mac,
                    sender: address,
                    target_mac: Mac::default(),
                    target: address,
                };
                self.send_arp(interface, &announcement, Mac::BROADCAST, out);
            }
        }
    }

    fn send_arp(
        &mut self,
        interface: InterfaceId,
        arp: &Arp,
        destination: Mac,
        out: &mut dyn Egress,
    ) -> bool {
        let mut frame = [0; ethernet::MIN_FRAME];
        crate::wire::put(&mut frame, 0, &arp.frame(destination));
        self.with_counters(interface, |c| c.originated += 1);
        self.emit(interface, &frame, FrameMeta::plain(frame.len()), out)
    }
}
