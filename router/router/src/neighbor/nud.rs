//! Neighbor Unreachability Detection: the states of RFC 4861 7.3, for ARP (RFC 1122 2.3.2) and
//! Neighbor Discovery alike.
//!
//! The fast path notes only that it sent to a neighbor. One that was sent to while it was
//! reachable is asked again soon after; one that wasn't goes stale, which closes it to the
//! fast path, so that the next frame comes here and starts the delay before the question.

use core::net::IpAddr;
use core::time::Duration;

use wire::addr::Mac;
use wire::icmp_error::IcmpError;

use crate::DropReason;
use crate::cx::Cx;
use crate::frame::{ETHERNET_LEN, InterfaceId};
use crate::interface::Interface;
use crate::neighbor::adjacency::{Adjacencies, Key};
use crate::neighbor::solicit::solicit;
use crate::neighbor::table::{Entry, NEVER, NeighborTable, Purpose, State};
use crate::packet::Packet;
use crate::rate_limit::RESOLUTIONS;
use crate::time::Instant;

/// How long to wait for an answer (RETRANS_TIMER, RFC 4861 10).
const RETRY: Duration = Duration::from_secs(1);
/// How long to wait when there was no room to ask.
const CONGESTED: Duration = Duration::from_millis(20);
/// How often to ask before giving up (MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT).
const TRIES: u8 = 3;
/// How long an answer to ARP is believed.
const REACHABLE_ARP: Duration = Duration::from_secs(60);
/// How long one of Neighbor Discovery is, in ms: REACHABLE_TIME, times 0.5 to 1.5.
const REACHABLE_ND_MS: u64 = 30_000;
/// How long a neighbor that is sent to again isn't asked yet (DELAY_FIRST_PROBE_TIME).
const DELAY: Duration = Duration::from_secs(5);
/// How long an unused neighbor is remembered.
const STALE: Duration = Duration::from_secs(60);
/// How long a neighbor that didn't answer isn't asked again.
const BACKOFF: Duration = Duration::from_secs(3);

/// The state machine of all neighbors, with what it works on.
#[derive(Debug)]
pub(crate) struct Nud<'a, 'c> {
    pub(crate) interfaces: &'a [Interface],
    pub(crate) adjacencies: &'a mut Adjacencies,
    pub(crate) table: &'a mut NeighborTable,
    pub(crate) cx: &'a mut Cx<'c>,
}

impl Nud<'_, '_> {
    fn reachable_time(&mut self, address: IpAddr) -> Duration {
        match address {
            IpAddr::V4(_) => REACHABLE_ARP,
            IpAddr::V6(_) => {
                let spread = self.cx.rng.up_to(REACHABLE_ND_MS);
                Duration::from_millis(REACHABLE_ND_MS / 2 + spread)
            }
        }
    }

    fn after(&self, pause: Duration) -> Instant {
        self.cx.now.saturating_add(pause)
    }

    /// A neighbor that can change its MAC address.
    fn dynamic(&self, index: usize) -> Option<&Entry> {
        let entry = self.table.entry(index);
        entry.filter(|e| e.state != State::Static)
    }

    /// Enters a neighbor's answer and has sent what waited for it.
    pub(crate) fn confirm(&mut self, index: usize, mac: Mac) {
        let Some(&Entry {
            interface, address, ..
        }) = self.dynamic(index)
        else {
            return;
        };
        let time = self.reachable_time(address);
        let until = self.after(time);
        self.open(index, interface, mac);
        self.adjacencies.take_used(index);
        self.table.set(index, State::Reachable, until);
        self.send_queue(index);
    }

    /// Enters where a neighbor is by its own word, which nobody asked for. What is known to
    /// be so stays known.
    pub(crate) fn heard(&mut self, index: usize, mac: Mac) {
        let Some(entry) = self.dynamic(index) else {
            return;
        };
        let (interface, known) = (entry.interface, entry.state.is_known());
        if known && self.adjacencies.mac(index) == Some(mac) {
            return;
        }
        self.open(index, interface, mac);
        self.make_stale(index);
        self.send_queue(index);
    }

    fn send_queue(&mut self, index: usize) {
        for packet in self.table.take_queue(index) {
            self.cx.route(packet);
        }
    }

    /// The next frame to a neighbor is to be noticed.
    pub(crate) fn make_stale(&mut self, index: usize) {
        self.adjacencies.close(index);
        let deadline = self.after(STALE);
        self.table.set(index, State::Stale, deadline);
    }

    /// A stale neighbor is sent to.
    pub(crate) fn use_stale(&mut self, index: usize) {
        let interface = self.table.entry(index).map(|e| e.interface);
        if let (Some(interface), Some(mac)) = (interface, self.adjacencies.mac(index)) {
            self.open(index, interface, mac);
            let deadline = self.after(DELAY);
            self.table.set(index, State::Delay, deadline);
        }
    }

    /// Lets frames go to a neighbor at this MAC address.
    pub(crate) fn open(&mut self, index: usize, interface: InterfaceId, mac: Mac) {
        let interface = self.interfaces.get(interface.index());
        let Some(interface) = interface.filter(|i| i.up) else {
            return;
        };
        let mut stations = [0; 12];
        wire::put(&mut stations, 0, &mac.0);
        wire::put(&mut stations, 6, &interface.mac.0);
        let max_len = u32::from(interface.mtu) + ETHERNET_LEN as u32;
        self.adjacencies.open(index, stations, max_len);
    }

