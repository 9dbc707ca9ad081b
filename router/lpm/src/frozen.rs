//! Longest-prefix match for IPv4 in an immutable table.
//!
//! A table indexed by the leading 8 or 16 bits of the address gives either the answer or a
//! node for the next 8 bits. A node is a bitmap of 256 bits in four blocks: a bit is set
//! where the answer differs from the one before it, so that counting the bits up to an
//! address's byte finds its entry in a list that holds each run of equal answers once.
//! It is related to poptrie and Lulea tables, with a stride of an octet.

use alloc::collections::BinaryHeap;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::address::Address;

/// A prefix and its value, which is below 2^31.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The prefix; bits beyond its length don't matter.
    pub prefix: u32,
    /// Its length in bits; larger values count as 32.
    pub len: u8,
    /// The value that a lookup returns.
    pub value: u32,
}

/// Marks an entry that is the number of a node's first block.
const NODE: u32 = 1 << 31;

/// Tables with more prefixes than this get a first level of 16 bits (256 KiB).
const SMALL: usize = 256;

/// A quarter of a node.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(16))]
struct Block {
    /// Where the answer differs from the one before.
    starts: u64,
    /// Entry of the first run that begins in this block, less 1.
    base: u32,
}

/// An immutable table of IPv4 prefixes. Clones share the memory.
#[derive(Clone, Debug)]
pub struct FrozenTable {
    /// Bits of the address that index `root`: 8 or 16.
    root_bits: u32,
    /// 32 − `root_bits`.
    root_shift: u32,
    root: Arc<[u32]>,
    blocks: Arc<[Block]>,
    entries: Arc<[u32]>,
}

/// The nodes of a table that is being built.
#[derive(Default)]
struct Nodes {
    blocks: Vec<Block>,
    entries: Vec<u32>,
}

impl Nodes {
    /// Returns the answers for the `bits` bits that follow the first `skip`, given the routes
    /// longer than `skip` within one prefix of that length.
    fn level(&mut self, routes: &[Route], skip: u32, bits: u32, inherited: u32) -> Vec<u32> {
        let slots = 1usize << bits;
        let slot_of = |prefix: u32| ((prefix << skip) >> (32 - bits)) as usize;
        let mut answers = vec![inherited; slots];
        for route in routes.iter().filter(|r| u32::from(r.len) <= skip + bits) {
            let first = slot_of(route.prefix);
            let run = 1usize << (skip + bits - u32::from(route.len));
            if let Some(run) = answers.get_mut(first..first + run) {
                run.fill(route.value);
            }
        }
        let mut rest = routes;
        while let Some(first) = rest.iter().position(|r| u32::from(r.len) > skip + bits) {
            let longer = rest.get(first..).unwrap_or(&[]);
            let slot = longer.first().map_or(0, |r| slot_of(r.prefix));
            let end = longer.partition_point(|r| slot_of(r.prefix) <= slot);
            let (inside, after) = longer.split_at(end);
            if let Some(answer) = answers.get(slot).copied() {
                let node = self.node(inside, skip + bits, answer);
                if let Some(answer) = answers.get_mut(slot) {
                    *answer = node;
                }
            }
            rest = after;
        }
        answers
    }

    fn node(&mut self, routes: &[Route], skip: u32, inherited: u32) -> u32 {
        let number = u32::try_from(self.blocks.len()).unwrap_or(0);
        self.blocks.resize(self.blocks.len() + 4, Block::default());
        let answers = self.level(routes, skip, 8, inherited);
        let mut before = None;
        for (i, quarter) in answers.chunks(64).enumerate() {
            let base = u32::try_from(self.entries.len())
                .unwrap_or(0)
                .wrapping_sub(1);
            let mut starts = 0;
            for (bit, &answer) in quarter.iter().enumerate() {
                // Each block counts its own bits only, so each begins a run.
                if bit == 0 || before != Some(answer) {
                    starts |= 1u64 << bit;
                    self.entries.push(answer);
                }
                before = Some(answer);
            }
            if let Some(block) = self.blocks.get_mut(number as usize + i) {
                *block = Block { starts, base };
            }
        }
        NODE | number
    }
}

impl Default for FrozenTable {
    /// Returns a table without prefixes, in which every lookup returns 0.
    fn default() -> Self {
        Self::new(&mut [], 0)
    }
}

impl FrozenTable {
    /// Builds a table of `routes`, which it sorts. Of several routes for the same prefix, the last one
    /// counts; addresses without a route get `default`.
    pub fn new(routes: &mut [Route], default: u32) -> Self {
        // Parents sort before children, so that painting in this order nests correctly, and later
        // duplicates behind earlier ones. A heap's code is a tenth of a merge sort's.
        let places = routes.iter().enumerate().map(|(at, route)| {
            let len = route.len.min(32);
            (route.prefix.masked(len), len, at, route.value)
        });
        let sorted = places.collect::<BinaryHeap<_>>().into_sorted_vec();
        for (route, (prefix, len, _, value)) in routes.iter_mut().zip(sorted) {
            *route = Route { prefix, len, value };
        }
        let root_bits = if routes.len() > SMALL { 16 } else { 8 };
        let mut nodes = Nodes::default();
        let root = nodes.level(routes, 0, root_bits, default);
        Self {
            root_bits,
            root_shift: 32 - root_bits,
            root: root.into(),
            blocks: nodes.blocks.into(),
            entries: nodes.entries.into(),
        }
    }

