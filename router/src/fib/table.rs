//! A longest-prefix match table whose prefixes come and go one by one.

use alloc::collections::BTreeMap;

/// An address of either family, as a number in host order.
pub trait Address: Copy + Ord + core::fmt::Debug {
    /// Its length in bits.
    const BITS: u8;

    /// The address with all bits beyond the first `len` cleared.
    #[must_use]
    fn masked(self, len: u8) -> Self;
}

impl Address for u32 {
    const BITS: u8 = 32;

    fn masked(self, len: u8) -> Self {
        self & !u32::MAX.checked_shr(len.into()).unwrap_or(0)
    }
}

impl Address for u128 {
    const BITS: u8 = 128;

    fn masked(self, len: u8) -> Self {
        self & !u128::MAX.checked_shr(len.into()).unwrap_or(0)
    }
}

/// From prefixes to values: any `u32`, the numbers of targets in the router.
///
/// Bits of a prefix beyond its length don't matter, and lengths beyond the family's count as
/// the family's.
#[derive(Debug)]
pub struct Table<A> {
    routes: BTreeMap<(u8, A), u32>,
    default: u32,
}

impl<A: Address> Table<A> {
    /// A table without prefixes. Lookups that match nothing answer with `default`.
    pub fn new(default: u32) -> Self {
        Self {
            routes: BTreeMap::new(),
            default,
        }
    }

    /// Adds a prefix or changes its value. Returns the value it had.
    pub fn insert(&mut self, prefix: A, len: u8, value: u32) -> Option<u32> {
        let len = len.min(A::BITS);
        self.routes.insert((len, prefix.masked(len)), value)
    }

    /// Removes a prefix. Returns the value it had.
    pub fn remove(&mut self, prefix: A, len: u8) -> Option<u32> {
        let len = len.min(A::BITS);
        self.routes.remove(&(len, prefix.masked(len)))
    }

    /// The value of exactly this prefix.
    pub fn get(&self, prefix: A, len: u8) -> Option<u32> {
        let len = len.min(A::BITS);
        self.routes.get(&(len, prefix.masked(len))).copied()
    }

    /// The value of the longest prefix that holds `address`.
    pub fn lookup(&self, address: A) -> u32 {
        (0..=A::BITS)
            .rev()
            .find_map(|len| self.get(address, len))
            .unwrap_or(self.default)
    }

    /// Looks up many addresses at once, best 64: `values[i]` becomes the answer for
    /// `addresses[i]`, as far as both slices reach.
    pub fn lookup_batch(&self, addresses: &[A], values: &mut [u32]) {
        for (&address, value) in addresses.iter().zip(values) {
            *value = self.lookup(address);
        }
    }

    /// How many prefixes it has.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}