    /// The neighbor with this address, which made itself known; new if need be.
    pub(crate) fn learn(&mut self, interface: InterfaceId, address: IpAddr) -> Option<usize> {
        let key = Key { interface, address };
        self.table
            .add(self.adjacencies, self.cx.stats, key, Purpose::Learn)
    }

    /// The neighbor with this address, which a packet is to be sent to. One to be looked for may
    /// be one too many: `None`.
    pub(crate) fn resolve(&mut self, interface: InterfaceId, address: IpAddr) -> Option<usize> {
        if let Some(index) = self.adjacencies.find(interface, address) {
            return Some(index);
        }
        let limit = self.table.resolutions.get_mut(interface.index())?;
        if !limit.take(self.cx.now, RESOLUTIONS) {
            return None;
        }
        let key = Key { interface, address };
        self.table
            .add(self.adjacencies, self.cx.stats, key, Purpose::Resolve)
    }

    /// Keeps a packet until its neighbor is known, and begins to look for one that is idle.
    pub(crate) fn wait(&mut self, index: usize, packet: Packet) {
        if let Some(dropped) = self.table.wait(index, packet) {
            let reason = DropReason::NeighborQueueFull;
            self.cx.drop_frames(dropped.input, reason, 1);
        }
        if self.table.entry(index).map(|e| e.state) == Some(State::Idle) {
            self.ask(index, State::Incomplete, 0, None);
        }
    }

    /// Asks for a neighbor once more than `tries` times, or soon again if there is no room:
    /// a question that was never sent is no try.
    fn ask(&mut self, index: usize, state: fn(u8) -> State, tries: u8, mac: Option<Mac>) {
        let Some(&Entry {
            interface, address, ..
        }) = self.table.entry(index)
        else {
            return;
        };
        let asked = match self.interfaces.get(interface.index()) {
            Some(on) => solicit(self.cx, interface, on, address, mac),
            None => true,
        };
        let (tries, pause) = match asked {
            true => (tries + 1, RETRY),
            false => (tries, CONGESTED),
        };
        let deadline = self.after(pause);
        self.table.set(index, state(tries), deadline);
    }

    fn ask_directly(&mut self, index: usize, tries: u8) {
        let mac = self.adjacencies.mac(index);
        self.ask(index, State::Probe, tries, mac);
    }

    /// Does what is due for neighbors, for at most `budget` of them and while there is room in the
    /// outbox. Returns `true` if some are left.
    pub(crate) fn poll(&mut self, budget: usize) -> bool {
        if self.cx.now < self.table.next {
            return false;
        }
        // Neighbors added meanwhile lower this again.
        self.table.next = NEVER;
        let (mut budget, mut next, mut more) = (budget, NEVER, false);
        for index in 0..self.table.slots() {
            let Some(deadline) = self.table.entry(index).map(|e| e.deadline) else {
                continue;
            };
            if deadline > self.cx.now {
                next = next.min(deadline);
            } else if budget == 0 || !self.cx.out.has_room() {
                next = self.cx.now;
                more = true;
            } else {
                budget -= 1;
                self.due(index);
            }
        }
        self.table.next = self.table.next.min(next);
        more
    }

    fn due(&mut self, index: usize) {
        let Some(state) = self.table.entry(index).map(|e| e.state) else {
            return;
        };
        match state {
            State::Free | State::Idle | State::Static => {
                self.table.set(index, state, NEVER);
            }
            State::Incomplete(tries) if tries < TRIES => {
                self.ask(index, State::Incomplete, tries, None);
            }
            State::Incomplete(_) => self.fail(index),
            State::Reachable if self.adjacencies.take_used(index) => {
                let deadline = self.after(DELAY);
                self.table.set(index, State::Delay, deadline);
            }
            State::Reachable => self.make_stale(index),
            State::Delay => self.ask_directly(index, 0),
            State::Probe(tries) if tries < TRIES => {
                self.ask_directly(index, tries);
            }
            State::Probe(_) if self.adjacencies.take_used(index) => {
                self.adjacencies.close(index);
                self.ask(index, State::Incomplete, 0, None);
            }
            State::Stale | State::Probe(_) | State::Failed => self.forget(index),
        }
    }

    /// A neighbor didn't answer.
    fn fail(&mut self, index: usize) {
        let deadline = self.after(BACKOFF);
        self.table.set(index, State::Failed, deadline);
        for packet in self.table.take_queue(index) {
            let reason = DropReason::NeighborUnreachable;
            self.cx.drop_frames(packet.input, reason, 1);
            self.cx.report(packet, IcmpError::HostUnreachable);
        }
    }

    /// Forgets what is known about a neighbor, and the neighbor unless a route needs it.
    pub(crate) fn forget(&mut self, index: usize) {
        let queue = if self.table.entry(index).is_some_and(|e| e.pinned > 0) {
            self.adjacencies.close(index);
            self.table.set(index, State::Idle, NEVER);
            self.table.take_queue(index)
        } else {
            self.table.remove(self.adjacencies, index)
        };
        for packet in queue {
            self.cx.drop_frames(packet.input, DropReason::LinkDown, 1);
        }
    }

    /// Forgets all neighbors that `gone` holds for.
    pub(crate) fn forget_all(&mut self, gone: impl Fn(&Entry) -> bool) {
        for index in 0..self.table.slots() {
            if self.table.entry(index).is_some_and(&gone) {
                self.forget(index);
            }
        }
    }
}

#[cfg(test)]
mod tests;
