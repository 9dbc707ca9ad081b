//! Neighbor Unreachability Detection: the state machine of RFC 4861 7.3 and appendix C, for ARP (RFC
//! 1122 2.3.2.1) and Neighbor Discovery alike.
//!
//! The fast path only notes that it sent to a neighbor. A neighbor that was sent to while it was
//! REACHABLE goes to DELAY without a further packet, and is soon probed. One that wasn't goes STALE,
//! which closes it to the fast path, so that the next packet to it comes here and starts the delay.

use core::net::IpAddr;
use core::ops::RangeInclusive;
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

/// The time to wait for an answer to a solicitation (RETRANS_TIMER, RFC 4861 10).
const RETRY: Duration = Duration::from_secs(1);
/// The time to wait if there was no room for a solicitation.
const CONGESTED: Duration = Duration::from_millis(20);
/// The number of solicitations before giving up (MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT).
const TRIES: u8 = 3;
/// The reachable time after an ARP reply, in ms: a minute at most (RFC 1122 2.3.2.1), and random,
/// so that neighbors that answered at the same time aren't probed at the same time.
const REACHABLE_ARP_MS: RangeInclusive<u64> = 30_000..=60_000;
/// The same for Neighbor Discovery: 0.5 to 1.5 times REACHABLE_TIME (RFC 4861 6.3.2).
const REACHABLE_ND_MS: RangeInclusive<u64> = 15_000..=45_000;
/// The delay before the first probe (DELAY_FIRST_PROBE_TIME), and a random addition for the same
/// reason.
const DELAY_MS: u64 = 5000;
const DELAY_SPREAD_MS: u64 = 1000;
/// The time after which an unused stale neighbor is removed.
const STALE: Duration = Duration::from_secs(60);
/// The time for which a neighbor that didn't answer isn't solicited again.
const BACKOFF: Duration = Duration::from_secs(3);

/// The state machine of all neighbors, with the state that it works on.
#[derive(Debug)]
pub(crate) struct Nud<'a, 'c> {
    pub(crate) interfaces: &'a [Interface],
    pub(crate) adjacencies: &'a mut Adjacencies,
    pub(crate) table: &'a mut NeighborTable,
    pub(crate) cx: &'a mut Cx<'c>,
}

impl Nud<'_, '_> {
    /// Returns a random ReachableTime (RFC 4861 6.3.2).
    fn reachable_time(&mut self, address: IpAddr) -> Duration {
        let times = match address {
            IpAddr::V4(_) => REACHABLE_ARP_MS,
            IpAddr::V6(_) => REACHABLE_ND_MS,
        };
        let spread = self.cx.rng.up_to(times.end() - times.start());
        Duration::from_millis(times.start() + spread)
    }

    /// Enters DELAY: a packet is sent to a neighbor that isn't known to be reachable.
    fn delay(&mut self, index: usize) {
        let pause = DELAY_MS + self.cx.rng.up_to(DELAY_SPREAD_MS);
        let deadline = self.after(Duration::from_millis(pause));
        self.table.set(index, State::Delay, deadline);
    }

    /// Returns the time after a pause.
    fn after(&self, pause: Duration) -> Instant {
        self.cx.now.saturating_add(pause)
    }

    /// Returns a neighbor, unless it is configured.
    fn dynamic(&self, index: usize) -> Option<&Entry> {
        let entry = self.table.entry(index);
        entry.filter(|e| e.state != State::Static)
    }

    /// Enters REACHABLE after a solicited answer, and sends the queued packets.
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

    /// Records the MAC address from an unsolicited message, which doesn't confirm reachability (RFC
    /// 4861 7.2.3). If the address is known already, the state stays.
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

    /// Sends the packets queued for a neighbor.
    fn send_queue(&mut self, index: usize) {
        for packet in self.table.take_queue(index) {
            self.cx.route(packet);
        }
        if let Some(evicted) = self.table.settle(self.adjacencies, index)
            && let Some(entry) = self.table.entry(index)
        {
            evicted.count(self.cx.stats, entry.interface);
        }
    }

