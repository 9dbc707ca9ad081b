//! Frame numbers.

/// The hypervisor's number of a page: a machine frame number (MFN) in a paravirtualized guest, a
/// guest frame number (GFN) in any other (mm.h, "Frame numbers").
///
/// No frame number may be kept over a suspension: a paravirtualized domain is restored into other
/// machine frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct FrameNumber(pub u64);

impl FrameNumber {
    /// Binary digits of an address within a page (`PAGE_SHIFT`).
    pub const PAGE_SHIFT: u32 = 12;

    /// Returns the frame that has this physical address.
    #[must_use]
    pub const fn containing(physical_address: u64) -> Self {
        Self(physical_address >> Self::PAGE_SHIFT)
    }

    /// Returns the physical address of the frame's first byte.
    #[must_use]
    pub const fn physical_address(self) -> u64 {
        self.0 << Self::PAGE_SHIFT
    }
}

#[cfg(test)]
mod tests {
    use super::FrameNumber;

    #[test]
    fn a_frame_contains_4096_addresses() {
        assert_eq!(FrameNumber::containing(0x1_2fff), FrameNumber(0x12));
        assert_eq!(FrameNumber::containing(0x1_3000), FrameNumber(0x13));
        assert_eq!(FrameNumber(0x12).physical_address(), 0x1_2000);
    }
}
