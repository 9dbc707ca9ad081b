//! Neighbors, asked for a few at a time: others may have the router have very many.

use alloc::vec;

use router::snapshot::{self, NeighborSnapshot};

use crate::platform::{Platform, with_router};

/// Places of the table that are asked for at once.
const AT_ONCE: usize = 64;

/// All neighbors. Each part is what there is when its turn comes.
#[derive(Clone)]
pub(super) struct Neighbors<'a> {
    platform: &'a dyn Platform,
    next: Option<usize>,
    part: vec::IntoIter<NeighborSnapshot>,
}

impl<'a> Neighbors<'a> {
    pub(super) fn new(platform: &'a dyn Platform) -> Self {
        Self {
            platform,
            next: Some(0),
            part: vec::IntoIter::default(),
        }
    }
}

impl Iterator for Neighbors<'_> {
    type Item = NeighborSnapshot;

    fn next(&mut self) -> Option<NeighborSnapshot> {
        loop {
            if let Some(neighbor) = self.part.next() {
                return Some(neighbor);
            }
            let start = self.next?;
            let (part, next) = with_router(self.platform, |router| {
                snapshot::neighbors_from(router, start, AT_ONCE)
            });
            (self.part, self.next) = (part.into_iter(), next);
        }
    }
}
