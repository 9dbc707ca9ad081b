//! Addresses of both families as numbers.

/// An address of either family, as a number in host order.
pub trait Address: Copy + Ord + Send + Sync + core::fmt::Debug {
    /// Its length in bits.
    const BITS: u8;
    /// The address of which all bits are 0.
    const ZERO: Self;
    /// Leading bits that pick an entry of [`Table`](crate::Table)'s index.
    const INDEX: u32;
    /// Prefixes that a block must have before its nodes are indexed. An index takes 240 KiB.
    const MANY: u32;
    /// Prefixes from which on the codes of all indexed slots are kept, 16 MiB: worth it where most
    /// lookups end there. `INDEX` is 6 then. `usize::MAX` for never.
    const FLAT: usize;

    /// Returns the address with all bits beyond the first `len` cleared.
    #[must_use]
    fn masked(self, len: u8) -> Self;

    /// Returns the address with the bits of `value` put in `depth` bits from the left, `width` of
    /// them.
    #[must_use]
    fn with_bits(self, depth: u32, width: u32, value: u32) -> Self;

    /// Returns the `width` bits that follow the first `depth`; those beyond the end are 0.
    fn bits(self, depth: u32, width: u32) -> usize;

    /// Returns the 64 bits that follow the first `depth`; those beyond the end are 0.
    fn rest(self, depth: u32) -> u64;
}

impl Address for u32 {
    const BITS: u8 = 32;
    const ZERO: Self = 0;
    /// Blocks of addresses as large as a /6: a full table has prefixes in nearly all.
    const INDEX: u32 = 6;
    const MANY: u32 = 1024;
    const FLAT: usize = 128 << 10;

    #[inline]
    fn masked(self, len: u8) -> Self {
        self & !u32::MAX.checked_shr(len.into()).unwrap_or(0)
    }

    #[inline]
    fn with_bits(self, depth: u32, width: u32, value: u32) -> Self {
        self | ((u64::from(value) << (64 - width)) >> depth >> 32) as u32
    }

    #[inline(always)]
    fn bits(self, depth: u32, width: u32) -> usize {
        ((self << depth) >> (32 - width)) as usize
    }

    #[inline(always)]
    fn rest(self, depth: u32) -> u64 {
        u64::from(self) << 32 << depth
    }
}

impl Address for u128 {
    const BITS: u8 = 128;
    const ZERO: Self = 0;
    /// The size of block that IANA gives to a registry, a /12.
    const INDEX: u32 = 12;
    const MANY: u32 = 1024;
    const FLAT: usize = usize::MAX;

    #[inline]
    fn masked(self, len: u8) -> Self {
        self & !u128::MAX.checked_shr(len.into()).unwrap_or(0)
    }

    #[inline]
    fn with_bits(self, depth: u32, width: u32, value: u32) -> Self {
        self | u128::from(value) << (128 - width) >> depth
    }

    #[inline(always)]
    fn bits(self, depth: u32, width: u32) -> usize {
        if depth + width <= 64 {
            (((self >> 64) as u64) << depth >> (64 - width)) as usize
        } else {
            (self << depth >> (128 - width)) as usize
        }
    }

    #[inline(always)]
    fn rest(self, depth: u32) -> u64 {
        (self << depth >> 64) as u64
    }
}
