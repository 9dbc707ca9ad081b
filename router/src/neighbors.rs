//! Neighbours: who has which address on which link (RFC 826, RFC 1122 2.3.2).
//!
//! Each neighbour is an [`Adjacency`], all that the fast path needs to send to it, and an
//! [`Entry`] with its state, under the same index. The fast path finds them by a hash with
//! a secret key and a bounded number of probes. The state machine's timers and packets are
//! in [`arp`](crate::arp).

use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use crate::frame::{FrameMeta, InterfaceId, MAX_INTERFACES};
use crate::time::Instant;

/// Neighbours an interface may have, those that are being looked for included.
const PER_INTERFACE: usize = 1024;

/// Slots that are looked at for a key.
const PROBES: usize = 8;

/// How many candidates are compared when one neighbour must make room.
const SAMPLE: usize = 16;

/// What the fast path needs to send to a neighbour.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(crate) struct Adjacency {
    /// Destination and source of the Ethernet header.
    pub(crate) stations: [u8; 12],
    /// The longest frame that can be sent there, or 0 while the neighbour isn't known.
    pub(crate) max_len: u32,
    /// The interface that leads there.
    pub(crate) out: u8,
    /// Whether it was sent to since the flag was last cleared.
    pub(crate) used: bool,
}

/// What is known about a neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// No neighbour: the entry is free.
    Free,
    /// Known by its address only; nothing is sent to it.
    Idle,
    /// Asked for by broadcast this many times.
    Incomplete(u8),
    /// Answered not long ago.
    Reachable,
    /// Answered some time ago, asked again directly this many times, sent to meanwhile.
    Probing(u8),
    /// Didn't answer; not asked again for a while.
    Failed,
    /// Configured.
    Static,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Idle => "idle",
            Self::Incomplete(_) => "incomplete",
            Self::Reachable => "reachable",
            Self::Probing(_) => "probing",
            Self::Failed => "failed",
            Self::Static => "static",
        }
    }
}

/// A frame on its way through the slow path, or waiting there.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) bytes: Vec<u8>,
    pub(crate) meta: FrameMeta,
    /// Where it came in, or what came in there caused it.
    pub(crate) input: InterfaceId,
    /// Whether the router made it.
    pub(crate) own: bool,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) address: Ipv4Addr,
    pub(crate) interface: InterfaceId,
    pub(crate) state: State,
    /// When something is to be done about it; [`NEVER`] if nothing is.
    pub(crate) deadline: Instant,
    /// A route leads to it: it keeps its index.
    pub(crate) pinned: bool,
    pub(crate) queue: Vec<Waiting>,
}

/// No deadline.
pub(crate) const NEVER: Instant = Instant(u64::MAX);

/// The frames that waited for a neighbour that was forgotten to make room.
#[derive(Debug)]
pub(crate) struct Evicted(pub(crate) Vec<Waiting>);

/// No room for another neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TableFull;

/// The keyed hash index, apart from the rest so that the fast path can borrow it alone.
#[derive(Debug)]
pub(crate) struct Index {
    /// Interface and address in the upper 40 bits, the neighbour's index in the lower 24.
    slots: Vec<u64>,
    shift: u32,
    key: u64,
}

