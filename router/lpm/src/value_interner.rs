//! The values that the prefixes of a table have, each with a small number.
//!
//! A table of a million prefixes has few values. The first 255 have numbers that fit into a byte,
//! their codes, so that lookups find the answers of many addresses in one line of the cache.

use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::node::NO_CODE;

/// The number of the answer where no prefix but perhaps that of length 0 matches, so that
/// a default route comes and goes without a change to all that it covers.
pub(crate) const UNCOVERED: u32 = 0;

#[derive(Debug)]
pub(crate) struct ValueInterner {
    /// By number.
    values: Vec<u32>,
    /// How many prefixes have each, by number.
    users: Vec<u32>,
    /// The numbers of all values in use.
    numbers: BTreeMap<u32, u32>,
    /// Numbers below `users.len()` that can be taken. The smallest is taken first.
    free: BinaryHeap<Reverse<u32>>,
}

/// Returns the code of a number.
#[inline(always)]
pub(crate) fn code(number: u32) -> u8 {
    number.min(NO_CODE.into()) as u8
}

impl ValueInterner {
    pub(crate) fn new() -> Self {
        Self {
            values: vec![0],
            users: vec![1],
            numbers: BTreeMap::new(),
            free: BinaryHeap::new(),
        }
    }

    /// Returns the value with this number.
    pub(crate) fn value(&self, number: u32) -> u32 {
        self.values[number as usize]
    }

    /// Returns all numbers that there were so far.
    pub(crate) fn numbers(&self) -> core::ops::Range<u32> {
        0..self.users.len() as u32
    }

    /// Returns the number of a value that one prefix more has, and whether lookups have to be told,
    /// since it had none.
    pub(crate) fn intern(&mut self, value: u32) -> (u32, bool) {
        if let Some(&number) = self.numbers.get(&value) {
            self.users[number as usize] += 1;
            return (number, false);
        }
        let number = match self.free.pop() {
            Some(Reverse(number)) => number,
            None => self.grow(),
        };
        self.users[number as usize] = 1;
        self.values[number as usize] = value;
        self.numbers.insert(value, number);
        (number, true)
    }

    /// Returns a number that there was not yet.
    fn grow(&mut self) -> u32 {
        if self.users.len() == usize::from(NO_CODE) {
            self.users.push(1);
            self.values.push(0);
        }
        self.users.push(0);
        self.values.push(0);
        self.users.len() as u32 - 1
    }

    /// Notes that a prefix with this number's value is gone. Returns `true` if it was the last one:
    /// once no lookup can find the number any more, it is to be freed.
    pub(crate) fn release(&mut self, number: u32) -> bool {
        let users = &mut self.users[number as usize];
        *users -= 1;
        let last = *users == 0;
        if last {
            self.numbers.remove(&self.value(number));
        }
        last
    }

    /// Lets a number that was released be taken again.
    pub(crate) fn free(&mut self, number: u32) {
        self.free.push(Reverse(number));
    }

    pub(crate) fn bytes(&self) -> usize {
        let maps = 2 * (self.numbers.len() * size_of::<(u32, u32)>());
        let words = self.values.capacity() + self.users.capacity() + self.free.capacity();
        maps + words * size_of::<u32>()
    }

    /// Returns how many values are in use.
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
        let mut answers = ValueInterner::new();
        let take = |answers: &mut ValueInterner, value| answers.intern(value).0;
        let give = |answers: &mut ValueInterner, number| {
            if answers.release(number) {
                answers.free(number);
            }
        };
        let numbers: Vec<u32> = (1000..1600)
            .map(|value| take(&mut answers, value))
            .collect();
        let mut all = numbers.clone();
        all.extend([UNCOVERED, NO_CODE.into()]);
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..602));
        for (value, &number) in (1000..).zip(&numbers) {
            assert_eq!(answers.value(number), value);
            assert_eq!(answers.intern(value), (number, false));
        }
        for &number in &numbers {
            give(&mut answers, number);
            assert_ne!(take(&mut answers, 1), number, "it is still in use");
            let one = *answers.numbers.get(&1).unwrap();
            give(&mut answers, one);
        }
        assert_eq!(answers.used(), 600);
        give(&mut answers, numbers[9]);
        give(&mut answers, numbers[500]);
        assert_eq!(answers.intern(1), (numbers[9], true));
        assert_eq!(answers.intern(2), (numbers[500], true));
        assert_eq!(
            (answers.value(numbers[9]), answers.value(numbers[500])),
            (1, 2)
        );
        assert!(answers.release(numbers[9]));
        assert_ne!(
            take(&mut answers, 3),
            numbers[9],
            "lookups may still find it"
        );
    }
}
