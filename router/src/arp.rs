//! Resolving neighbours (RFC 826) and keeping them fresh (RFC 1122 2.3.2).

use core::net::Ipv4Addr;
use core::time::Duration;

use crate::addr::Mac;
use crate::frame::{ETHERNET_LEN, FrameMeta, InterfaceId};
use crate::neighbors::{Evicted, NEVER, State};
use crate::router::{Egress, Router};
use crate::time::Instant;
use crate::wire::arp::{Arp, REPLY, REQUEST};
use crate::wire::icmp::IcmpError;
use crate::{DropReason, wire::ethernet};

/// How long to wait for an answer.
const RETRY: Duration = Duration::from_secs(1);
/// How long to wait when there was no room to ask.
const CONGESTED: Duration = Duration::from_millis(20);
/// How often to ask before giving up.
const TRIES: u8 = 3;
/// How long an answer is believed; then a neighbour in use is asked again.
const REACHABLE: Duration = Duration::from_secs(60);
/// How long a neighbour that didn't answer isn't asked again.
const BACKOFF: Duration = Duration::from_secs(3);

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
        let here = link.has_host(arp.sender);
        let known = self.neighbors.find(input, arp.sender);
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
            None if ours && here => self.neighbor(input, arp.sender),
            None => None,
        };
        if let Some(index) = index {
            self.confirm(now, index, arp.sender_mac, out);
        }
    }

    /// Enters a neighbour's answer and sends what waited for it.
    fn confirm(&mut self, now: Instant, index: usize, mac: Mac, out: &mut dyn Egress) {
        let Some(entry) = self
            .neighbors
            .entry(index)
            .filter(|e| e.state != State::Static)
        else {
            return;
        };
        let interface = entry.interface;
        self.open_neighbor(index, interface, mac);
        self.neighbors.take_used(index);
        self.neighbors
            .set(index, State::Reachable, now.saturating_add(REACHABLE));
        for waiting in self.neighbors.take_queue(index) {
            self.route(now, waiting, out);
        }
    }

    /// Lets frames go to a neighbour at this station.
    pub(crate) fn open_neighbor(&mut self, index: usize, interface: InterfaceId, mac: Mac) {
        let Some(link) = self.links.get(interface.index()).filter(|l| l.up) else {
            return;
        };
        let mut stations = [0; 12];
        crate::wire::put(&mut stations, 0, &mac.0);
        crate::wire::put(&mut stations, 6, &link.mac.0);
        let max_len = u32::from(link.mtu) + ETHERNET_LEN as u32;
        self.neighbors.open(index, stations, max_len);
    }

    /// The neighbour with this address, new if need be; what it displaces is counted.
    pub(crate) fn neighbor(&mut self, interface: InterfaceId, address: Ipv4Addr) -> Option<usize> {
        let (index, evicted) = self.neighbors.find_or_add(interface, address).ok()?;
        if let Some(Evicted(queue)) = evicted {
            self.with_counters(interface, |c| c.neighbors_evicted += 1);
            for waiting in queue {
                self.drop_frames(waiting.input, DropReason::NeighborTableFull, 1);
            }
        }
        Some(index)
    }

    /// Begins to look for an idle neighbour.
    pub(crate) fn start_resolution(&mut self, now: Instant, index: usize, out: &mut dyn Egress) {
        self.ask_again(now, index, State::Incomplete, 0, Mac::BROADCAST, out);
    }

    /// Asks for a neighbour once more than `tries` times, or soon again if there is no room:
    /// a question that was never sent is no try.
    fn ask_again(
        &mut self,
        now: Instant,
        index: usize,
        state: fn(u8) -> State,
        tries: u8,
        destination: Mac,
        out: &mut dyn Egress,
    ) {
        let (tries, pause) = if self.ask(index, destination, out) {
            (tries + 1, RETRY)
        } else {
            (tries, CONGESTED)
        };
        self.neighbors
            .set(index, state(tries), now.saturating_add(pause));
    }

    /// Sends a request for a neighbour's address to `destination`. Whether there was room.
    fn ask(&mut self, index: usize, destination: Mac, out: &mut dyn Egress) -> bool {
        let Some(entry) = self.neighbors.entry(index) else {
            return true;
        };
        let (interface, target) = (entry.interface, entry.address);
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
        self.send_arp(interface, &request, destination, out)
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

    /// Does what is due for neighbours, for at most `budget` of them. Returns whether some
    /// are left.
    pub(crate) fn neighbor_timers(
        &mut self,
        now: Instant,
        budget: &mut usize,
        out: &mut dyn Egress,
    ) -> bool {
        if now < self.neighbors.next {
            return false;
        }
        // Neighbours added meanwhile lower this again.
        self.neighbors.next = NEVER;
        let mut next = NEVER;
        let mut more = false;
        for index in 0..self.neighbors.slots() {
            let Some(entry) = self.neighbors.entry(index) else {
                continue;
            };
            if entry.deadline > now {
                next = next.min(entry.deadline);
            } else if *budget == 0 {
                next = now;
                more = true;
            } else {
                *budget -= 1;
                self.neighbor_due(now, index, out);
            }
        }
        self.neighbors.next = self.neighbors.next.min(next);
        more
    }

    fn neighbor_due(&mut self, now: Instant, index: usize, out: &mut dyn Egress) {
        let Some(state) = self.neighbors.entry(index).map(|e| e.state) else {
            return;
        };
        match state {
            State::Free | State::Idle | State::Static => {
                self.neighbors.set(index, state, NEVER);
            }
            State::Incomplete(tries) if tries < TRIES => {
                self.ask_again(now, index, State::Incomplete, tries, Mac::BROADCAST, out);
            }
            State::Incomplete(_) => {
                self.neighbors
                    .set(index, State::Failed, now.saturating_add(BACKOFF));
                for waiting in self.neighbors.take_queue(index) {
                    self.drop_frames(waiting.input, DropReason::NeighborUnreachable, 1);
                    self.report(now, &waiting, IcmpError::HostUnreachable, out);
                }
            }
            State::Reachable if self.neighbors.take_used(index) => {
                self.ask_directly(now, index, 0, out);
            }
            State::Probing(tries) if tries < TRIES => {
                self.ask_directly(now, index, tries, out);
            }
            State::Probing(_) if self.neighbors.take_used(index) => {
                self.neighbors.close(index);
                self.start_resolution(now, index, out);
            }
            State::Reachable | State::Probing(_) | State::Failed => self.forget(index),
        }
    }

    fn ask_directly(&mut self, now: Instant, index: usize, tries: u8, out: &mut dyn Egress) {
        let stations = self.neighbors.adjacencies.get(index).map(|a| a.stations);
        let mac = stations.and_then(|s| s.first_chunk().copied()).map(Mac);
        let destination = mac.unwrap_or(Mac::BROADCAST);
        self.ask_again(now, index, State::Probing, tries, destination, out);
    }

    /// Forgets what is known about a neighbour, and the neighbour unless a route needs it.
    pub(crate) fn forget(&mut self, index: usize) {
        let queue = if self.neighbors.entry(index).is_some_and(|e| e.pinned) {
            self.neighbors.close(index);
            self.neighbors.set(index, State::Idle, NEVER);
            self.neighbors.take_queue(index)
        } else {
            self.neighbors.remove(index)
        };
        for waiting in queue {
            self.drop_frames(waiting.input, DropReason::LinkDown, 1);
        }
    }
}
