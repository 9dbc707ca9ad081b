//! How a run of frames leaves, and those that don't.

use router::InterfaceId;
use router::vlan::Tags;

/// Where frames come from, and how they leave.
#[derive(Clone, Copy)]
pub(crate) struct TxPath {
    /// Index of their pool.
    pub(crate) from: usize,
    /// The interface that they leave by.
    pub(crate) out: InterfaceId,
    /// The tags they get there.
    pub(crate) tags: Tags,
    /// The time, in ns.
    pub(crate) now: u64,
}

/// Frames that found no room.
#[derive(Default)]
pub(crate) struct TxDrops {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

impl TxDrops {
    /// One frame of `len` bytes.
    pub(crate) fn of(len: usize) -> Self {
        Self {
            frames: 1,
            bytes: len as u64,
        }
    }

    /// Adds a frame of `len` bytes.
    pub(crate) fn add(&mut self, len: usize) {
        self.join(Self::of(len));
    }

    /// Adds those of `other`.
    pub(crate) fn join(&mut self, other: Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
    }
}
