//! Memory for runs of 1 to 64 neighboring slots, in pages that never move.
//!
//! [`Runs`] says which slots are free, [`Pages`] and [`SharedPages`] hold what is in them; several
//! lists of pages can share one `Runs`. Growing takes some pages more and copies nothing, so that a
//! table never needs twice its size, and each page is one block of the heap.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::cell::SharedU32;

/// Slots of a group: the longest run, and what one word describes.
const GROUP: u32 = 64;
const NONE: u32 = u32::MAX;

/// 64 slots, and its neighbors in the list of groups with as long a free run.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// Bit for bit the free slots.
    free: u64,
    before: u32,
    after: u32,
}

/// Which slots are free. A run lies within 64 aligned slots, where freed neighbors grow
/// together by themselves; the tightest group with room is taken, so little is wasted.
#[derive(Debug)]
pub(crate) struct Runs {
    groups: Vec<Group>,
    /// The first group whose longest free run is this long, less 1.
    heads: [u32; GROUP as usize],
    /// Bit for bit the lists that aren't empty.
    filled: u64,
}

impl Runs {
    pub(crate) const fn new() -> Self {
        Self {
            groups: Vec::new(),
            heads: [NONE; GROUP as usize],
            filled: 0,
        }
    }

    /// Adds slots, a multiple of 64, that are free or else in use as one block.
    pub(crate) fn grow(&mut self, slots: usize, free: bool) -> u32 {
        let first = self.groups.len() as u32;
        let count = slots / GROUP as usize;
        self.groups.reserve_exact(count);
        let group = Group {
            free: if free { u64::MAX } else { 0 },
            before: NONE,
            after: NONE,
        };
        self.groups.resize(self.groups.len() + count, group);
        // The last one linked is taken first.
        for group in (first..first + count as u32).rev() {
            self.link(group);
        }
        first * GROUP
    }

    /// Takes a run of `len` slots, 1 to 64, if there is one.
    pub(crate) fn take(&mut self, len: u32) -> Option<u32> {
        let lists = self.filled & (u64::MAX << (len - 1));
        let group = *self.heads.get(lists.trailing_zeros() as usize)?;
        let free = self.groups[group as usize].free;
        let at = run_starts(free, len).trailing_zeros();
        self.change(group, free & !(ones(len) << at));
        Some(group * GROUP + at)
    }

    /// Gives a run back.
    pub(crate) fn give(&mut self, start: u32, len: u32) {
        let group = start / GROUP;
        let free = self.groups[group as usize].free;
        self.change(group, free | ones(len) << (start % GROUP));
    }

    fn change(&mut self, group: u32, free: u64) {
        let old = self.groups[group as usize].free;
        if longest_run(old) == longest_run(free) {
            self.groups[group as usize].free = free;
        } else {
            self.unlink(group);
            self.groups[group as usize].free = free;
            self.link(group);
        }
    }

    fn link(&mut self, group: u32) {
        let longest = longest_run(self.groups[group as usize].free);
        if longest == 0 {
            return;
        }
        let list = longest as usize - 1;
        let after = core::mem::replace(&mut self.heads[list], group);
        self.filled |= 1 << list;
        let this = &mut self.groups[group as usize];
        (this.before, this.after) = (NONE, after);
        if let Some(next) = self.groups.get_mut(after as usize) {
            next.before = group;
        }
    }

    fn unlink(&mut self, group: u32) {
        let Group {
            free,
            before,
            after,
        } = self.groups[group as usize];
        let longest = longest_run(free);
        if longest == 0 {
            return;
        }
        if let Some(next) = self.groups.get_mut(after as usize) {
            next.before = before;
        }
        if let Some(previous) = self.groups.get_mut(before as usize) {
            previous.after = after;
        } else {
            let list = longest as usize - 1;
            self.heads[list] = after;
            if after == NONE {
                self.filled &= !(1 << list);
            }
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Group>()
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.groups
            .iter()
            .map(|g| g.free.count_zeros() as usize)
            .sum()
    }
}

/// `len` ones, 1 to 64, from the lowest bit on.
fn ones(len: u32) -> u64 {
    u64::MAX >> (GROUP - len)
}

/// Returns the bits at which `len` ones begin.
fn run_starts(mut bits: u64, len: u32) -> u64 {
    let mut known = 1;
    while known < len {
        let step = known.min(len - known);
        bits &= bits >> step;
        known += step;
    }
    bits
}

/// Length of the longest run of ones.
fn longest_run(bits: u64) -> u32 {
    // Runs of at least 2^k, as long as there are any; then the rest of the length.
    let mut powers = [bits; 7];
    let mut k = 0;
    while powers[k] != 0 && k < 6 {
        powers[k + 1] = powers[k] & powers[k] >> (1u32 << k);
        k += 1;
    }
    if powers[k] != 0 {
        return GROUP;
    }
    if k == 0 {
        return 0;
    }
    let (mut found, mut len) = (powers[k - 1], 1u32 << (k - 1));
    for power in (0..k - 1).rev() {
        let longer = found & powers[power] >> len;
        if longer != 0 {
            (found, len) = (longer, len + (1 << power));
        }
    }
    len
}

/// The contents of slots, `N` to a page.
#[derive(Debug)]
pub(crate) struct Pages<T, const N: usize> {
    pages: Vec<Box<[T; N]>>,
}

impl<T: Copy + Default, const N: usize> Pages<T, N> {
    pub(crate) const fn new() -> Self {
        Self { pages: Vec::new() }
    }

