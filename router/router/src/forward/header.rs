//! Access to fields of a header without bounds checks for each: bytes beyond the end read as 0.

use crate::frame::Header;

impl Header {
    #[inline(always)]
    pub(crate) fn bytes_at<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0
            .get(at..)
            .and_then(|b| b.first_chunk().copied())
            .unwrap_or([0; N])
    }

    /// Returns the 16 bits at `at` in native byte order.
    #[inline(always)]
    pub(crate) fn u16_at(&self, at: usize) -> u16 {
        u16::from_ne_bytes(self.bytes_at(at))
    }

    /// Returns the 32 bits at `at` in native byte order.
    #[inline(always)]
    pub(crate) fn u32_at(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.bytes_at(at))
    }

    /// Returns the 64 bits at `at` in native byte order.
    #[inline(always)]
    pub(crate) fn u64_at(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.bytes_at(at))
    }

    /// Returns the 128 bits at `at`, converted from network byte order.
    #[inline(always)]
    pub(crate) fn u128_at(&self, at: usize) -> u128 {
        u128::from_be_bytes(self.bytes_at(at))
    }
}
