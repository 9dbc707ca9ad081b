//! Neighbours: who has which address on which link, of both families (RFC 826, RFC 4861).
//!
//! Each neighbour is an [`Adjacency`], all that the fast path needs to send to it, and an
//! [`Entry`] with its state, under the same index. The fast path finds them by a hash with
//! a secret key and a bounded number of probes. The state machine is in
//! [`nud`](crate::neighbor::nud), its packets in [`arp`](crate::neighbor::arp) and
//! [`ndp`](crate::neighbor::ndp).

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use core::sync::atomic::{AtomicBool, Ordering};

use crate::frame::{InterfaceId, MAX_INTERFACES};
use crate::slow::packet::Waiting;
use crate::time::Instant;
use wire::addr::Mac;

/// Neighbours of a family that an interface may have, those that are being looked for
/// included.
const PER_INTERFACE: usize = 1024;

/// How many of these may be looked for, or have been in vain: a scan displaces its own
/// traces, and nobody who is there (RFC 6583 7.1).
const UNRESOLVED: usize = 256;

/// Slots that are looked at for a key.
const PROBES: usize = 8;

/// How many candidates are compared when one neighbour must make room.
const SAMPLE: usize = 16;

/// What the fast path needs to send to a neighbour.
#[derive(Debug)]
#[repr(align(32))]
pub(crate) struct Adjacency {
    /// Destination and source of the Ethernet header.
    pub(crate) stations: [u8; 12],
    /// The longest frame that can be sent there, or 0 while the neighbour isn't known.
    pub(crate) max_len: u32,
    /// The interface that leads there.
    pub(crate) out: u8,
    /// Whether it was sent to since the flag was last cleared.
    pub(crate) used: AtomicBool,
}

impl Adjacency {
    /// Notes that it is sent to. Written only if that is news: all CPUs read this memory.
    #[inline(always)]
    pub(crate) fn touch(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }
}

/// What is known about a neighbour: the states of RFC 4861 7.3.2, for ARP as well, and a few
/// more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// No neighbour: the entry is free.
    Free,
    /// Known by its address only; nothing is sent to it.
    Idle,
    /// Asked for by broadcast or multicast this many times.
    Incomplete(u8),
    /// Answered not long ago.
    Reachable,
    /// Heard of some time ago. The first frame to it takes the slow path, which notices.
    Stale,
    /// Sent to after it was stale, and soon to be asked whether it is still there.
    Delay,
    /// Asked directly this many times, sent to meanwhile.
    Probe(u8),
    /// Didn't answer; not asked again for a while.
    Failed,
    /// Configured.
    Static,
}

impl State {
    /// Whether its station is known.
    pub(crate) fn is_known(self) -> bool {
        matches!(
            self,
            Self::Reachable | Self::Stale | Self::Delay | Self::Probe(_) | Self::Static
        )
    }

    fn is_unresolved(self) -> bool {
        matches!(self, Self::Incomplete(_) | Self::Failed)
    }
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) address: IpAddr,
    pub(crate) interface: InterfaceId,
    pub(crate) state: State,
    /// When something is to be done about it; [`NEVER`] if nothing is.
    pub(crate) deadline: Instant,
    /// How many routes and the like lead to it: while any does, it keeps its index.
    pub(crate) pinned: u32,
    pub(crate) queue: Vec<Waiting>,
}

/// No deadline.
pub(crate) const NEVER: Instant = Instant(u64::MAX);

/// The frames that waited for a neighbour that was forgotten to make room.
#[derive(Debug)]
pub(crate) struct Evicted(pub(crate) Vec<Waiting>);

/// Why a neighbour is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// A packet is to be sent to it.
    Resolve,
    /// It made itself known, or the configuration did.
    Learn,
}

/// No room for another neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TableFull;

/// The keyed hash index, apart from the rest so that the fast path can borrow it alone.
#[derive(Debug)]
pub(crate) struct Index {
    /// A tag in the upper 40 bits, the neighbour's index in the lower 24.
    slots: Vec<u64>,
    shift: u32,
    key: u64,
}

