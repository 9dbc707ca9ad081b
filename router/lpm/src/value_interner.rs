//! The values that the prefixes of a table have, each with a small number.
//!
//! A table of a million prefixes has few values. The first 255 have numbers that fit into a byte,
//! their codes, so that lookups find the answers of many addresses in one line of the cache.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use super::node::NO_CODE;

/// The number of the answer where no prefix but perhaps that of length 0 matches, so that
/// a default route comes and goes without a change to all that it covers.
pub(crate) const UNCOVERED: u32 = 0;
const CODES: u32 = 1 + NO_CODE as u32;
/// What [`NO_CODE`] stands for: larger than any value.
pub(crate) const UNCODED: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct ValueInterner {
    /// The values with a code.
    coded: Box<[u32; CODES as usize]>,
    /// Those of the numbers from 256 on.
    more: Vec<u32>,
    /// How many prefixes have each, by number.
    users: Vec<u32>,
    /// The numbers of all values in use.
    numbers: BTreeMap<u32, u32>,
    /// Numbers below `users.len()` that aren't in use. The smallest is taken first.
    free: BTreeSet<u32>,
}

/// The code of a number.
#[inline(always)]
pub(crate) fn code(number: u32) -> u8 {
    number.min(NO_CODE.into()) as u8
}

impl ValueInterner {
    pub(crate) fn new(uncovered: u32) -> Self {
        let mut coded = Box::new([0; CODES as usize]);
        coded[UNCOVERED as usize] = uncovered;
        coded[usize::from(NO_CODE)] = UNCODED;
        Self {
            coded,
            more: Vec::new(),
            users: vec![1],
            numbers: BTreeMap::new(),
            free: BTreeSet::new(),
        }
    }

    /// Changes what is answered where nothing matches.
    pub(crate) fn set_uncovered(&mut self, value: u32) {
        self.coded[UNCOVERED as usize] = value;
    }

    /// The values by code, and [`UNCODED`].
    #[inline(always)]
    pub(crate) fn coded(&self) -> &[u32; CODES as usize] {
        &self.coded
    }

    /// The value with this number.
    #[inline(always)]
    pub(crate) fn value(&self, number: u32) -> u32 {
        match number.checked_sub(CODES) {
            None => self.coded[number as usize % CODES as usize],
            Some(beyond) => self.more[beyond as usize],
        }
    }

    /// All numbers that there were so far.
    pub(crate) fn numbers(&self) -> core::ops::Range<u32> {
        0..self.users.len() as u32
    }

    /// The number of a value that one prefix more has.
    pub(crate) fn intern(&mut self, value: u32) -> u32 {
        if let Some(&number) = self.numbers.get(&value) {
            self.users[number as usize] += 1;
            return number;
        }
        let number = self.free.pop_first().unwrap_or_else(|| self.grow());
        self.users[number as usize] = 1;
        self.numbers.insert(value, number);
        match number.checked_sub(CODES) {
            None => self.coded[number as usize] = value,
            Some(beyond) => self.more[beyond as usize] = value,
        }
        number
    }

    /// A number that there was not yet.
    fn grow(&mut self) -> u32 {
        if self.users.len() == usize::from(NO_CODE) {
            self.users.push(1);
        }
        let number = self.users.len() as u32;
        self.users.push(0);
        if number >= CODES {
            self.more.push(0);
        }
        number
    }

    /// Notes that a prefix with this number's value is gone, and no lookup finds it there
    /// any more.
    pub(crate) fn release(&mut self, number: u32) {
        let users = &mut self.users[number as usize];
        *users -= 1;
        if *users == 0 {
            self.numbers.remove(&self.value(number));
            self.free.insert(number);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let maps = 2 * (self.numbers.len() * size_of::<(u32, u32)>());
        let free = 2 * self.free.len() * size_of::<u32>();
        let words = self.more.capacity() + self.users.capacity() + CODES as usize;
        maps + free + words * size_of::<u32>()
    }

    /// How many values are in use.
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.numbers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_again_and_none_is_that_of_no_code() {
        let mut interner = ValueInterner::new(7);
        let numbers: Vec<u32> = (1000..1600).map(|value| interner.intern(value)).collect();
        let mut all = numbers.clone();
        all.extend([UNCOVERED, NO_CODE.into()]);
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..602));
        for (value, &number) in (1000..).zip(&numbers) {
            assert_eq!(interner.value(number), value);
            assert_eq!(interner.intern(value), number);
        }
        assert_eq!(interner.value(UNCOVERED), 7);
        for &number in &numbers {
            interner.release(number);
            assert_ne!(interner.intern(1), number, "it is still in use");
            interner.release(*interner.numbers.get(&1).unwrap());
        }
        assert_eq!(interner.used(), 600);
        interner.release(numbers[9]);
        interner.release(numbers[500]);
        assert_eq!(interner.intern(1), numbers[9]);
        assert_eq!(interner.intern(2), numbers[500]);
        assert_eq!(
            (interner.value(numbers[9]), interner.value(numbers[500])),
            (1, 2)
        );
    }
}
