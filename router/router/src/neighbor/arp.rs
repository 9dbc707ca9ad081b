//! ARP (RFC 826): handling of received packets. Requests are in
//! [`solicit`](crate::neighbor::solicit), their states are in [`nud`](crate::neighbor::nud).

use wire::arp::{Arp, REPLY, REQUEST};
use wire::ethernet::Ethernet;
use wire::ipv4;

use crate::DropReason;
use crate::frame::{ETHERNET_LEN, InterfaceId};
use crate::interface::output::send_arp;
use crate::neighbor::proxy_arp::is_proxy_for;
use crate::step::Step;

impl Step<'_> {
    /// Handles an ARP packet.
    pub(crate) fn arp_input(&mut self, input: InterfaceId, frame: &[u8]) {
        let Some(arp) = Arp::parse(frame.get(ETHERNET_LEN..).unwrap_or(&[])) else {
            return self.cx.drop_frames(input, DropReason::BadArp, 1);
        };
        let destination = Ethernet::parse(frame).map(|header| header.destination);
        let Some(interface) = self.tables.interface(input).filter(|i| i.up) else {
            return self.cx.drop_frames(input, DropReason::LinkDown, 1);
        };
        if arp.sender_mac == interface.mac {
            // The router's own packet, looped back.
            return self.cx.drop_frames(input, DropReason::OwnSource, 1);
        }
        let mut local = interface.addresses.iter();
        if local.any(|n| n.address == arp.sender) {
            let name = self.name_of(input);
            if let Some(machines) = self.state.machines.get_mut(input.index()) {
                let acd = &mut machines.acd;
                acd.conflict(&mut self.cx, (input, interface), name, &arp);
            }
            return;
        }
        let mac = interface.mac;
        let mut local = interface.addresses.iter();
        let is_local = local.any(|n| n.address == arp.target);
        let probe = arp.sender.is_unspecified();
        let here = interface.has_host(arp.sender.into());
        let known = self.tables.adjacencies.find(input, arp.sender.into());
        // Hosts use the source address of the waiting packet in requests, so it may be any of
        // theirs.
        let request = arp.operation == REQUEST;
        let asked = is_local && request;
        let alien = !ipv4::is_martian_source(arp.sender)
            && !interface.addresses.iter().any(|n| n.contains(arp.sender));
        let welcome = probe || here || known.is_some() || (asked && alien);
        if !welcome {
            return self.cx.drop_frames(input, DropReason::ForeignArp, 1);
        }
        self.cx.count(input, |c| c.consumed += 1);
        // Probes aren't answered by proxy.
        let proxied = !is_local && request && here && is_proxy_for(self.tables, input, arp.target);
        if asked || proxied {
            let reply = Arp {
                operation: REPLY,
                sender_mac: mac,
                sender: arp.target,
                target_mac: arp.sender_mac,
                target: arp.sender,
            };
            send_arp(&mut self.cx, input, &reply, arp.sender_mac);
        }
        // Update an existing entry; add one only if the sender is about to talk to the router.
        let index = match known {
            Some(index) => Some(index),
            None if (asked || proxied) && here => self.nud().learn(input, arp.sender.into()),
            None => None,
        };
        // Only replies to the router confirm that the sender receives its packets.
        let answers = is_local && arp.operation == REPLY && destination == Some(mac);
        match index {
            Some(index) if answers => self.nud().confirm(index, arp.sender_mac),
            Some(index) => self.nud().heard(index, arp.sender_mac),
            None => {}
        }
    }
}