    /// Adds a page.
    pub(crate) fn grow(&mut self) {
        let page: Result<Box<[T; N]>, _> = vec![T::default(); N].into_boxed_slice().try_into();
        if let Ok(page) = page {
            self.pages.push(page);
        }
    }

    pub(crate) fn get(&self, at: u32) -> &T {
        &self.pages[at as usize / N][at as usize % N]
    }

    pub(crate) fn get_mut(&mut self, at: u32) -> &mut T {
        &mut self.pages[at as usize / N][at as usize % N]
    }

    /// Returns a run of slots.
    fn run(&self, start: u32, len: u32) -> &[T] {
        let at = start as usize % N;
        &self.pages[start as usize / N][at..at + len as usize]
    }

    fn run_mut(&mut self, start: u32, len: u32) -> &mut [T] {
        let at = start as usize % N;
        &mut self.pages[start as usize / N][at..at + len as usize]
    }

    pub(crate) fn bytes(&self) -> usize {
        self.pages.len() * size_of::<[T; N]>() + self.pages.capacity() * size_of::<usize>()
    }
}

/// A page that lookups read.
pub(crate) type SharedPage<T, const N: usize> = Arc<[T; N]>;

/// The contents of slots that lookups read, `N` to a page. Lookups have a list of the pages of
/// their own ([`View`](crate::view::View)), which has to be made again when there are more.
#[derive(Debug)]
pub(crate) struct SharedPages<T, const N: usize> {
    pages: Vec<SharedPage<T, N>>,
}

impl<T: Default, const N: usize> SharedPages<T, N> {
    pub(crate) const fn new() -> Self {
        Self { pages: Vec::new() }
    }

    /// Returns the first page.
    pub(crate) fn first(&self) -> SharedPage<T, N> {
        self.pages.first().cloned().unwrap_or_else(new_page)
    }

    /// Adds a page, or an eighth of those that there are, so that lists of them are seldom made.
    /// Returns how many slots there are more.
    pub(crate) fn grow(&mut self) -> usize {
        let more = (self.pages.len() / 8).max(1);
        self.pages.reserve_exact(more);
        self.pages.resize_with(self.pages.len() + more, new_page);
        more * N
    }

    /// Returns the number of slots.
    pub(crate) fn len(&self) -> usize {
        self.pages.len() * N
    }

    /// Returns all pages.
    pub(crate) fn list(&self) -> Box<[SharedPage<T, N>]> {
        self.pages.as_slice().into()
    }

    pub(crate) fn get(&self, at: u32) -> &T {
        &self.pages[at as usize / N][at as usize % N]
    }

    pub(crate) fn bytes(&self) -> usize {
        self.pages.len() * size_of::<[T; N]>() + self.pages.capacity() * size_of::<usize>()
    }
}

/// Returns a page with what is nothing yet, made where it stays.
fn new_page<T: Default, const N: usize>() -> SharedPage<T, N> {
    let page: Arc<[T]> = (0..N).map(|_| T::default()).collect();
    match page.try_into() {
        Ok(page) => page,
        Err(_) => unreachable!("there are N"),
    }
}

/// The contents of slots of any kind.
pub(crate) trait Slots {
    /// No slots.
    const EMPTY: Self;

    /// Adds slots, a multiple of 64. Returns how many.
    fn grow(&mut self) -> usize;

