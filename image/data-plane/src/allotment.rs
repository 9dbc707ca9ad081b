//! The division of the pages of a vif's queue.

use netif::messages::MAX_SLOTS;
use router::BURST;

/// The number of pages that a queue keeps for receiving, if it has as many: netback delivers a
/// large frame only if there is room for [`MAX_SLOTS`].
const KEPT: usize = MAX_SLOTS + 6;

/// The pages of a vif's queue by purpose. Each part is a separate home in the pool, so that none
/// takes pages from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allotment {
    /// For receiving, and for sending on from there.
    pub(crate) receive: usize,
    /// For copies that leave by the vif.
    pub(crate) copies: usize,
    /// For segments that leave by the vif. If there are none, segments are copies.
    ///
    /// Copies and segments lend each other half of what they have.
    pub(crate) segments: usize,
}

impl Allotment {
    /// Divides `pages` pages of a vif, of which large frames leave in `segments` or whole.
    pub(crate) fn of(pages: usize, segments: bool) -> Self {
        let (copies, segments) = if segments {
            (pages / 8, pages / 4)
        } else {
            (pages / 4, 0)
        };
        Self {
            receive: pages - copies - segments,
            copies,
            segments,
        }
    }

    /// Returns the maximum number of frames per event: a quarter of the pages for receiving, so
    /// that the backend has pages for more until the event is handled.
    pub(crate) fn most_a_wake(&self) -> u32 {
        u32::try_from(self.receive / 4).unwrap_or(u32::MAX).max(1)
    }

    /// Returns the maximum number of copies, of a page each, that leave by the vif.
    pub(crate) fn most_copies(&self) -> usize {
        self.copies + self.segments.div_ceil(2)
    }

    /// Returns the number of frames that wait to leave by the vif at most: a burst, or about what
    /// the only other one lends it beyond a full ring.
    pub(crate) fn most_waiting(&self) -> usize {
        (self.receive / 3).max(BURST)
    }

    /// Returns the number of pages that are never sent on, so that there are always some to receive
    /// into.
    pub(crate) fn floor(&self) -> usize {
        (self.receive / 8).max(KEPT.min(self.receive / 4))
    }

    /// Returns the maximum number of pages lent to one of `others` other vifs: an equal share for
    /// each, and at least the largest frame, of `largest` pages, or four. Frames may also leave by
    /// the vif itself: if it has sub-interfaces (`tags`) with a share of its own, otherwise with
    /// what is left.
    pub(crate) fn share(&self, others: usize, tags: bool, largest: usize) -> usize {
        let lent = self.receive - self.floor();
        let part = if tags {
            lent / (others + 1)
        } else {
            lent.saturating_sub(largest) / others.max(1)
        };
        part.max(largest.max(4)).min(lent)
    }
}

/// Room that there is to be for what is read, where an output that has nothing takes `most` pages: a
/// burst, or so much that the output has work until there is room for more.
pub(crate) fn enough_room(most: usize, largest: usize) -> usize {
    BURST.min(most / 2).max(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_what_it_needs() {
        for pages in 32..=684 {
            for segments in [false, true] {
                let it = Allotment::of(pages, segments);
                assert_eq!(it.receive + it.copies + it.segments, pages);
                assert!(it.copies >= 4, "{it:?}");
                assert!(!segments || it.segments >= 8, "{it:?}");
                // A large frame comes where they are taken, and goes.
                if pages >= 128 {
                    assert!(it.floor() > MAX_SLOTS, "{it:?}");
                    assert!(it.receive - it.floor() >= 2 * MAX_SLOTS, "{it:?}");
                    assert!(it.copies >= 16, "{it:?}");
                }
                for (others, tags) in (0..16).flat_map(|n| [(n, false), (n, true)]) {
                    for largest in [1, 3, MAX_SLOTS] {
                        let share = it.share(others, tags, largest);
                        assert!(share >= 1 && share + it.floor() <= it.receive, "{it:?}");
                        assert!(enough_room(share, largest) >= 1);
                        if share > largest.max(4) && others > 0 {
                            // All others together leave it its floor, and what leaves by itself.
                            let own = if tags { share } else { largest };
                            assert!(share * others + own + it.floor() <= it.receive);
                        }
                    }
                }
            }
        }
        // A full ring can be sent on where there is only one other vif, and a large frame by each
        // of as many as there may be.
        let most = Allotment::of(684, false);
        assert!(most.share(1, false, MAX_SLOTS) >= 256);
        let each = most.share(15, false, MAX_SLOTS);
        assert!(16 * each.min(MAX_SLOTS) + most.floor() <= most.receive);
    }
}
