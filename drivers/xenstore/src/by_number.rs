//! A small map by number.

use alloc::vec::Vec;

/// A map for the few entries that wait for xenstored at a time.
#[derive(Debug)]
pub(crate) struct ByNumber<T>(Vec<(u32, T)>);

impl<T> ByNumber<T> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn position(&self, number: u32) -> Option<usize> {
        self.0.iter().position(|&(known, _)| known == number)
    }

    /// Adds one whose number isn't taken.
    pub(crate) fn add(&mut self, number: u32, it: T) {
        debug_assert!(!self.has(number));
        self.0.push((number, it));
    }

    pub(crate) fn has(&self, number: u32) -> bool {
        self.position(number).is_some()
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let at = self.position(number)?;
        self.0.get_mut(at).map(|(_, it)| it)
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let at = self.position(number)?;
        Some(self.0.swap_remove(at).1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.0.iter().map(|(number, it)| (*number, it))
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, it)| it)
    }

    /// Removes those for which `keep` returns `false`.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        self.0.retain_mut(|(_, it)| keep(it));
    }
}
