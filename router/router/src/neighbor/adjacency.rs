//! Adjacencies: all that the fast path needs to send to a neighbor, found by a hash with a secret
//! key and a bounded number of probes.
//!
//! What else is known of a neighbor is under the same index in
//! [`NeighborTable`](crate::neighbor::table::NeighborTable).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use wire::addr::Mac;

use crate::frame::{Header, InterfaceId, MAX_INTERFACES};
use crate::numbers::Numbers;
use crate::slow::headroom::is_memory_free;

/// The maximum number of configured or routed neighbors of each family on an interface.
pub(crate) const PER_INTERFACE: usize = config::MAX_NEIGHBORS;

/// The number of slots of the hash index that are probed for an adjacency.
const PROBES: usize = 8;

/// Bytes that allocations take beside what is asked for, of two lists.
const BESIDE: usize = 128;

/// What the fast path needs to send to a neighbor.
///
/// Lanes read it while the slow path changes it, and find it by an index that is loaded in no order: where
/// a neighbor becomes known its length is stored last, and whoever loads that finds the rest. All of an
/// Ethernet header's destination is in one field, so that it is an old one or a new one.
#[derive(Debug, Default)]
#[repr(align(32))]
pub(crate) struct Adjacency {
    /// The first 8 bytes of the Ethernet header, the destination and a part of the source.
    first: AtomicU64,
    /// The 4 bytes behind them, the rest of the source.
    second: AtomicU32,
    /// The longest frame that can be sent there, in bytes, or 0 while the neighbor isn't known.
    max_len: AtomicU32,
    /// The interface that leads there; a word, since bytes of atomics are widened twice.
    out: AtomicU32,
    /// The family of its address, stored last; [`FREE`] if it is nobody's.
    family: AtomicU8,
    /// Set when it is sent to.
    used: AtomicBool,
}

/// No family of addresses.
const FREE: u8 = 0;
const IPV4: u8 = 4;
const IPV6: u8 = 6;

impl Adjacency {
    /// Returns the length of the longest frame that can be sent there, in bytes; 0 while the neighbor
    /// isn't known.
    #[inline(always)]
    pub(crate) fn max_len(&self) -> u32 {
        self.max_len.load(Ordering::Acquire)
    }

    /// Returns the number of the interface that leads there.
    #[inline(always)]
    pub(crate) fn out(&self) -> u8 {
        self.out.load(Ordering::Relaxed) as u8
    }

    /// Writes the MAC addresses of a frame that is sent there.
    #[inline(always)]
    pub(crate) fn write_mac_addresses(&self, header: &mut Header) {
        let (first, second) = self.words();
        if let Some(to) = header.0.first_chunk_mut() {
            *to = first.to_ne_bytes();
        }
        if let Some(to) = header.0[8..].first_chunk_mut() {
            *to = second.to_ne_bytes();
        }
    }

    #[inline(always)]
    fn words(&self) -> (u64, u32) {
        let first = self.first.load(Ordering::Relaxed);
        (first, self.second.load(Ordering::Relaxed))
    }

    /// Returns the destination and the source of a frame that is sent there.
    pub(crate) fn mac_addresses(&self) -> [u8; 12] {
        let (first, second) = self.words();
        let mut both = [0; 12];
        wire::put(&mut both, 0, &first.to_ne_bytes());
        wire::put(&mut both, 8, &second.to_ne_bytes());
        both
    }

    /// Has frames go between these MAC addresses, the destination first. Beside lanes the source may only
    /// change while it is closed, and was before their last burst.
    fn set_mac_addresses(&self, both: [u8; 12]) {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = both;
        let second = u32::from_ne_bytes([i, j, k, l]);
        self.second.store(second, Ordering::Relaxed);
        let first = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        self.first.store(first, Ordering::Relaxed);
    }

    /// Marks the neighbor as used. Written only if it changes, since all CPUs read this memory.
    #[inline(always)]
    pub(crate) fn touch(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Makes it one that nothing can be sent to, behind an interface.
    fn reset(&self, out: u8) {
        self.family.store(FREE, Ordering::Relaxed);
        self.max_len.store(0, Ordering::Relaxed);
        self.set_mac_addresses([0; 12]);
        self.out.store(out.into(), Ordering::Relaxed);
        self.used.store(false, Ordering::Relaxed);
    }

    /// Makes it what another one is.
    fn copy(&self, other: &Self) {
        self.reset(other.out());
        self.set_mac_addresses(other.mac_addresses());
        self.used
            .store(other.used.load(Ordering::Relaxed), Ordering::Relaxed);
        self.max_len.store(other.max_len(), Ordering::Relaxed);
        let family = other.family.load(Ordering::Relaxed);
        self.family.store(family, Ordering::Relaxed);
    }
}

/// The address of a neighbor, apart from the rest: the fast path looks at it for IPv6 alone.
#[derive(Debug, Default)]
struct Address {
    high: AtomicU64,
    low: AtomicU64,
}

impl Address {
    fn bits(&self) -> u128 {
        let high = u128::from(self.high.load(Ordering::Relaxed));
        high << 64 | u128::from(self.low.load(Ordering::Relaxed))
    }

