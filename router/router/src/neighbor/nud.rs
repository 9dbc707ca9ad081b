//! Whether neighbours are there: the states of RFC 4861 7.3, for ARP (RFC 1122 2.3.2) and
//! Neighbor Discovery alike.
//!
//! The fast path notes only that it sent to a neighbour. One that was sent to while it was
//! reachable is asked again soon after; one that wasn't goes stale, which closes it to the
//! fast path, so that the next frame comes here and starts the delay before the question.

use core::net::IpAddr;
use core::time::Duration;

use crate::DropReason;
use crate::frame::{ETHERNET_LEN, InterfaceId};
use crate::neighbor::table::{Evicted, NEVER, Purpose, State};
use crate::rate_limit::RESOLUTIONS;
use crate::router::{Egress, Router};
use crate::time::Instant;
use wire::addr::Mac;
use wire::icmp_error::IcmpError;

/// How long to wait for an answer (RETRANS_TIMER, RFC 4861 10).
const RETRY: Duration = Duration::from_secs(1);
/// How long to wait when there was no room to ask.
pub(crate) const CONGESTED: Duration = Duration::from_millis(20);
/// How often to ask before giving up (MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT).
const TRIES: u8 = 3;
/// How long an answer to ARP is believed.
const REACHABLE_ARP: Duration = Duration::from_secs(60);
/// How long one of Neighbor Discovery is, in ms: REACHABLE_TIME, times 0.5 to 1.5.
const REACHABLE_ND_MS: u64 = 30_000;
/// How long a neighbour that is sent to again isn't asked yet (DELAY_FIRST_PROBE_TIME).
const DELAY: Duration = Duration::from_secs(5);
/// How long an unused neighbour is remembered.
const STALE: Duration = Duration::from_secs(60);
/// How long a neighbour that didn't answer isn't asked again.
const BACKOFF: Duration = Duration::from_secs(3);

impl Router {
    fn reachable_time(&mut self, address: IpAddr) -> Duration {
        match address {
            IpAddr::V4(_) => REACHABLE_ARP,
            IpAddr::V6(_) => {
                let spread = self.random(REACHABLE_ND_MS);
                Duration::from_millis(REACHABLE_ND_MS / 2 + spread)
            }
        }
    }

    /// Enters a neighbour's answer and sends what waited for it.
    pub(crate) fn confirm(&mut self, now: Instant, index: usize, mac: Mac, out: &mut dyn Egress) {
        let entry = self.neighbors.entry(index);
        let Some(entry) = entry.filter(|e| e.state != State::Static) else {
            return;
        };
        let (interface, address) = (entry.interface, entry.address);
        let until = now.saturating_add(self.reachable_time(address));
        self.open_neighbor(index, interface, mac);
        self.neighbors.take_used(index);
        self.neighbors.set(index, State::Reachable, until);
        for waiting in self.neighbors.take_queue(index) {
            self.route(now, waiting, out);
        }
    }

    /// Enters where a neighbour is by its own word, which nobody asked for. What is known to
    /// be so stays known.
    pub(crate) fn heard(&mut self, now: Instant, index: usize, mac: Mac, out: &mut dyn Egress) {
        let entry = self.neighbors.entry(index);
        let Some(entry) = entry.filter(|e| e.state != State::Static) else {
            return;
        };
        let interface = entry.interface;
        if entry.state.is_known() && self.neighbors.station(index) == Some(mac) {
            return;
        }
        self.open_neighbor(index, interface, mac);
        self.make_stale(now, index);
        for waiting in self.neighbors.take_queue(index) {
            self.route(now, waiting, out);
        }
    }

    /// The next frame to a neighbour is to be noticed.
    pub(crate) fn make_stale(&mut self, now: Instant, index: usize) {
        self.neighbors.close(index);
        self.neighbors
            .set(index, State::Stale, now.saturating_add(STALE));
    }

    /// A stale neighbour is sent to.
    pub(crate) fn use_stale(&mut self, now: Instant, index: usize) {
        let interface = self.neighbors.entry(index).map(|e| e.interface);
        if let (Some(interface), Some(mac)) = (interface, self.neighbors.station(index)) {
            self.open_neighbor(index, interface, mac);
            self.neighbors
                .set(index, State::Delay, now.saturating_add(DELAY));
        }
    }

    /// Lets frames go to a neighbour at this station.
    pub(crate) fn open_neighbor(&mut self, index: usize, interface: InterfaceId, mac: Mac) {
        let Some(link) = self.links.get(interface.index()).filter(|l| l.up) else {
            return;
        };
        let mut stations = [0; 12];
        wire::put(&mut stations, 0, &mac.0);
        wire::put(&mut stations, 6, &link.mac.0);
        let max_len = u32::from(link.mtu) + ETHERNET_LEN as u32;
        self.neighbors.open(index, stations, max_len);
    }

    /// The neighbour with this address, new if need be; what it displaces is counted. One to
    /// be looked for may be one too many.
    pub(crate) fn neighbor(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        address: IpAddr,
        purpose: Purpose,
    ) -> Option<usize> {
        if purpose == Purpose::Resolve {
            if let Some(index) = self.neighbors.find(interface, address) {
                return Some(index);
            }
            let limit = self.resolutions.get_mut(interface.index())?;
            if !limit.take(now, RESOLUTIONS) {
                return None;
            }
        }
        let (index, evicted) = self
            .neighbors
            .find_or_add(interface, address, purpose)
            .ok()?;
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
        self.ask_again(now, index, State::Incomplete, 0, None, out);
    }

    /// Asks for a neighbour once more than `tries` times, or soon again if there is no room:
    /// a question that was never sent is no try.
    fn ask_again(
        &mut self,
        now: Instant,
        index: usize,
        state: fn(u8) -> State,
        tries: u8,
        station: Option<Mac>,
        out: &mut dyn Egress,
    ) {
        let asked = match self
            .neighbors
            .entry(index)
            .map(|e| (e.interface, e.address))
        {
            Some((interface, IpAddr::V4(target))) => self.ask_arp(interface, target, station, out),
            Some((interface, IpAddr::V6(target))) => self.ask_nd(interface, target, station, out),
            None => true,
        };
        let (tries, pause) = if asked {
            (tries + 1, RETRY)
        } else {
            (tries, CONGESTED)
        };
        self.neighbors
            .set(index, state(tries), now.saturating_add(pause));
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
                self.ask_again(now, index, State::Incomplete, tries, None, out);
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
                self.neighbors
                    .set(index, State::Delay, now.saturating_add(DELAY));
            }
            State::Reachable => self.make_stale(now, index),
            State::Delay => self.ask_directly(now, index, 0, out),
            State::Probe(tries) if tries < TRIES => {
                self.ask_directly(now, index, tries, out);
            }
            State::Probe(_) if self.neighbors.take_used(index) => {
                self.neighbors.close(index);
                self.start_resolution(now, index, out);
            }
            State::Stale | State::Probe(_) | State::Failed => self.forget(index),
        }
    }

    fn ask_directly(&mut self, now: Instant, index: usize, tries: u8, out: &mut dyn Egress) {
        let station = self.neighbors.station(index);
        self.ask_again(now, index, State::Probe, tries, station, out);
    }

    /// Forgets what is known about a neighbour, and the neighbour unless a route needs it.
    pub(crate) fn forget(&mut self, index: usize) {
        let queue = if self.neighbors.entry(index).is_some_and(|e| e.pinned > 0) {
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
