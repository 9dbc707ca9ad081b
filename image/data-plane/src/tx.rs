//! The path of a run of frames, and those that are dropped.

use page_pool::{Frame, HomeId};
use router::vlan::Tags;
use router::{DropReason, Header, InterfaceId, Lane};

/// Where frames come from, and how they leave.
#[derive(Clone, Copy)]
pub(crate) struct TxPath {
    /// Index of their pool.
    pub(crate) from: usize,
    /// The interface that they leave by.
    pub(crate) out: InterfaceId,
    /// The tags they get there.
    pub(crate) tags: Tags,
    /// The time when they came, in ns.
    pub(crate) now: u64,
}

/// A run of frames of a burst that leave by the same vif.
pub(crate) struct Run<'a> {
    pub(crate) path: TxPath,
    /// The pages that they were received into.
    pub(crate) home: HomeId,
    /// The first bytes of each, as they are to leave.
    pub(crate) headers: &'a [Header],
    pub(crate) frames: &'a mut [Frame],
}

/// Frames that can't leave, and their bytes.
#[derive(Clone, Copy, Default)]
struct Lost {
    frames: u64,
    bytes: u64,
}

/// Frames of a run that don't leave.
#[derive(Default)]
#[must_use]
pub(crate) struct TxDrops {
    /// They found no room.
    full: Lost,
    /// They can't be segmented.
    bad_gso: Lost,
}

impl TxDrops {
    /// One frame of `len` bytes that found no room.
    pub(crate) fn full(len: usize) -> Self {
        let mut drops = Self::default();
        drops.add_full(len);
        drops
    }

    /// One frame of `len` bytes that can't be segmented.
    pub(crate) fn bad_gso(len: usize) -> Self {
        let bad_gso = Lost {
            frames: 1,
            bytes: len as u64,
        };
        Self {
            bad_gso,
            ..Self::default()
        }
    }

    /// Adds a frame of `len` bytes that found no room.
    pub(crate) fn add_full(&mut self, len: usize) {
        self.full.frames += 1;
        self.full.bytes += len as u64;
    }

    /// Adds those of `other`.
    pub(crate) fn join(&mut self, other: Self) {
        self.full.frames += other.full.frames;
        self.full.bytes += other.full.bytes;
        self.bad_gso.frames += other.bad_gso.frames;
        self.bad_gso.bytes += other.bad_gso.bytes;
    }

    /// Counts them on the interface that they should have left by.
    #[inline]
    pub(crate) fn count(self, lane: &mut Lane, out: InterfaceId) {
        if self.full.frames + self.bad_gso.frames > 0 {
            self.count_some(lane, out);
        }
    }

    #[cold]
    fn count_some(self, lane: &mut Lane, out: InterfaceId) {
        for (reason, lost) in [
            (DropReason::TxFull, self.full),
            (DropReason::BadGso, self.bad_gso),
        ] {
            if lost.frames > 0 {
                lane.count_unsent(out, reason, lost.frames, lost.bytes);
            }
        }
    }
}