    /// Returns the first step of a lookup, which is where a large table misses the cache first.
    #[inline(always)]
    fn begin(&self, address: u32) -> u32 {
        self.root
            .get((address >> self.root_shift) as usize)
            .copied()
            .unwrap_or(0)
    }

    /// Returns the rest of a lookup.
    #[inline(always)]
    fn finish(&self, mut entry: u32, address: u32) -> u32 {
        let mut rest = address.wrapping_shl(self.root_bits);
        while entry & NODE != 0 {
            let number = (entry ^ NODE).wrapping_add(rest >> 30) as usize;
            let Some(block) = self.blocks.get(number) else {
                return 0;
            };
            let upto = block.starts.wrapping_shl(!(rest >> 24));
            let at = block.base.wrapping_add(upto.count_ones()) as usize;
            let Some(&next) = self.entries.get(at) else {
                return 0;
            };
            entry = next;
            rest <<= 8;
        }
        entry
    }

    /// Returns the value of the longest prefix that holds `address`.
    #[inline]
    pub fn lookup(&self, address: u32) -> u32 {
        self.finish(self.begin(address), address)
    }

    /// Returns the size of the table in bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.root) + size_of_val(&*self.blocks) + size_of_val(&*self.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::net::Ipv4Addr;
    use prefix_trie::PrefixMap;
    use proptest::prelude::*;

    fn route(text: &str, value: u32) -> Route {
        let (address, len) = text.split_once('/').unwrap();
        let prefix = address.parse::<Ipv4Addr>().unwrap().to_bits();
        Route {
            prefix,
            len: len.parse().unwrap(),
            value,
        }
    }

    fn ask(lpm: &FrozenTable, address: &str) -> u32 {
        lpm.lookup(address.parse::<Ipv4Addr>().unwrap().to_bits())
    }

    #[test]
    fn nested_prefixes() {
        let mut routes = [
            route("10.0.0.0/8", 1),
            route("10.0.0.0/24", 2),
            route("10.0.0.1/32", 3),
            route("10.0.0.128/25", 4),
            route("10.1.0.0/16", 5),
            route("255.255.255.255/32", 6),
            route("0.0.0.0/32", 7),
        ];
        let lpm = FrozenTable::new(&mut routes, 0);
        for (address, value) in [
            ("10.0.0.0", 2),
            ("10.0.0.1", 3),
            ("10.0.0.2", 2),
            ("10.0.0.127", 2),
            ("10.0.0.128", 4),
            ("10.0.0.255", 4),
            ("10.0.1.0", 1),
            ("10.1.255.255", 5),
            ("10.255.0.0", 1),
            ("11.0.0.0", 0),
            ("255.255.255.255", 6),
            ("255.255.255.254", 0),
            ("0.0.0.0", 7),
            ("0.0.0.1", 0),
        ] {
            assert_eq!(ask(&lpm, address), value, "{address}");
        }
    }

    #[test]
    fn the_last_of_equal_prefixes_counts() {
        let mut routes = [
            route("10.0.0.0/24", 1),
            route("10.0.0.0/24", 2),
            route("0.0.0.0/0", 3),
        ];
        let lpm = FrozenTable::new(&mut routes, 0);
        assert_eq!(ask(&lpm, "10.0.0.9"), 2);
        assert_eq!(ask(&lpm, "9.0.0.9"), 3);
    }

    fn prefixes() -> impl Strategy<Value = Vec<(u32, u8)>> {
        // Half the addresses share their leading bits, so that prefixes nest.
        let address = prop_oneof![
            any::<u32>(),
            (0u32..1 << 14).prop_map(|low| 0x0a00_0000 | low)
        ];
        prop::collection::vec((address, 0u8..=32), 0..400)
    }

    proptest! {
        #[test]
        fn agrees_with_an_oracle(prefixes in prefixes(), probes in prop::collection::vec(any::<u32>(), 64)) {
            let mut oracle: PrefixMap<(u32, u8), u32> = PrefixMap::new();
            let mut routes = Vec::new();
            for (value, &(address, len)) in (1u32..).zip(&prefixes) {
                let prefix = address.masked(len);
                oracle.insert((prefix, len), value);
                routes.push(Route { prefix, len, value });
            }
            let lpm = FrozenTable::new(&mut routes, 0);
            let edges = prefixes.iter().flat_map(|&(address, len)| {
                let (first, last) = (address.masked(len), address | !u32::MAX.masked(len));
                [address, first, last, first.wrapping_sub(1), last.wrapping_add(1)]
            });
            for address in probes.iter().copied().chain(edges) {
                let wanted = oracle.get_lpm(&(address, 32)).map_or(0, |(_, &value)| value);
                prop_assert_eq!(lpm.lookup(address), wanted);
            }
        }
    }
}