    /// Returns how many bytes all slots take.
    fn bytes(&self) -> usize;
}

impl<T: Copy + Default, const N: usize> Slots for Pages<T, N> {
    const EMPTY: Self = Self::new();

    fn grow(&mut self) -> usize {
        self.grow();
        N
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }
}

impl<T: Default, const N: usize> Slots for SharedPages<T, N> {
    const EMPTY: Self = Self::new();

    fn grow(&mut self) -> usize {
        self.grow()
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }
}

/// Runs with their contents.
#[derive(Debug)]
pub(crate) struct Pool<S> {
    runs: Runs,
    pub(crate) pages: S,
}

impl<S: Slots> Pool<S> {
    pub(crate) const fn new() -> Self {
        Self {
            runs: Runs::new(),
            pages: S::EMPTY,
        }
    }

    /// Takes a run of `len` slots, 1 to 64, that hold anything.
    fn take(&mut self, len: u32) -> u32 {
        if let Some(start) = self.runs.take(len) {
            return start;
        }
        self.runs.grow(self.pages.grow(), true);
        // A page of free slots holds any run.
        self.runs.take(len).unwrap_or(0)
    }

    /// Gives a run back, which no lookup can have found.
    pub(crate) fn remove(&mut self, start: u32, len: u32) {
        if len != 0 {
            self.runs.give(start, len);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.runs.bytes() + self.pages.bytes()
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.runs.used()
    }
}

/// Runs that lookups don't read.
impl<T: Copy + Default, const N: usize> Pool<Pages<T, N>> {
    /// Makes a run of these contents; nothing for none.
    pub(crate) fn add(&mut self, contents: &[T]) -> u32 {
        let len = contents.len() as u32;
        if len == 0 {
            return 0;
        }
        let start = self.take(len);
        self.pages.run_mut(start, len).copy_from_slice(contents);
        start
    }

    pub(crate) fn get(&self, at: u32) -> T {
        *self.pages.get(at)
    }

    pub(crate) fn get_mut(&mut self, at: u32) -> &mut T {
        self.pages.get_mut(at)
    }

    pub(crate) fn run(&self, start: u32, len: u32) -> &[T] {
        if len == 0 {
            &[]
        } else {
            self.pages.run(start, len)
        }
    }

    pub(crate) fn run_mut(&mut self, start: u32, len: u32) -> &mut [T] {
        self.pages.run_mut(start, len)
    }
}

/// Runs of words that lookups read.
impl<const N: usize> Pool<SharedPages<SharedU32, N>> {
    /// Makes a run of these contents; nothing for none.
    pub(crate) fn add(&mut self, contents: &[u32]) -> u32 {
        let len = contents.len() as u32;
        if len == 0 {
            return 0;
        }
        let start = self.take(len);
        self.set(start, contents);
        start
    }

    /// Replaces the contents of a run.
    pub(crate) fn set(&self, start: u32, contents: &[u32]) {
        for (at, &word) in (start..).zip(contents) {
            self.pages.get(at).store(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(bits: u64) -> u32 {
        let (mut best, mut now) = (0, 0);
        for i in 0..64 {
            now = if bits >> i & 1 != 0 { now + 1 } else { 0 };
            best = best.max(now);
        }
        best
    }

    proptest! {
        #[test]
        fn longest_runs(a in any::<u64>(), b in any::<u64>(), shift in 0u32..64) {
            for bits in [a, a | b, a & b, u64::MAX << shift, u64::MAX >> shift, !(1 << shift), 0] {
                prop_assert_eq!(longest_run(bits), naive(bits), "{:x}", bits);
            }
        }

        #[test]
        fn runs_dont_overlap(steps in prop::collection::vec((any::<bool>(), 1u8..=64, any::<u8>()), 1..300)) {
            let mut pool: Pool<Pages<u32, 256>> = Pool::new();
            let mut held: Vec<(u32, Vec<u32>)> = Vec::new();
            for (stamp, (add, len, which)) in (0u32..).zip(steps) {
                if add || held.is_empty() {
                    let contents = vec![stamp; len.into()];
                    held.push((pool.add(&contents), contents));
                } else {
                    let (start, contents) = held.swap_remove(usize::from(which) % held.len());
                    pool.remove(start, contents.len() as u32);
                }
                for (start, contents) in &held {
                    prop_assert_eq!(pool.run(*start, contents.len() as u32), &contents[..]);
                }
            }
            let sum: usize = held.iter().map(|(_, c)| c.len()).sum();
            prop_assert_eq!(pool.used(), sum);
        }
    }
}