/// A slot without a neighbour. Its tag is no IPv4 neighbour's, not even that of 0.0.0.0.
const EMPTY: u64 = u64::MAX;

/// The tag of an IPv4 neighbour: its interface and address, so that it is the only one.
fn tag4(interface: u8, address: u32) -> u64 {
    u64::from(interface) << 32 | u64::from(address)
}

impl Index {
    fn new(key: u64) -> Self {
        let mut index = Self {
            slots: Vec::new(),
            shift: 0,
            key: key | 1,
        };
        index.resize(8);
        index
    }

    /// Makes room for `2^bits` slots, and some more so that no probe wraps around.
    fn resize(&mut self, bits: u32) {
        self.slots = vec![EMPTY; (1 << bits) + PROBES];
        self.shift = 64 - bits;
    }

    #[inline(always)]
    fn home(&self, key: u64) -> usize {
        // Two rounds: after one alone, some multipliers crowd regular sequences of addresses.
        let once = key.wrapping_mul(self.key);
        ((once ^ once >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    /// The slots where a tag can be.
    #[inline(always)]
    fn window(&self, tag: u64) -> &[u64] {
        let home = self.home(tag);
        self.slots.get(home..home + PROBES).unwrap_or(&[])
    }

    /// The neighbour with this IPv4 address on the link of this interface.
    #[inline(always)]
    pub(crate) fn find(&self, interface: u8, address: u32) -> Option<usize> {
        let tag = tag4(interface, address);
        self.window(tag)
            .iter()
            .find(|&&slot| slot >> 24 == tag)
            .map(|&slot| (slot & 0xff_ffff) as usize)
    }

    /// The tag of an IPv6 neighbour: a keyed hash that no IPv4 tag looks like. Others may
    /// have it too.
    #[inline(always)]
    fn tag6(&self, interface: u8, address: u128) -> u64 {
        let (high, low) = ((address >> 64) as u64, address as u64);
        // Multiply and fold, as the hash of flows does.
        let mix = |a: u64, b: u64| {
            let product = u128::from(a) * u128::from(b);
            (product as u64) ^ (product >> 64) as u64
        };
        let first = mix(high ^ self.key, 0x9e37_79b9_7f4a_7c15) ^ u64::from(interface);
        mix(first ^ low, self.key ^ 0xd6e8_feb8_6659_fd93) >> 25 | 1 << 39
    }

    fn tag(&self, interface: u8, address: IpAddr) -> u64 {
        match address {
            IpAddr::V4(address) => tag4(interface, address.to_bits()),
            IpAddr::V6(address) => self.tag6(interface, address.to_bits()),
        }
    }

    fn insert(&mut self, tag: u64, index: usize) -> bool {
        let home = self.home(tag);
        let Some(window) = self.slots.get_mut(home..home + PROBES) else {
            return false;
        };
        match window.iter_mut().find(|slot| **slot == EMPTY) {
            Some(slot) => {
                *slot = tag << 24 | index as u64;
                true
            }
            None => false,
        }
    }

    fn remove(&mut self, tag: u64, index: usize) {
        let home = self.home(tag);
        if let Some(window) = self.slots.get_mut(home..home + PROBES)
            && let Some(slot) = window
                .iter_mut()
                .find(|slot| **slot == tag << 24 | index as u64)
        {
            *slot = EMPTY;
        }
    }
}

/// How many neighbours an interface has, of one family.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    all: usize,
    unresolved: usize,
}

#[derive(Debug)]
pub(crate) struct Neighbors {
    pub(crate) adjacencies: Vec<Adjacency>,
    entries: Vec<Entry>,
    pub(crate) index: Index,
    free: Vec<usize>,
    counts: [[Count; 2]; MAX_INTERFACES],
    /// Where the search for one to evict goes on.
    hand: usize,
    /// No deadline is earlier.
    pub(crate) next: Instant,
    /// Frames and bytes in all queues.
    pub(crate) waiting_frames: usize,
    pub(crate) waiting_bytes: usize,
}

impl Neighbors {
    pub(crate) fn new(key: u64) -> Self {
        Self {
            adjacencies: Vec::new(),
            entries: Vec::new(),
            index: Index::new(key),
            free: Vec::new(),
            counts: [[Count::default(); 2]; MAX_INTERFACES],
            hand: 0,
            next: NEVER,
            waiting_frames: 0,
            waiting_bytes: 0,
        }
    }

    pub(crate) fn find(&self, interface: InterfaceId, address: IpAddr) -> Option<usize> {
        match address {
            IpAddr::V4(address) => self.index.find(interface.0, address.to_bits()),
            IpAddr::V6(address) => self.find6(interface.0, address.to_bits()),
        }
    }

    /// The neighbour with this IPv6 address on the link of this interface.
    #[inline(always)]
    pub(crate) fn find6(&self, interface: u8, address: u128) -> Option<usize> {
        let tag = self.index.tag6(interface, address);
        let wanted = IpAddr::V6(Ipv6Addr::from_bits(address));
        self.index
            .window(tag)
            .iter()
            .filter(|&&slot| slot >> 24 == tag)
            .map(|&slot| (slot & 0xff_ffff) as usize)
            .find(|&index| {
                self.entries
                    .get(index)
                    .is_some_and(|e| e.address == wanted && e.interface.0 == interface)
            })
    }

    fn count(&mut self, interface: InterfaceId, address: IpAddr) -> Option<&mut Count> {
        let family = usize::from(address.is_ipv6());
        self.counts.get_mut(interface.index())?.get_mut(family)
    }

    pub(crate) fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index).filter(|e| e.state != State::Free)
    }

