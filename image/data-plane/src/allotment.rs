//! How the pages of a vif's queue are divided.

use netif::messages::MAX_SLOTS;
use router::BURST;

/// Pages that a queue keeps to receive with, if it has as many: a large frame comes only if there
/// is room for [`MAX_SLOTS`].
const KEPT: usize = MAX_SLOTS + 6;

/// The pages of a vif's queue, by what they are for. Each part is a home of its own in the pool,
/// so that none takes pages from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allotment {
    /// To receive into, and to be sent on from there.
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

    /// Pages that are never sent on, so that there are always some to receive into.
    pub(crate) fn floor(&self) -> usize {
        (self.receive / 8).max(KEPT.min(self.receive / 4))
    }

    /// Most pages that are sent on by one of `others` other vifs: a part for each, and at least
    /// what two of the largest frames need, of `largest` pages.
    pub(crate) fn share(&self, others: usize, largest: usize) -> usize {
        let lent = self.receive - self.floor();
        (lent / others.max(1)).max(2 * largest).min(lent)
    }
}

/// Room that there is to be for what is read, where an output has `share` pages if it has nothing:
/// a burst, or so much that the output has work until there is room for more.
pub(crate) fn enough_room(share: usize, largest: usize) -> usize {
    BURST.min(share / 2).max(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_what_it_needs() {
        for pages in 32..=512 {
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
                for others in 0..16 {
                    for largest in [1, 3, MAX_SLOTS] {
                        let share = it.share(others, largest);
                        assert!(share >= 1 && share + it.floor() <= it.receive, "{it:?}");
                        assert!(enough_room(share, largest) >= 1);
                        if share > 2 * largest && others > 0 {
                            // All others together leave it its floor.
                            assert!(share * others + it.floor() <= it.receive);
                        }
                    }
                }
            }
        }
        // A full ring can be sent on where there is only one other vif.
        assert!(Allotment::of(512, false).share(1, MAX_SLOTS) >= 256);
    }
}
