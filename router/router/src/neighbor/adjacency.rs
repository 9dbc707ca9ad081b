//! Adjacencies: all that the fast path needs to send to a neighbor, found by a hash with a secret
//! key and a bounded number of probes.
//!
//! What else is known of a neighbor is under the same index in
//! [`NeighborTable`](crate::neighbor::table::NeighborTable).

use alloc::vec::Vec;
use core::net::IpAddr;
use core::sync::atomic::{AtomicBool, Ordering};

use wire::addr::Mac;

use crate::frame::{InterfaceId, MAX_INTERFACES};

/// The maximum number of configured or routed neighbors of each family on an interface.
pub(crate) const PER_INTERFACE: usize = config::MAX_NEIGHBORS;

/// The number of slots of the hash index that are probed for an adjacency.
const PROBES: usize = 8;

/// What the fast path needs to send to a neighbor.
#[derive(Debug)]
#[repr(align(32))]
pub(crate) struct Adjacency {
    /// The destination and source of the Ethernet header.
    pub(crate) mac_addresses: [u8; 12],
    /// The maximum length of a frame, in bytes; 0 while the neighbor's MAC address isn't known.
    pub(crate) max_len: u32,
    /// The interface that leads there.
    pub(crate) out: u8,
    /// Set when a frame is sent to the neighbor.
    pub(crate) used: AtomicBool,
}

impl Adjacency {
    /// Creates one that nothing can be sent to.
    fn closed(out: InterfaceId) -> Self {
        Self {
            mac_addresses: [0; 12],
            max_len: 0,
            out: out.0,
            used: AtomicBool::new(false),
        }
    }

    /// Marks the neighbor as used. Written only if it changes, since all CPUs read this memory.
    #[inline(always)]
    pub(crate) fn touch(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }
}

/// The keyed hash index, apart from the rest so that the fast path can borrow it alone.
#[derive(Debug)]
pub(crate) struct Index {
    /// A tag in the upper 40 bits, the neighbor's index in the lower 24.
    slots: Vec<u64>,
    /// The number of bits by which a hash is shifted right to get a slot's number.
    shift: u32,
    /// The secret.
    key: u64,
}

/// An empty slot. No IPv4 neighbor has its tag, not even 0.0.0.0.
const EMPTY: u64 = u64::MAX;

/// Returns the tag of an IPv4 neighbor: its interface and address, so it is unique.
#[inline]
fn tag4(interface: u8, address: u32) -> u64 {
    u64::from(interface) << 32 | u64::from(address)
}

impl Index {
    fn new(key: u64) -> Self {
        let none = Self {
            slots: Vec::new(),
            shift: 0,
            key: key | 1,
        };
        none.resized(8).unwrap_or(none)
    }

    /// Creates an empty one with the same secret and room for `2^bits` slots, and some more so that no
    /// probe wraps around. `None` if there is no memory for that.
    fn resized(&self, bits: u32) -> Option<Self> {
        let len = (1 << bits) + PROBES;
        let mut slots = Vec::new();
        slots.try_reserve_exact(len).ok()?;
        slots.resize(len, EMPTY);
        Some(Self {
            slots,
            shift: 64 - bits,
            key: self.key,
        })
    }

