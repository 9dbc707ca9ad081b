//! Fields of a header, read without a check for each: bytes beyond the end are 0.

use crate::frame::Header;

impl Header {
    #[inline(always)]
    pub(crate) fn bytes_at<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0
            .get(at..)
            .and_then(|b| b.first_chunk().copied())
            .unwrap_or([0; N])
    }

    /// 16 bits as they stand in memory.
    #[inline(always)]
    pub(crate) fn u16_at(&self, at: usize) -> u16 {
        u16::from_ne_bytes(self.bytes_at(at))
    }

    /// 32 bits as they stand in memory.
    #[inline(always)]
    pub(crate) fn u32_at(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.bytes_at(at))
    }

    /// 64 bits as they stand in memory.
    #[inline(always)]
    pub(crate) fn u64_at(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.bytes_at(at))
    }

    /// 128 bits in network byte order.
    #[inline(always)]
    pub(crate) fn u128_at(&self, at: usize) -> u128 {
        u128::from_be_bytes(self.bytes_at(at))
    }
}
