//! The neighbor table, of both families: the ARP cache (RFC 1122 2.3.2) and the Neighbor Cache (RFC
//! 4861 5.1).
//!
//! Each neighbor has an [`Adjacency`](crate::neighbor::adjacency::Adjacency), which lanes read, and
//! an [`Entry`] with its state, under the same index. The state machine is in
//! [`nud`](crate::neighbor::nud), its packets in [`arp`](crate::neighbor::arp),
//! [`ndp`](crate::neighbor::ndp) and [`solicit`](crate::neighbor::solicit).

use alloc::vec::Vec;
use core::net::IpAddr;

use crate::DropReason;
use crate::forward::lane::Lane;
use crate::frame::{InterfaceId, MAX_INTERFACES};
use crate::neighbor::adjacency::{Adjacencies, Key, PER_INTERFACE};
use crate::numbers::Numbers;
use crate::packet::Packet;
use crate::rate_limit::RateLimit;
use crate::time::Instant;

/// The maximum number of incomplete or failed neighbors of each family on an interface, so that a
/// scan displaces only its own entries (RFC 6583 7.1).
const UNRESOLVED: usize = 256;

/// Returns the maximum number of incomplete or failed neighbors for a limit of resolved ones. It is
/// separate, so that no neighbor that answers is displaced by one that doesn't.
pub(crate) fn unresolved_limit(limit: usize) -> usize {
    UNRESOLVED.min(limit / 4)
}

/// The number of candidates that are compared for eviction.
const SAMPLE: usize = 16;

/// Most indices that nobody has any more, and that lanes may still have in hand, while new ones are taken.
const MOST_IN_HAND: usize = 64;

/// Packets that may wait for one neighbor.
const QUEUE: usize = 8;
/// The maximum number of packets queued for all neighbors together.
const WAITING_PACKETS: usize = 256;
/// The maximum number of bytes queued for all neighbors together.
const WAITING_BYTES: usize = 96 * 1024;

/// The state of a neighbor: those of RFC 4861 7.3.2, for ARP as well, and a few more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// The entry is free.
    Free,
    /// Only its address is known, and it hasn't been solicited.
    Idle,
    /// Solicited by broadcast or multicast this many times.
    Incomplete(u8),
    /// Answered a short time ago.
    Reachable,
    /// Not confirmed for some time. The next packet to it takes the slow path, which enters
    /// [`State::Delay`].
    Stale,
    /// Sent to, and soon to be probed.
    Delay,
    /// Solicited at its MAC address this many times, and sent to meanwhile.
    Probe(u8),
    /// Didn't answer, and isn't solicited again for a while.
    Failed,
    /// Configured: never changes.
    Static,
}

impl State {
    /// Returns `true` if the MAC address is known.
    pub(crate) fn is_known(self) -> bool {
        matches!(
            self,
            Self::Reachable | Self::Stale | Self::Delay | Self::Probe(_) | Self::Static
        )
    }

    /// Returns `true` if it is incomplete or failed.
    fn is_unresolved(self) -> bool {
        matches!(self, Self::Incomplete(_) | Self::Failed)
    }
}

/// The state of a neighbor, apart from its adjacency.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its address.
    pub(crate) address: IpAddr,
    /// The interface on whose link it is.
    pub(crate) interface: InterfaceId,
    /// Its state.
    pub(crate) state: State,
    /// When the state ends; [`NEVER`] if it doesn't by itself.
    pub(crate) deadline: Instant,
    /// The number of route targets that use it. While there are any, it keeps its index.
    pub(crate) pinned: u32,
    /// The number of the configuration in which it is a static neighbor; 0 for none.
    pub(crate) configured: u32,
    /// The packets queued for it, oldest first.
    pub(crate) queue: Vec<Packet>,
}

impl Entry {
    /// Creates one in a state that doesn't end.
    fn new(key: Key, state: State) -> Self {
        Self {
            address: key.address,
            interface: key.interface,
            state,
            deadline: NEVER,
            pinned: 0,
            configured: 0,
            queue: Vec::new(),
        }
    }
}