    /// Returns the first slot to probe for a tag.
    #[inline(always)]
    fn home(&self, key: u64) -> usize {
        // Two rounds: after one alone, some multipliers crowd regular sequences of addresses.
        let once = key.wrapping_mul(self.key);
        ((once ^ once >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    /// Returns the slots to probe for a tag.
    #[inline(always)]
    fn window(&self, tag: u64) -> &[u64] {
        let home = self.home(tag);
        self.slots.get(home..home + PROBES).unwrap_or(&[])
    }

    /// Returns the index of the neighbor with this IPv4 address on the link of an interface.
    #[inline(always)]
    pub(crate) fn find(&self, interface: u8, address: u32) -> Option<usize> {
        let tag = tag4(interface, address);
        self.window(tag)
            .iter()
            .find(|&&slot| slot >> 24 == tag)
            .map(|&slot| (slot & 0xff_ffff) as usize)
    }

    /// Returns the tag of an IPv6 neighbor: a keyed hash that is distinct from IPv4 tags but not
    /// unique.
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

    /// Returns the tag of a neighbor.
    fn tag(&self, Key { interface, address }: Key) -> u64 {
        match address {
            IpAddr::V4(address) => tag4(interface.0, address.to_bits()),
            IpAddr::V6(address) => self.tag6(interface.0, address.to_bits()),
        }
    }

    /// Enters a neighbor. Returns `false` if its slots are taken.
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

    /// Removes a neighbor.
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

/// Whose adjacency it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    /// The interface on whose link the neighbor is.
    pub(crate) interface: InterfaceId,
    /// The neighbor's address.
    pub(crate) address: IpAddr,
}

/// All adjacencies.
#[derive(Debug)]
pub(crate) struct Adjacencies {
    /// By index: a target's number in the forwarding tables.
    pub(crate) list: Vec<Adjacency>,
    /// The hash index of `list`.
    pub(crate) index: Index,
    /// By index; `None` for free ones.
    keys: Vec<Option<Key>>,
    /// Free indices.
    free: Vec<usize>,
}

impl Adjacencies {
    /// Creates an empty set. `key` makes the hash unpredictable.
    pub(crate) fn new(key: u64) -> Self {
        Self {
            list: Vec::new(),
            index: Index::new(key),
            keys: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Allocates memory for this many adjacencies, or for as many as possible. Returns their
    /// number.
    pub(crate) fn reserve(&mut self, wanted: usize) -> usize {
        let more = wanted.saturating_sub(self.list.len());
        let lists = [
            self.list.try_reserve_exact(more).is_ok(),
            self.keys.try_reserve_exact(more).is_ok(),
            self.free.try_reserve_exact(wanted).is_ok(),
        ];
        let bits = (4 * wanted).next_power_of_two().ilog2();
        if bits > 64 - self.index.shift {
            self.grow_index(bits);
        }
        if lists.contains(&false) { 0 } else { wanted }
    }

    /// Replaces the hash by one of `2^bits` slots. Returns `false`, and leaves it as it is, if there is
    /// no memory for that or not all find a place.
    fn grow_index(&mut self, bits: u32) -> bool {
        let Some(mut larger) = self.index.resized(bits) else {
            return false;
        };
        let keys = self.keys.iter().enumerate();
        let mut known = keys.filter_map(|(at, key)| Some((at, (*key)?)));
        let all = known.all(|(at, key)| larger.insert(larger.tag(key), at));
        if all {
            self.index = larger;
        }
        all
    }

    /// Allocates memory for one more. Returns the number of indices including it and free ones;
    /// `None` if there is no memory.
    pub(crate) fn reserve_one(&mut self) -> Option<usize> {
        if self.free.is_empty() {
            self.list.try_reserve(1).ok()?;
            self.keys.try_reserve(1).ok()?;
            // Each index may become free.
            self.free.try_reserve(self.list.len() + 1).ok()?;
        }
        Some(self.list.len() + usize::from(self.free.is_empty()))
    }

    /// Returns the adjacency at an index.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&Adjacency> {
        self.list.get(index)
    }

    /// Returns whose adjacency is at an index; `None` if nobody's.
    #[inline]
    pub(crate) fn key(&self, index: usize) -> Option<Key> {
        *self.keys.get(index)?
    }

    /// Returns the index of the neighbor with this address on the link of an interface.
    #[inline]
    pub(crate) fn find(&self, interface: InterfaceId, address: IpAddr) -> Option<usize> {
        match address {
            IpAddr::V4(address) => self.index.find(interface.0, address.to_bits()),
            IpAddr::V6(address) => self.find6(interface.0, address.to_bits()),
        }
    }

    /// The same for an IPv6 address.
    #[inline(always)]
    pub(crate) fn find6(&self, interface: u8, address: u128) -> Option<usize> {
        let tag = self.index.tag6(interface, address);
        let wanted = Key {
            interface: InterfaceId(interface),
            address: IpAddr::V6(address.into()),
        };
        self.index
            .window(tag)
            .iter()
            .filter(|&&slot| slot >> 24 == tag)
            .map(|&slot| (slot & 0xff_ffff) as usize)
            .find(|&index| self.keys.get(index) == Some(&Some(wanted)))
    }

    /// Adds an adjacency, closed, and returns its index; `None` if the hash finds no place for it, or
    /// there is no memory.
    pub(crate) fn insert(&mut self, key: Key) -> Option<usize> {
        self.reserve_one()?;
        let index = self.free.pop().unwrap_or_else(|| {
            self.list.push(Adjacency::closed(key.interface));
            self.keys.push(None);
            self.list.len() - 1
        });
        if !self.enter(key, index) {
            self.free.push(index);
            return None;
        }
        if let (Some(adjacency), Some(own)) = (self.list.get_mut(index), self.keys.get_mut(index)) {
            *adjacency = Adjacency::closed(key.interface);
            *own = Some(key);
        }
        Some(index)
    }

    /// Closes an adjacency and frees its index.
    pub(crate) fn remove(&mut self, index: usize) {
        if let Some(key) = self.keys.get_mut(index).and_then(Option::take) {
            self.index.remove(self.index.tag(key), index);
            self.close(index);
            self.free.push(index);
        }
    }

    /// Enters a key into the hash, which grows with the number of adjacencies. Returns `false` if
    /// there is no place for it however large the hash is.
    fn enter(&mut self, key: Key, index: usize) -> bool {
        let tag = self.index.tag(key);
        let mut bits = 64 - self.index.shift;
        let crowded = (self.list.len() - self.free.len()) * 4 > 1 << bits;
        if !crowded && self.index.insert(tag, index) {
            return true;
        }
        // More than this would not help: the table is nearly empty by then.
        let most = (4 * PER_INTERFACE * MAX_INTERFACES * 8).ilog2();
        while bits < most {
            bits += 1;
            if self.grow_index(bits) && self.index.insert(tag, index) {
                return true;
            }
        }
        self.index.insert(tag, index)
    }

    /// Lets the fast path send to a neighbor: `mac_addresses` are the destination and the source of the
    /// Ethernet header, `max_len` is the length of the longest frame, in bytes.
    pub(crate) fn open(&mut self, index: usize, mac_addresses: [u8; 12], max_len: u32) {
        if let Some(a) = self.list.get_mut(index) {
            a.mac_addresses = mac_addresses;
            a.max_len = max_len;
        }
    }

    /// Keeps the fast path from sending to a neighbor. Its MAC address stays.
    pub(crate) fn close(&mut self, index: usize) {
        if let Some(a) = self.list.get_mut(index) {
            a.max_len = 0;
        }
    }

    /// Returns `true` if the fast path may send to a neighbor.
    pub(crate) fn is_open(&self, index: usize) -> bool {
        self.get(index).is_some_and(|a| a.max_len != 0)
    }

    /// Returns the MAC address of a neighbor, or of zeros if it was never known.
    pub(crate) fn mac(&self, index: usize) -> Option<Mac> {
        let mac_addresses = self.list.get(index)?.mac_addresses;
        mac_addresses.first_chunk().copied().map(Mac)
    }

    /// Sets the used mark of a neighbor.
    #[cfg(test)]
    pub(crate) fn set_used(&mut self, index: usize, used: bool) {
        if let Some(a) = self.list.get_mut(index) {
            *a.used.get_mut() = used;
        }
    }

    /// Returns `true` if a neighbor was sent to since this was last called.
    pub(crate) fn take_used(&mut self, index: usize) -> bool {
        self.list
            .get_mut(index)
            .is_some_and(|a| core::mem::take(a.used.get_mut()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const KEY: Key = Key {
        interface: InterfaceId(1),
        address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)),
    };

    #[test]
    fn an_adjacency_begins_closed_whoever_had_its_index_before() {
        let mut all = Adjacencies::new(1);
        let index = all.insert(KEY).unwrap();
        all.open(index, [2; 12], 1514);
        all.get(index).unwrap().touch();
        all.remove(index);
        assert_eq!(
            (all.key(index), all.find(KEY.interface, KEY.address)),
            (None, None)
        );
        assert_eq!(all.get(index).unwrap().max_len, 0, "a lane may still look");
        all.remove(index);
        let other = Key {
            interface: InterfaceId(2),
            ..KEY
        };
        assert_eq!(all.insert(other), Some(index));
        let adjacency = all.get(index).unwrap();
        assert_eq!((adjacency.max_len, adjacency.out), (0, 2));
        assert_eq!(all.mac(index), Some(Mac::default()));
        assert_eq!(all.key(index), Some(other));
        assert!(!all.take_used(index));
        assert_ne!(all.insert(KEY), Some(index), "freed once, used once");
    }

    #[test]
    fn a_closed_adjacency_keeps_its_mac_address() {
        let mut all = Adjacencies::new(1);
        let index = all.insert(KEY).unwrap();
        all.open(index, [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1], 1514);
        assert_eq!(all.get(index).unwrap().max_len, 1514);
        all.close(index);
        assert_eq!(all.get(index).unwrap().max_len, 0);
        assert_eq!(all.mac(index), Some(Mac([2, 0, 0, 0, 0, 9])));
    }

    #[test]
    fn that_it_was_sent_to_is_read_once() {
        let mut all = Adjacencies::new(1);
        let index = all.insert(KEY).unwrap();
        all.get(index).unwrap().touch();
        assert!(all.take_used(index) && !all.take_used(index));
        all.set_used(index, true);
        assert!(all.take_used(index));
        assert!(!all.take_used(99), "nobody");
    }

    proptest! {
        #[test]
        fn the_index_finds_what_is_there(key: u64, ops in prop::collection::vec((0u8..2, 0u32..300, any::<bool>(), any::<bool>()), 0..1000)) {
            let mut all = Adjacencies::new(key);
            let mut model = std::collections::HashMap::new();
            for (interface, address, ipv6, add) in ops {
                let interface = InterfaceId(interface);
                let address: IpAddr = match ipv6 {
                    true => Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(address)).into(),
                    false => Ipv4Addr::from_bits(0x0a00_0000 + address).into(),
                };
                let id = (interface, address);
                if add && !model.contains_key(&id) {
                    model.insert(id, all.insert(Key { interface, address }).unwrap());
                } else if !add && let Some(index) = model.remove(&id) {
                    all.remove(index);
                }
                prop_assert_eq!(all.find(interface, address), model.get(&id).copied());
            }
            for (&(interface, address), &index) in &model {
                prop_assert_eq!(all.find(interface, address), Some(index));
            }
        }
    }
}