    fn set(&self, bits: u128) {
        self.high.store((bits >> 64) as u64, Ordering::Relaxed);
        self.low.store(bits as u64, Ordering::Relaxed);
    }
}

/// The keyed hash index, apart from the rest so that the fast path can borrow it alone.
#[derive(Debug)]
pub(crate) struct Index {
    /// A tag in the upper 40 bits, the neighbor's index in the lower 24.
    slots: Vec<AtomicU64>,
    /// How many bits of a hash are too many for a slot's number.
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
        slots.resize_with(len, || AtomicU64::new(EMPTY));
        Some(Self {
            slots,
            shift: 64 - bits,
            key: self.key,
        })
    }

    /// Returns how many bits of a hash are a slot's number.
    fn bits(&self) -> u32 {
        64 - self.shift
    }

    /// Returns the first slot where a tag can be.
    #[inline(always)]
    fn home(&self, key: u64) -> usize {
        // Two rounds: after one alone, some multipliers crowd regular sequences of addresses.
        let once = key.wrapping_mul(self.key);
        ((once ^ once >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    /// Returns the slots to probe for a tag.
    #[inline(always)]
    fn window(&self, tag: u64) -> impl Iterator<Item = u64> {
        let home = self.home(tag);
        let window = self.slots.get(home..home + PROBES).unwrap_or(&[]);
        window.iter().map(|slot| slot.load(Ordering::Relaxed))
    }

    /// Returns the index of the neighbor with this IPv4 address on the link of an interface.
    #[inline(always)]
    pub(crate) fn find(&self, interface: u8, address: u32) -> Option<usize> {
        let tag = tag4(interface, address);
        self.window(tag)
            .find(|slot| slot >> 24 == tag)
            .map(|slot| (slot & 0xff_ffff) as usize)
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

    /// Replaces the first slot of a neighbor's that has one content by another. Returns `false` if none
    /// has.
    fn replace(&self, tag: u64, old: u64, new: u64) -> bool {
        let home = self.home(tag);
        let window = self.slots.get(home..home + PROBES).unwrap_or(&[]);
        let mut slots = window.iter();
        let found = slots.find(|slot| slot.load(Ordering::Relaxed) == old);
        found
            .inspect(|slot| slot.store(new, Ordering::Release))
            .is_some()
    }

    /// Enters a neighbor. Returns `false` if its slots are taken.
    fn insert(&self, tag: u64, index: usize) -> bool {
        self.replace(tag, EMPTY, tag << 24 | index as u64)
    }

    /// Removes a neighbor.
    fn remove(&self, tag: u64, index: usize) {
        self.replace(tag, tag << 24 | index as u64, EMPTY);
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

/// All adjacencies, as lanes read them while the slow path changes them.
///
/// Lists that grow are made again. Lanes have the older ones until their next burst, in which
/// neighbors are unknown that came meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Adjacencies {
    /// By index: a target's number in the forwarding tables. Longer than there are indices.
    list: Arc<[Adjacency]>,
    /// By index, as long.
    addresses: Arc<[Address]>,
    /// Where those with an address are in the list.
    pub(crate) index: Arc<Index>,
}

impl Adjacencies {
    /// Creates an empty set. `key` makes the hash unpredictable.
    pub(crate) fn new(key: u64) -> Self {
        Self {
            list: Arc::new([]),
            addresses: Arc::new([]),
            index: Arc::new(Index::new(key)),
        }
    }

    /// Returns `true` if these are the same lists.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.list, &other.list) && Arc::ptr_eq(&self.index, &other.index)
    }

    /// Takes the memory for this many, or for none if there isn't enough. Returns for how many it is.
    pub(crate) fn reserve(&mut self, wanted: usize) -> usize {
        let bits = (4 * wanted).next_power_of_two().ilog2();
        if bits > self.index.bits() {
            self.grow_index(bits);
        }
        match wanted > self.list.len() && self.grow(wanted).is_none() {
            true => 0,
            false => wanted,
        }
    }

    /// Makes the lists longer. `None`, and they stay as they are, if there is no memory for that.
    fn grow(&mut self, len: usize) -> Option<()> {
        if !is_memory_free(len * (size_of::<Adjacency>() + size_of::<Address>()) + BESIDE) {
            return None;
        }
        let list: Arc<[_]> = (0..len).map(|_| Adjacency::default()).collect();
        let addresses: Arc<[_]> = (0..len).map(|_| Address::default()).collect();
        for (new, old) in list.iter().zip(&*self.list) {
            new.copy(old);
        }
        for (new, old) in addresses.iter().zip(&*self.addresses) {
            new.set(old.bits());
        }
        (self.list, self.addresses) = (list, addresses);
        Some(())
    }

    /// Replaces the hash by one of `2^bits` slots. Returns `false`, and leaves it as it is, if there is
    /// no memory for that or not all find a place.
    fn grow_index(&mut self, bits: u32) -> bool {
        let Some(larger) = self.index.resized(bits) else {
            return false;
        };
        let mut known = (0..self.list.len()).filter_map(|at| Some((at, self.key(at)?)));
        let all = known.all(|(at, key)| larger.insert(larger.tag(key), at));
        if all {
            self.index = Arc::new(larger);
        }
        all
    }

    /// Makes sure of the memory for one more. Returns how many indices there are with it, free ones
    /// included; `None` if there is none.
    pub(crate) fn reserve_one(&mut self, numbers: &mut Numbers) -> Option<usize> {
        if numbers.has_free() {
            return Some(numbers.len());
        }
        let len = numbers.len() + 1;
        if !numbers.reserve(len) {
            return None;
        }
        if len > self.list.len() {
            self.grow(len + len / 2)?;
        }
        Some(len)
    }

    /// Returns all of them, free ones included.
    #[inline(always)]
    pub(crate) fn list(&self) -> &[Adjacency] {
        &self.list
    }

    /// Returns the adjacency at an index.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&Adjacency> {
        self.list.get(index)
    }

    /// Returns whose adjacency is at an index; `None` if nobody's.
    #[inline]
    pub(crate) fn key(&self, index: usize) -> Option<Key> {
        let (adjacency, address) = (self.list.get(index)?, self.addresses.get(index)?);
        let family = adjacency.family.load(Ordering::Acquire);
        let bits = address.bits();
        let address = match family {
            IPV4 => Ipv4Addr::from_bits(bits as u32).into(),
            IPV6 => Ipv6Addr::from_bits(bits).into(),
            _ => return None,
        };
        let interface = InterfaceId(adjacency.out());
        Some(Key { interface, address })
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
            .filter(|slot| slot >> 24 == tag)
            .map(|slot| (slot & 0xff_ffff) as usize)
            .find(|&index| self.key(index) == Some(wanted))
    }

    /// Adds an adjacency, closed, and returns its index; `None` if the hash finds no place for it, or
    /// there is no memory.
    pub(crate) fn insert(&mut self, numbers: &mut Numbers, key: Key) -> Option<usize> {
        self.reserve_one(numbers)?;
        let index = numbers.take();
        let (family, bits) = match key.address {
            IpAddr::V4(address) => (IPV4, address.to_bits().into()),
            IpAddr::V6(address) => (IPV6, address.to_bits()),
        };
        self.get(index)?.reset(key.interface.0);
        self.addresses.get(index)?.set(bits);
        self.get(index)?.family.store(family, Ordering::Release);
        if !self.enter(key, index, numbers.used()) {
            self.get(index)?.reset(0);
            numbers.give_back(index);
            return None;
        }
        Some(index)
    }

    /// Closes an adjacency and frees its index.
    pub(crate) fn remove(&mut self, numbers: &mut Numbers, index: usize) {
        if let Some(key) = self.key(index)
            && let Some(adjacency) = self.get(index)
        {
            self.index.remove(self.index.tag(key), index);
            adjacency.max_len.store(0, Ordering::Relaxed);
            adjacency.family.store(FREE, Ordering::Relaxed);
            numbers.give_back(index);
        }
    }

    /// Enters a key into the hash, which grows with the number of adjacencies. Returns `false` if
    /// there is no place for it however large the hash is.
    fn enter(&mut self, key: Key, index: usize, used: usize) -> bool {
        let tag = self.index.tag(key);
        let mut bits = self.index.bits();
        let crowded = used * 4 > 1 << bits;
        if !crowded && self.index.insert(tag, index) {
            return true;
        }
        // More than this would not help: the table is nearly empty by then.
        let most = (4 * PER_INTERFACE * MAX_INTERFACES * 8).ilog2();
        while bits < most {
            bits += 1;
            // The one that is entered is among those that there are.
            if self.grow_index(bits) {
                return true;
            }
        }
        self.index.insert(tag, index)
    }

    /// Lets the fast path send to a neighbor: `mac_addresses` are the destination and the source of the
    /// Ethernet header, `max_len` is the length of the longest frame, in bytes.
    pub(crate) fn open(&self, index: usize, mac_addresses: [u8; 12], max_len: u32) {
        if let Some(a) = self.list.get(index) {
            a.set_mac_addresses(mac_addresses);
            a.max_len.store(max_len, Ordering::Release);
        }
    }

    /// Keeps the fast path from sending to a neighbor. Its MAC address stays.
    pub(crate) fn close(&self, index: usize) {
        if let Some(a) = self.list.get(index) {
            a.max_len.store(0, Ordering::Relaxed);
        }
    }

    /// Returns `true` if the fast path may send to a neighbor.
    pub(crate) fn is_open(&self, index: usize) -> bool {
        self.get(index).is_some_and(|a| a.max_len() != 0)
    }

    /// Returns the MAC address of a neighbor, or of zeros if it was never known.
    pub(crate) fn mac(&self, index: usize) -> Option<Mac> {
        let mac_addresses = self.list.get(index)?.mac_addresses();
        mac_addresses.first_chunk().copied().map(Mac)
    }

    /// Sets the used mark of a neighbor.
    #[cfg(test)]
    pub(crate) fn set_used(&self, index: usize, used: bool) {
        if let Some(a) = self.list.get(index) {
            a.used.store(used, Ordering::Relaxed);
        }
    }

    /// Returns `true` if a neighbor was sent to since this was last called.
    pub(crate) fn take_used(&self, index: usize) -> bool {
        let used = self.list.get(index).map(|a| &a.used);
        used.is_some_and(|used| used.load(Ordering::Relaxed) && used.swap(false, Ordering::Relaxed))
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

    /// Adjacencies with the numbers that they have.
    struct All(Adjacencies, Numbers);

    impl All {
        fn new(key: u64) -> Self {
            Self(Adjacencies::new(key), Numbers::default())
        }

        fn insert(&mut self, key: Key) -> Option<usize> {
            self.0.insert(&mut self.1, key)
        }

        fn remove(&mut self, index: usize) {
            self.0.remove(&mut self.1, index);
        }
    }

    impl core::ops::Deref for All {
        type Target = Adjacencies;

        fn deref(&self) -> &Adjacencies {
            &self.0
        }
    }

    #[test]
    fn an_adjacency_begins_closed_whoever_had_its_index_before() {
        let mut all = All::new(1);
        let index = all.insert(KEY).unwrap();
        all.open(index, [2; 12], 1514);
        all.get(index).unwrap().touch();
        all.remove(index);
        assert_eq!(
            (all.key(index), all.find(KEY.interface, KEY.address)),
            (None, None)
        );
        assert_eq!(
            all.get(index).unwrap().max_len(),
            0,
            "a lane may still look"
        );
        all.remove(index);
        let other = Key {
            interface: InterfaceId(2),
            ..KEY
        };
        assert_eq!(all.insert(other), Some(index));
        let adjacency = all.get(index).unwrap();
        assert_eq!((adjacency.max_len(), adjacency.out()), (0, 2));
        assert_eq!(all.mac(index), Some(Mac::default()));
        assert_eq!(all.key(index), Some(other));
        assert!(!all.take_used(index));
        assert_ne!(all.insert(KEY), Some(index), "freed once, used once");
    }

    #[test]
    fn a_closed_adjacency_keeps_its_mac_address() {
        let mut all = All::new(1);
        let index = all.insert(KEY).unwrap();
        all.open(index, [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1], 1514);
        assert_eq!(all.get(index).unwrap().max_len(), 1514);
        all.close(index);
        assert_eq!(all.get(index).unwrap().max_len(), 0);
        assert_eq!(all.mac(index), Some(Mac([2, 0, 0, 0, 0, 9])));
    }

    #[test]
    fn that_it_was_sent_to_is_read_once() {
        let mut all = All::new(1);
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
            let mut all = All::new(key);
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