/// The deadline of a state that doesn't end.
pub(crate) const NEVER: Instant = Instant(u64::MAX);

/// The packets queued for an evicted neighbor.
#[derive(Debug)]
pub(crate) struct Evicted(pub(crate) Vec<Packet>);

impl Evicted {
    /// Counts the eviction, and the packets as dropped.
    pub(crate) fn count(self, stats: &mut Lane, interface: InterfaceId) {
        stats.with_counters(interface, |c| c.neighbors_evicted += 1);
        for packet in self.0 {
            stats.drop_frames(packet.input, DropReason::NeighborTableFull, 1);
        }
    }
}

/// The reason why a neighbor is added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// A packet is to be sent to it.
    Resolve,
    /// A message from it was received.
    Learn,
    /// A route leads to it, or it is configured.
    Pin,
}

/// Error returned when there is no room for another neighbor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TableFull;

/// The number of neighbors of one family on an interface.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Neighbors that aren't pinned.
    all: usize,
    /// Neighbors that routes need, and configured ones. They have a separate limit, so that they
    /// leave room for others.
    pinned: usize,
    /// Incomplete and failed neighbors.
    unresolved: usize,
}

/// The states of all neighbors.
#[derive(Debug)]
pub(crate) struct NeighborTable {
    /// By index; free ones have [`State::Free`].
    entries: Vec<Entry>,
    /// Of each interface, for IPv4 and IPv6.
    counts: [[Count; 2]; MAX_INTERFACES],
    /// The limit of each family on each interface; `None` for the default.
    limits: [Option<u32>; MAX_INTERFACES],
    /// How many that is.
    usual_limit: usize,
    /// The position at which the search for a candidate for eviction continues.
    hand: usize,
    /// No deadline is earlier than this.
    pub(crate) next: Instant,
    /// Packets in all queues.
    waiting_packets: usize,
    /// Bytes in all queues.
    waiting_bytes: usize,
    /// The rate limit of new resolutions on each interface.
    pub(crate) resolutions: [RateLimit; MAX_INTERFACES],
    /// The indices.
    pub(crate) numbers: Numbers,
}

impl Default for NeighborTable {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            counts: [[Count::default(); 2]; MAX_INTERFACES],
            limits: [None; MAX_INTERFACES],
            usual_limit: PER_INTERFACE,
            hand: 0,
            next: NEVER,
            waiting_packets: 0,
            waiting_bytes: 0,
            resolutions: [RateLimit::default(); MAX_INTERFACES],
            numbers: Numbers::default(),
        }
    }
}

impl NeighborTable {
    /// Returns the counts that a neighbor is part of.
    fn count(&mut self, interface: InterfaceId, address: IpAddr) -> Option<&mut Count> {
        let family = usize::from(address.is_ipv6());
        self.counts.get_mut(interface.index())?.get_mut(family)
    }