fn key_of(interface: u8, address: u32) -> u64 {
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
        self.slots = vec![0; (1 << bits) + PROBES];
        self.shift = 64 - bits;
    }

    #[inline(always)]
    fn home(&self, key: u64) -> usize {
        // Two rounds: after one alone, some multipliers crowd regular sequences of addresses.
        let once = key.wrapping_mul(self.key);
        ((once ^ once >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    /// The neighbour with this address on the link of this interface.
    #[inline(always)]
    pub(crate) fn find(&self, interface: u8, address: u32) -> Option<usize> {
        let key = key_of(interface, address);
        let home = self.home(key);
        let window = self.slots.get(home..home + PROBES)?;
        window
            .iter()
            .find(|&&slot| slot >> 24 == key)
            .map(|&slot| (slot & 0xff_ffff) as usize)
    }

    fn insert(&mut self, key: u64, index: usize) -> bool {
        let home = self.home(key);
        let Some(window) = self.slots.get_mut(home..home + PROBES) else {
            return false;
        };
        match window.iter_mut().find(|slot| **slot == 0) {
            Some(slot) => {
                *slot = key << 24 | index as u64;
                true
            }
            None => false,
        }
    }

    fn remove(&mut self, key: u64) {
        let home = self.home(key);
        if let Some(window) = self.slots.get_mut(home..home + PROBES)
            && let Some(slot) = window.iter_mut().find(|slot| **slot >> 24 == key)
        {
            *slot = 0;
        }
    }
}

#[derive(Debug)]
pub(crate) struct Neighbors {
    pub(crate) adjacencies: Vec<Adjacency>,
    entries: Vec<Entry>,
    pub(crate) index: Index,
    free: Vec<usize>,
    counts: [usize; MAX_INTERFACES],
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
            counts: [0; MAX_INTERFACES],
            hand: 0,
            next: NEVER,
            waiting_frames: 0,
            waiting_bytes: 0,
        }
    }

    pub(crate) fn find(&self, interface: InterfaceId, address: Ipv4Addr) -> Option<usize> {
        self.index.find(interface.0, address.to_bits())
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
        address: Ipv4Addr,
    ) -> Result<(usize, Option<Evicted>), TableFull> {
        if let Some(index) = self.find(interface, address) {
            return Ok((index, None));
        }
        let count = self
            .counts
            .get(interface.index())
            .copied()
            .ok_or(TableFull)?;
        let mut evicted = None;
        if count >= PER_INTERFACE {
            let victim = self.victim(interface).ok_or(TableFull)?;
            evicted = Some(Evicted(self.remove(victim)));
        }
        let entry = Entry {
            address,
            interface,
            state: State::Idle,
            deadline: NEVER,
            pinned: false,
            queue: Vec::new(),
        };
        let adjacency = Adjacency {
            stations: [0; 12],
            max_len: 0,
            out: interface.0,
            used: false,
        };
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.entries.push(Entry {
                    state: State::Free,
                    queue: Vec::new(),
                    ..entry
                });
                self.adjacencies.push(adjacency);
                self.entries.len() - 1
            }
        };
        let key = key_of(interface.0, address.to_bits());
        if !self.index_entry(key, index) {
            self.free.push(index);
            return Err(TableFull);
        }
        if let (Some(e), Some(a)) = (self.entries.get_mut(index), self.adjacencies.get_mut(index)) {
            *e = entry;
            *a = adjacency;
        }
        if let Some(count) = self.counts.get_mut(interface.index()) {
            *count += 1;
        }
        Ok((index, evicted))
    }

    /// Enters a key into the index, which grows with the number of neighbours.
    fn index_entry(&mut self, key: u64, index: usize) -> bool {
        let mut bits = 64 - self.index.shift;
        let crowded = (self.entries.len() - self.free.len()) * 4 > 1 << bits;
        if !crowded && self.index.insert(key, index) {
            return true;
        }
        // More than this would not help: the table is nearly empty by then.
        let most = (PER_INTERFACE * MAX_INTERFACES * 8).ilog2();
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
                all &= self
                    .index
                    .insert(key_of(e.interface.0, e.address.to_bits()), i);
            }
            if all && self.index.insert(key, index) {
                return true;
            }
        }
        false
    }

    /// A neighbour of this interface that can be forgotten: one that doesn't answer if
    /// possible, one that isn't used otherwise.
    fn victim(&mut self, interface: InterfaceId) -> Option<usize> {
        let mut best: Option<(u8, Instant, usize)> = None;
        let mut seen = 0;
        let len = self.entries.len();
        for step in 0..len {
            let at = (self.hand + step) % len;
            let (Some(e), Some(a)) = (self.entries.get(at), self.adjacencies.get(at)) else {
                continue;
            };
            if e.interface != interface || e.pinned {
                continue;
            }
            let rank = match e.state {
                State::Free | State::Static => continue,
                State::Failed => 0,
                State::Incomplete(_) => 1,
                State::Idle => 2,
                State::Reachable | State::Probing(_) if !a.used => 3,
                State::Reachable | State::Probing(_) => continue,
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
        e.state = State::Free;
        e.deadline = NEVER;
        e.pinned = false;
        let key = key_of(e.interface.0, e.address.to_bits());
        let interface = e.interface;
        self.index.remove(key);
        self.free.push(index);
        self.close(index);
        if let Some(count) = self.counts.get_mut(interface.index()) {
            *count = count.saturating_sub(1);
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
            .is_some_and(|a| core::mem::take(&mut a.used))
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
            e.state = state;
            e.deadline = deadline;
            self.next = self.next.min(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LAN: InterfaceId = InterfaceId(1);

    #[test]
    fn a_full_table_forgets_those_that_dont_answer_first() {
        let mut n = Neighbors::new(0x1234_5678_9abc_def0);
        for i in 0..1024u32 {
            let (index, evicted) = n
                .find_or_add(LAN, Ipv4Addr::from_bits(0x0a00_0000 + i))
                .unwrap();
            assert!(evicted.is_none());
            n.set(index, State::Reachable, Instant::from_secs(60));
            n.adjacencies[index].used = true;
        }
        let new = Ipv4Addr::from_bits(0x0a00_0000 + 5000);
        assert_eq!(n.find_or_add(LAN, new).unwrap_err(), TableFull);
        n.set(700, State::Failed, Instant::from_secs(1));
        let gone = n.entry(700).unwrap().address;
        let (index, evicted) = n.find_or_add(LAN, new).unwrap();
        assert!(evicted.is_some());
        assert_eq!(n.find(LAN, gone), None);
        assert_eq!(n.find(LAN, new), Some(index));
        // Another interface has room of its own.
        assert!(n.find_or_add(InterfaceId(2), new).unwrap().1.is_none());
    }

    proptest! {
        #[test]
        fn the_index_finds_what_is_there(key: u64, ops in prop::collection::vec((0u8..2, 0u32..300, any::<bool>()), 0..1000)) {
            let mut n = Neighbors::new(key);
            let mut model = std::collections::HashMap::new();
            for (interface, address, add) in ops {
                let (id, ip) = (InterfaceId(interface), Ipv4Addr::from_bits(0x0a00_0001 + address));
                if add {
                    let (index, _) = n.find_or_add(id, ip).unwrap();
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
