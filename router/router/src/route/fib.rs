//! The forwarding table: from destinations to what is done with packets to them.

use alloc::vec::Vec;

use crate::route::overlay::OverlaidTable;
use crate::route::target::Target;
use lpm::HIDDEN;
use lpm::frozen::{FrozenTable, Route};

use crate::DropReason;
use crate::frame::BURST;

/// IPv4 tables with more prefixes than this have no quick copy.
const COPIED: usize = 16 * 1024;
/// Nodes of a large one that are seen to at once, which takes some 100 us.
const AT_ONCE: usize = 1024;

/// A table of IPv4. It takes single changes at any time. Lookups of a small one are quicker in a form
/// that can't be changed, so there is a copy in that form, unless something changed since it
/// was made.
#[derive(Debug)]
pub(crate) struct Fib {
    pub(crate) v4: OverlaidTable<u32>,
    copy: Option<FrozenTable>,
}

impl Fib {
    /// A table without prefixes.
    pub(crate) fn new() -> Self {
        Self {
            v4: OverlaidTable::new(),
            copy: None,
        }
    }

    /// Notes that the table changed.
    pub(crate) fn changed(&mut self) {
        self.copy = None;
    }

    /// Returns `true` if lookups are as quick as they can be.
    pub(crate) fn is_settled(&self) -> bool {
        let table = self.v4.table();
        table.is_settled() && (self.copy.is_some() || table.len() > COPIED)
    }

    /// Copies the table again, if it is small and changed, and brings a part of a large one into
    /// the form in which lookups are quick.
    pub(crate) fn settle(&mut self) {
        self.v4.settle(AT_ONCE);
        let table = self.v4.table();
        if self.copy.is_some() || table.len() > COPIED {
            return;
        }
        let mut routes = Vec::with_capacity(table.len());
        table.for_each(|prefix, len, value| {
            if value & HIDDEN == 0 {
                routes.push(Route { prefix, len, value });
            }
        });
        let default = Target::Drop(DropReason::NoRoute).number();
        self.copy = Some(FrozenTable::new(&mut routes, default));
    }

    /// The target for a destination; a group is not yet resolved.
    #[inline]
    pub(crate) fn lookup(&self, destination: u32) -> Target {
        Target::from_number(self.number(destination))
    }

    /// The same as a number.
    #[inline(always)]
    pub(crate) fn number(&self, destination: u32) -> u32 {
        match &self.copy {
            Some(copy) => copy.lookup(destination),
            None => self.v4.lookup(destination),
        }
    }

    /// Replaces the destinations of a burst by the numbers of their targets, or by what `go_on`
    /// makes of such a number and the destination.
    #[inline(always)]
    pub(crate) fn answer(&self, burst: &mut [u32], go_on: impl Fn(u32, u32) -> u32) {
        let Some(copy) = &self.copy else {
            return self.answer_at_once(burst, go_on);
        };
        // Frames of one flow come in trains: what was asked last is often asked again.
        let mut asked = !burst.first().copied().unwrap_or(0);
        let mut answer = 0;
        for lookup in burst {
            if *lookup != asked {
                asked = *lookup;
                answer = go_on(copy.lookup(asked), asked);
            }
            *lookup = answer;
        }
    }

    /// The same in a table without a copy, where lookups miss the cache: all together, so that
    /// the misses overlap.
    #[inline(never)]
    #[expect(
        clippy::indexing_slicing,
        reason = "remainders of the length, and a count of at most that"
    )]
    fn answer_at_once(&self, burst: &mut [u32], go_on: impl Fn(u32, u32) -> u32) {
        let (mut asked, mut answers) = ([0u32; BURST], [0u32; BURST]);
        let mut count = 0usize;
        for lookup in burst.iter_mut() {
            if count == 0 || asked[(count - 1) % BURST] != *lookup {
                asked[count % BURST] = *lookup;
                count += 1;
            }
            *lookup = count as u32 - 1;
        }
        let count = count.min(BURST);
        let (asked, found) = (&asked[..count], &mut answers[..count]);
        self.v4.table().lookup_batch(asked, found);
        for (answer, &asked) in found.iter_mut().zip(asked) {
            *answer = go_on(*answer, asked);
        }
        for lookup in burst {
            *lookup = answers[*lookup as usize % BURST];
        }
    }

    /// Bytes that the table takes, its copy included.
    pub(crate) fn bytes(&self) -> usize {
        self.v4.table().bytes() + self.copy.as_ref().map_or(0, FrozenTable::bytes)
    }
}