    /// Returns the neighbor at an index; `None` if there is none.
    pub(crate) fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index).filter(|e| e.state != State::Free)
    }

    /// The same, to be changed.
    pub(crate) fn entry_mut(&mut self, index: usize) -> Option<&mut Entry> {
        self.entries
            .get_mut(index)
            .filter(|e| e.state != State::Free)
    }

    /// Returns all neighbors with their indices.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.entries
            .iter()
            .enumerate()
            .filter(|(_, e)| e.state != State::Free)
    }

    /// Returns how many indices there are, free ones included.
    pub(crate) fn slots(&self) -> usize {
        self.entries.len()
    }

    /// Returns how many packets wait in all queues.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting_packets
    }

    /// Returns how many neighbors of a family an interface has: of IPv6 if `ipv6`.
    pub(crate) fn len(&self, interface: InterfaceId, ipv6: bool) -> usize {
        let counts = self.counts.get(interface.index());
        let count = counts.and_then(|counts| counts.get(usize::from(ipv6)));
        count.map_or(0, |count| count.all)
    }

    /// Returns how many bytes wait in all queues, and how many may.
    pub(crate) fn waiting_bytes(&self) -> (usize, usize) {
        (self.waiting_bytes, WAITING_BYTES)
    }

    /// Finds a neighbor or adds it as idle, and returns its index and the evicted neighbor, if any.
    ///
    /// # Errors
    ///
    /// [`TableFull`] if no neighbor can be evicted.
    pub(crate) fn find_or_add(
        &mut self,
        adjacencies: &mut Adjacencies,
        key: Key,
        purpose: Purpose,
    ) -> Result<(usize, Option<Evicted>), TableFull> {
        let Key { interface, address } = key;
        if let Some(index) = adjacencies.find(interface, address) {
            return Ok((index, None));
        }
        let count = *self.count(interface, address).ok_or(TableFull)?;
        let limit = self.limit(interface);
        let unresolved = unresolved_limit(limit);
        let full = match purpose {
            Purpose::Pin if count.pinned >= PER_INTERFACE => return Err(TableFull),
            Purpose::Pin => false,
            Purpose::Learn => count.all >= limit,
            Purpose::Resolve => count.all >= limit || count.unresolved >= unresolved,
        };
        let mut evicted = None;
        if full || !self.has_memory(adjacencies) {
            let ipv6 = address.is_ipv6();
            let asked = purpose == Purpose::Resolve;
            // A neighbor that answered is only evicted for one that has answered.
            match self.victim(interface, ipv6, asked) {
                Some(victim) => evicted = Some(Evicted(self.remove(adjacencies, victim))),
                None if asked
                    && count.unresolved < unresolved
                    && count.all < limit + unresolved
                    && self.has_memory(adjacencies)
                    && self.victim(interface, ipv6, false).is_some() => {}
                None => return Err(TableFull),
            }
        }
        // What others send must not make the lists longer while lanes stand still.
        let in_hand = purpose != Purpose::Pin && !self.numbers.has_free();
        if in_hand && self.numbers.in_hand() > MOST_IN_HAND {
            return Err(TableFull);
        }
        let index = adjacencies
            .insert(&mut self.numbers, key)
            .ok_or(TableFull)?;
        while self.entries.len() <= index {
            self.entries.push(Entry::new(key, State::Free));
        }
        if let Some(entry) = self.entries.get_mut(index) {
            *entry = Entry::new(key, State::Idle);
        }
        if let Some(count) = self.count(interface, address) {
            count.all += 1;
        }
        Ok((index, evicted))
    }

    /// Makes sure of the memory for one more. Returns `false` if there is none.
    fn has_memory(&mut self, adjacencies: &mut Adjacencies) -> bool {
        let slots = adjacencies.reserve_one(&mut self.numbers);
        slots.is_some_and(|slots| {
            let needed = slots.saturating_sub(self.entries.len());
            self.entries.try_reserve(needed).is_ok()
        })
    }

    /// Takes the memory for this many neighbors, or for as many as there is memory for.
    pub(crate) fn reserve(&mut self, adjacencies: &mut Adjacencies, neighbors: usize) {
        let slots = adjacencies.reserve(neighbors);
        self.numbers.reserve(slots);
        let more = slots.saturating_sub(self.entries.len());
        // What isn't there now may be later.
        let _ = self.entries.try_reserve_exact(more);
    }

    /// Returns how many neighbors of a family an interface may have.
    pub(crate) fn limit(&self, interface: InterfaceId) -> usize {
        let own = self.limits.get(interface.index()).copied().flatten();
        own.map_or(self.usual_limit, |own| own as usize)
    }

    /// Sets how many neighbors of a family interfaces may have that have no limit of their own.
    pub(crate) fn set_usual_limit(&mut self, limit: usize) {
        self.usual_limit = limit;
    }

    /// Sets how many neighbors of a family an interface may have, or that it has no limit of its own.
    pub(crate) fn set_limit(&mut self, interface: InterfaceId, limit: Option<u32>) {
        if let Some(own) = self.limits.get_mut(interface.index()) {
            *own = limit;
        }
    }

    /// Called when a neighbor has answered: if its interface then exceeds its limit, the neighbor
    /// that has been unconfirmed for longest is evicted and returned.
    pub(crate) fn settle(
        &mut self,
        adjacencies: &mut Adjacencies,
        index: usize,
    ) -> Option<Evicted> {
        let &Entry {
            interface, address, ..
        } = self.entry(index)?;
        if self.count(interface, address)?.all <= self.limit(interface) {
            return None;
        }
        let victim = self.victim(interface, address.is_ipv6(), false)?;
        (victim != index).then(|| Evicted(self.remove(adjacencies, victim)))
    }

    /// Finds a neighbor or adds it as idle, and returns its index; `None` if there is no room. An
    /// eviction is counted.
    pub(crate) fn add(
        &mut self,
        adjacencies: &mut Adjacencies,
        stats: &mut Lane,
        key: Key,
        purpose: Purpose,
    ) -> Option<usize> {
        let (index, evicted) = self.find_or_add(adjacencies, key, purpose).ok()?;
        if let Some(evicted) = evicted {
            evicted.count(stats, key.interface);
        }
        Some(index)
    }

    /// Returns the index of a neighbor of this interface and family to evict: preferably one that
    /// doesn't answer, otherwise one that has been unconfirmed for long, but none that is
    /// reachable. With `silent`, only neighbors that never answered are considered.
    fn victim(&mut self, interface: InterfaceId, ipv6: bool, silent: bool) -> Option<usize> {
        let mut best: Option<(u8, Instant, usize)> = None;
        let mut seen = 0;
        let len = self.entries.len();
        for step in 0..len {
            let at = (self.hand + step) % len;
            let Some(e) = self.entries.get(at) else {
                continue;
            };
            if e.interface != interface || e.address.is_ipv6() != ipv6 || e.pinned > 0 {
                continue;
            }
            let rank = match e.state {
                State::Failed => 0,
                State::Incomplete(_) => 1,
                State::Idle => 2,
                State::Stale if !silent => 3,
                _ => continue,
            };
            // The earlier it is due, the longer it has been in its state.
            let candidate = (rank, e.deadline, at);
            if best.is_none_or(|b| candidate < b) {
                best = Some(candidate);
            }
            seen += 1;
            if seen == SAMPLE {
                self.hand = (at + 1) % len;
                break;
            }
        }
        best.map(|(_, _, at)| at)
    }

    /// Removes a neighbor and returns the packets that waited for it.
    pub(crate) fn remove(&mut self, adjacencies: &mut Adjacencies, index: usize) -> Vec<Packet> {
        let Some(e) = self.entry_mut(index) else {
            return Vec::new();
        };
        let unresolved = e.state.is_unresolved();
        e.state = State::Free;
        e.deadline = NEVER;
        let pinned = core::mem::take(&mut e.pinned) > 0;
        let (interface, address) = (e.interface, e.address);
        adjacencies.remove(&mut self.numbers, index);
        if let Some(count) = self.count(interface, address) {
            count.all = count.all.saturating_sub(usize::from(!pinned));
            count.pinned = count.pinned.saturating_sub(usize::from(pinned));
            count.unresolved = count.unresolved.saturating_sub(usize::from(unresolved));
        }
        self.take_queue(index)
    }

    /// Returns `true` if there is a pinned neighbor at an index.
    pub(crate) fn is_pinned(&self, index: usize) -> bool {
        self.entry(index).is_some_and(|e| e.pinned > 0)
    }

    /// Pins a neighbor: it keeps its index until it is [unpinned](Self::unpin) as often. Returns
    /// `false` if there is none, or if the limit of pinned neighbors is reached.
    pub(crate) fn pin(&mut self, index: usize) -> bool {
        let Some(&Entry {
            interface,
            address,
            pinned,
            ..
        }) = self.entry(index)
        else {
            return false;
        };
        if let Some(count) = self.count(interface, address).filter(|_| pinned == 0) {
            if count.pinned >= PER_INTERFACE {
                return false;
            }
            count.pinned += 1;
            count.all = count.all.saturating_sub(1);
        }
        if let Some(entry) = self.entry_mut(index) {
            entry.pinned += 1;
        }
        true
    }

    /// Undoes one [`pin`](Self::pin). After the last one, an idle neighbor is removed.
    pub(crate) fn unpin(&mut self, adjacencies: &mut Adjacencies, index: usize) {
        if self.release(index) {
            self.remove(adjacencies, index);
        }
    }

    /// Undoes one [`pin`](Self::pin) without removing the neighbor. Returns `true` if it was the
    /// last one of an idle neighbor.
    pub(crate) fn release(&mut self, index: usize) -> bool {
        let Some(entry) = self.entry_mut(index).filter(|e| e.pinned > 0) else {
            return false;
        };
        entry.pinned -= 1;
        let (interface, address, state) = (entry.interface, entry.address, entry.state);
        if entry.pinned > 0 {
            return false;
        }
        if let Some(count) = self.count(interface, address) {
            count.pinned = count.pinned.saturating_sub(1);
            count.all += 1;
        }
        state == State::Idle
    }

    /// Queues a packet until its neighbor is resolved. Returns the packet that is dropped instead,
    /// if any: the neighbor's oldest one (RFC 1122 2.3.2.2), or this one if too much is queued for
    /// all neighbors together.
    pub(crate) fn wait(&mut self, index: usize, packet: Packet) -> Option<Packet> {
        let len = packet.frame().len();
        let full =
            self.waiting_packets >= WAITING_PACKETS || self.waiting_bytes + len > WAITING_BYTES;
        let Some(entry) = self.entry_mut(index).filter(|_| !full) else {
            return Some(packet);
        };
        let oldest = (entry.queue.len() >= QUEUE).then(|| entry.queue.remove(0));
        // One segment of a large frame may still cause an error.
        if let (Some(oldest), Some(next)) = (&oldest, entry.queue.first_mut()) {
            next.later_segment &= oldest.later_segment;
        }
        entry.queue.push(packet);
        self.waiting_packets += 1;
        self.waiting_bytes += len;
        if let Some(oldest) = &oldest {
            self.waiting_packets -= 1;
            self.waiting_bytes -= oldest.frame().len();
        }
        oldest
    }

    /// Removes and returns the packets queued for a neighbor.
    pub(crate) fn take_queue(&mut self, index: usize) -> Vec<Packet> {
        let queue = self
            .entries
            .get_mut(index)
            .map(|e| core::mem::take(&mut e.queue));
        let queue = queue.unwrap_or_default();
        self.waiting_packets = self.waiting_packets.saturating_sub(queue.len());
        let bytes: usize = queue.iter().map(|p| p.frame().len()).sum();
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        queue
    }

    /// Sets a neighbor's state and when it ends, or up to 67 ms later.
    pub(crate) fn set(&mut self, index: usize, state: State, deadline: Instant) {
        // Deadlines fall on a grid of 2^26 ns, so that many of them are one.
        let deadline = if deadline == NEVER {
            NEVER
        } else {
            Instant(deadline.0 | 0x3ff_ffff)
        };
        if let Some(e) = self.entry_mut(index) {
            let (before, after) = (e.state.is_unresolved(), state.is_unresolved());
            let (interface, address) = (e.interface, e.address);
            e.state = state;
            e.deadline = deadline;
            self.next = self.next.min(deadline);
            if before != after
                && let Some(count) = self.count(interface, address)
            {
                let unresolved = count.unresolved + usize::from(after);
                count.unresolved = unresolved.saturating_sub(usize::from(before));
            }
        }
    }
}

#[cfg(test)]
mod tests;