    pub(crate) fn entry_mut(&mut self, index: usize) -> Option<&mut Entry> {
        self.entries
            .get_mut(index)
            .filter(|e| e.state != State::Free)
    }

    /// All neighbours with their indices.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.entries
            .iter()
            .enumerate()
            .filter(|(_, e)| e.state != State::Free)
    }

    pub(crate) fn slots(&self) -> usize {
        self.entries.len()
    }

    /// Finds a neighbour or adds it as idle, and says whether another one had to make room.
    pub(crate) fn find_or_add(
        &mut self,
        interface: InterfaceId,
        address: IpAddr,
        purpose: Purpose,
    ) -> Result<(usize, Option<Evicted>), TableFull> {
        if let Some(index) = self.find(interface, address) {
            return Ok((index, None));
        }
        let count = *self.count(interface, address).ok_or(TableFull)?;
        let crowded = purpose == Purpose::Resolve && count.unresolved >= UNRESOLVED;
        let mut evicted = None;
        if crowded || count.all >= PER_INTERFACE {
            let victim = self.victim(interface, address.is_ipv6(), crowded);
            evicted = Some(Evicted(self.remove(victim.ok_or(TableFull)?)));
        }
        let entry = Entry {
            address,
            interface,
            state: State::Idle,
            deadline: NEVER,
            pinned: 0,
            queue: Vec::new(),
        };
        let adjacency = || Adjacency {
            stations: [0; 12],
            max_len: 0,
            out: interface.0,
            used: AtomicBool::new(false),
        };
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.entries.push(Entry {
                    state: State::Free,
                    queue: Vec::new(),
                    ..entry
                });
                self.adjacencies.push(adjacency());
                self.entries.len() - 1
            }
        };
        let tag = self.index.tag(interface.0, address);
        if !self.index_entry(tag, index) {
            self.free.push(index);
            return Err(TableFull);
        }
        if let (Some(e), Some(a)) = (self.entries.get_mut(index), self.adjacencies.get_mut(index)) {
            *e = entry;
            *a = adjacency();
        }
        if let Some(count) = self.count(interface, address) {
            count.all += 1;
        }
        Ok((index, evicted))
    }

    /// Enters a tag into the index, which grows with the number of neighbours.
    fn index_entry(&mut self, tag: u64, index: usize) -> bool {
        let mut bits = 64 - self.index.shift;
        let crowded = (self.entries.len() - self.free.len()) * 4 > 1 << bits;
        if !crowded && self.index.insert(tag, index) {
            return true;
        }
        // More than this would not help: the table is nearly empty by then.
        let most = (2 * PER_INTERFACE * MAX_INTERFACES * 8).ilog2();
        while bits < most {
            bits += 1;
            self.index.resize(bits);
            let keys = self
                .entries
                .iter()
                .enumerate()
                .filter(|(_, e)| e.state != State::Free);
            let mut all = true;
            for (i, e) in keys {
                let tag = self.index.tag(e.interface.0, e.address);
                all &= self.index.insert(tag, i);
            }
            if all && self.index.insert(tag, index) {
                return true;
            }
        }
        false
    }

    /// A neighbour of this interface and family that can be forgotten: one that doesn't
    /// answer if possible, one that hasn't been heard of for long otherwise, but none that is
    /// known to be there. `unresolved` allows only the first kind.
    fn victim(&mut self, interface: InterfaceId, ipv6: bool, unresolved: bool) -> Option<usize> {
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
                State::Idle if !unresolved => 2,
                State::Stale if !unresolved => 3,
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

    /// Forgets a neighbour and returns the frames that waited for it.
    pub(crate) fn remove(&mut self, index: usize) -> Vec<Waiting> {
        let Some(e) = self
            .entries
            .get_mut(index)
            .filter(|e| e.state != State::Free)
        else {
            return Vec::new();
        };
        let unresolved = e.state.is_unresolved();
        e.state = State::Free;
        e.deadline = NEVER;
        e.pinned = 0;
        let (interface, address) = (e.interface, e.address);
        self.index
            .remove(self.index.tag(interface.0, address), index);
        self.free.push(index);
        self.close(index);
        if let Some(count) = self.count(interface, address) {
            count.all = count.all.saturating_sub(1);
            count.unresolved = count.unresolved.saturating_sub(usize::from(unresolved));
        }
        self.take_queue(index)
    }

    /// Takes the frames that wait for a neighbour.
    pub(crate) fn take_queue(&mut self, index: usize) -> Vec<Waiting> {
        let queue = self
            .entries
            .get_mut(index)
            .map(|e| core::mem::take(&mut e.queue));
        let queue = queue.unwrap_or_default();
        self.waiting_frames = self.waiting_frames.saturating_sub(queue.len());
        let bytes: usize = queue.iter().map(|w| w.bytes.len()).sum();
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        queue
    }

    /// Lets the fast path send to a neighbour.
    pub(crate) fn open(&mut self, index: usize, stations: [u8; 12], max_len: u32) {
        if let Some(a) = self.adjacencies.get_mut(index) {
            a.stations = stations;
            a.max_len = max_len;
        }
    }

    /// The station of a neighbour, if it was ever known.
    pub(crate) fn station(&self, index: usize) -> Option<Mac> {
        let stations = self.adjacencies.get(index)?.stations;
        stations.first_chunk().copied().map(Mac)
    }

    /// Keeps the fast path from sending to a neighbour.
    pub(crate) fn close(&mut self, index: usize) {
        if let Some(a) = self.adjacencies.get_mut(index) {
            a.max_len = 0;
        }
    }

    /// Reads and clears whether a neighbour was sent to.
    pub(crate) fn take_used(&mut self, index: usize) -> bool {
        self.adjacencies
            .get_mut(index)
            .is_some_and(|a| core::mem::take(a.used.get_mut()))
    }

    /// Sets a neighbour's state and when it is due next.
    pub(crate) fn set(&mut self, index: usize, state: State, deadline: Instant) {
        // Deadlines fall on a grid of some 67 ms, so that many of them are one.
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    const LAN: InterfaceId = InterfaceId(1);

    fn v4(i: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + i).into()
    }

    fn v6(i: u32) -> IpAddr {
        Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(i)).into()
    }

    #[test]
    fn a_full_table_forgets_only_those_that_may_be_gone() {
        for address in [v4, v6] {
            let mut n = Neighbors::new(0x1234_5678_9abc_def0);
            for i in 0..1024 {
                let (index, evicted) = n.find_or_add(LAN, address(i), Purpose::Learn).unwrap();
                assert!(evicted.is_none());
                n.set(index, State::Reachable, Instant::from_secs(60));
            }
            let new = address(5000);
            for purpose in [Purpose::Learn, Purpose::Resolve] {
                assert_eq!(n.find_or_add(LAN, new, purpose).unwrap_err(), TableFull);
            }
            n.set(700, State::Stale, Instant::from_secs(1));
            n.set(900, State::Failed, Instant::from_secs(1));
            for (victim, new) in [(900, new), (700, address(5001))] {
                let gone = n.entry(victim).unwrap().address;
                let (index, evicted) = n.find_or_add(LAN, new, Purpose::Resolve).unwrap();
                assert!(evicted.is_some());
                assert_eq!(n.find(LAN, gone), None);
                assert_eq!(n.find(LAN, new), Some(index));
                n.set(index, State::Reachable, Instant::from_secs(60));
            }
            // Another interface and the other family have room of their own.
            let other = InterfaceId(2);
            assert!(
                n.find_or_add(other, new, Purpose::Learn)
                    .unwrap()
                    .1
                    .is_none()
            );
            let v = if new.is_ipv4() { v6(1) } else { v4(1) };
            assert!(n.find_or_add(LAN, v, Purpose::Learn).unwrap().1.is_none());
        }
    }

    #[test]
    fn a_scan_displaces_only_itself() {
        let mut n = Neighbors::new(77);
        for i in 0..500 {
            let (index, _) = n.find_or_add(LAN, v6(i), Purpose::Learn).unwrap();
            n.set(index, State::Stale, Instant::from_secs(1));
        }
        let mut evicted = 0;
        for i in 1000..11_000 {
            let (index, gone) = n.find_or_add(LAN, v6(i), Purpose::Resolve).unwrap();
            n.set(index, State::Incomplete(1), Instant::from_secs(2));
            evicted += usize::from(gone.is_some());
        }
        assert_eq!(evicted, 10_000 - UNRESOLVED);
        assert!((0..500).all(|i| n.find(LAN, v6(i)).is_some()));
        // What is found makes room for another question.
        let found = n
            .iter()
            .find(|(_, e)| e.state == State::Incomplete(1))
            .map(|(i, _)| i);
        n.set(found.unwrap(), State::Reachable, Instant::from_secs(60));
        assert!(
            n.find_or_add(LAN, v6(20_000), Purpose::Resolve)
                .unwrap()
                .1
                .is_none()
        );
    }

    proptest! {
        #[test]
        fn the_index_finds_what_is_there(key: u64, ops in prop::collection::vec((0u8..2, 0u32..300, any::<bool>(), any::<bool>()), 0..1000)) {
            let mut n = Neighbors::new(key);
            let mut model = std::collections::HashMap::new();
            for (interface, address, ipv6, add) in ops {
                let (id, ip) = (InterfaceId(interface), if ipv6 { v6(address) } else { v4(address) });
                if add {
                    let (index, _) = n.find_or_add(id, ip, Purpose::Learn).unwrap();
                    prop_assert_eq!(*model.entry((id, ip)).or_insert(index), index);
                } else if let Some(index) = model.remove(&(id, ip)) {
                    n.remove(index);
                }
                prop_assert_eq!(n.find(id, ip), model.get(&(id, ip)).copied());
            }
            for (&(id, ip), &index) in &model {
                prop_assert_eq!(n.find(id, ip), Some(index));
            }
        }
    }
}