    /// Enters STALE, so that the next packet to the neighbor is noticed.
    pub(crate) fn make_stale(&mut self, index: usize) {
        self.adjacencies.close(index);
        let deadline = self.after(STALE);
        self.table.set(index, State::Stale, deadline);
    }

    /// Leaves STALE because a packet is sent to the neighbor.
    pub(crate) fn use_stale(&mut self, index: usize) {
        let interface = self.table.entry(index).map(|e| e.interface);
        if let (Some(interface), Some(mac)) = (interface, self.adjacencies.mac(index)) {
            self.open(index, interface, mac);
            self.delay(index);
        }
    }

    /// Lets the fast path send to a neighbor at this MAC address, while the link is up.
    pub(crate) fn open(&mut self, index: usize, interface: InterfaceId, mac: Mac) {
        let interface = self.interfaces.get(interface.index());
        let Some(interface) = interface.filter(|i| i.up) else {
            return;
        };
        let mut mac_addresses = [0; 12];
        wire::put(&mut mac_addresses, 0, &mac.0);
        wire::put(&mut mac_addresses, 6, &interface.mac.0);
        let max_len = u32::from(interface.mtu) + ETHERNET_LEN as u32;
        self.adjacencies.open(index, mac_addresses, max_len);
    }

    /// Returns the index of a neighbor from which a message was received, adding it if it is new;
    /// `None` if there is no room.
    pub(crate) fn learn(&mut self, interface: InterfaceId, address: IpAddr) -> Option<usize> {
        let key = Key { interface, address };
        self.table
            .add(self.adjacencies, self.cx.stats, key, Purpose::Learn)
    }

    /// Returns the index of a neighbor that a packet is to be sent to, adding it if it is new; `None`
    /// if there is no room, or too many were added lately ([`RESOLUTIONS`]).
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

    /// Queues a packet until its neighbor is resolved, and starts resolution if the neighbor is
    /// idle.
    pub(crate) fn wait(&mut self, index: usize, packet: Packet) {
        if let Some(dropped) = self.table.wait(index, packet) {
            let reason = DropReason::NeighborQueueFull;
            self.cx.drop_frames(dropped.input, reason, 1);
        }
        if self.table.entry(index).map(|e| e.state) == Some(State::Idle) {
            self.ask(index, State::Incomplete, 0, None);
        }
    }

    /// Sends a solicitation after `tries` others, to `mac`, or by broadcast or multicast. Without
    /// room it doesn't count, and is retried soon.
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

    /// Sends a unicast solicitation.
    fn ask_directly(&mut self, index: usize, tries: u8) {
        let mac = self.adjacencies.mac(index);
        self.ask(index, State::Probe, tries, mac);
    }

    /// Does what is due for at most `budget` neighbors, while there is room in the outbox. Returns
    /// `true` if some are left.
    pub(crate) fn poll(&mut self, budget: usize) -> bool {
        if self.cx.now < self.table.next {
            return false;
        }
        // Deadlines that are set from here on lower it again.
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

    /// Does what is due for a neighbor.
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
            State::Reachable if self.adjacencies.take_used(index) => self.delay(index),
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

    /// Enters the failed state, and reports the queued packets as undeliverable.
    fn fail(&mut self, index: usize) {
        let deadline = self.after(BACKOFF);
        self.table.set(index, State::Failed, deadline);
        for packet in self.table.take_queue(index) {
            let reason = DropReason::NeighborUnreachable;
            self.cx.drop_frames(packet.input, reason, 1);
            self.cx.report(packet, IcmpError::HostUnreachable);
        }
    }

    /// Forgets a neighbor; one that a route needs only loses its state. Queued packets are dropped.
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

    /// Forgets all neighbors for which `gone` returns `true`.
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
