//! A table in two layers: routes, and over them what the router itself has there, such as its
//! addresses. A route that is covered comes back when what covers it goes.

use alloc::collections::BTreeMap;

use super::target::Target;
use crate::DropReason;
use lpm::{Address, HIDDEN, Table, marked};

/// What the router has in a table, by prefix and length.
#[derive(Debug, Default)]
pub(crate) struct Overlay<A>(BTreeMap<(A, u8), u32>);

impl<A: Address> Overlay<A> {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a prefix, no bit of which is set beyond its length; of several equal ones the last
    /// counts.
    pub(crate) fn add(&mut self, prefix: A, len: u8, target: Target) {
        self.0.insert((prefix, len), target.number());
    }
}

/// A prefix of the overlay.
#[derive(Clone, Copy, Debug)]
struct OverlayEntry {
    value: u32,
    /// The value of the route with the same prefix.
    covered: Option<u32>,
}

/// The routes of a table, and what lies over them.
#[derive(Debug)]
pub(crate) struct OverlaidTable<A> {
    table: Table<A>,
    overlay: BTreeMap<(A, u8), OverlayEntry>,
    routes: usize,
    /// The lengths that prefixes have or had, 1 being the lowest bit.
    lens: u128,
}

impl<A: Address> OverlaidTable<A> {
    /// An empty table without an overlay, where there is no route to anything.
    pub(crate) fn new() -> Self {
        Self {
            table: Table::new(Target::Drop(DropReason::NoRoute).number()),
            overlay: BTreeMap::new(),
            routes: 0,
            lens: 0,
        }
    }

    /// Notes that there is a prefix of this length.
    fn note_len(&mut self, len: u8) {
        self.lens |= len.checked_sub(1).map_or(0, |bit| 1 << bit);
    }

    /// The table that both make together.
    #[inline]
    pub(crate) fn table(&self) -> &Table<A> {
        &self.table
    }

    /// Brings this many nodes of the table into the form in which lookups are quick.
    pub(crate) fn settle(&mut self, nodes: usize) {
        self.table.settle(nodes);
    }

    /// How many routes there are.
    pub(crate) fn routes(&self) -> usize {
        self.routes
    }

    /// Adds a route or changes it. Returns the value it had, without [`HIDDEN`].
    pub(crate) fn insert(&mut self, prefix: A, len: u8, value: u32) -> Option<u32> {
        let old = match self.overlay.get_mut(&(prefix.masked(len), len)) {
            Some(entry) => entry.covered.replace(value),
            None => self.table.insert(prefix, len, value),
        };
        self.routes += usize::from(old.is_none());
        self.note_len(len);
        old.map(|value| value & !HIDDEN)
    }

    /// Removes a route. Returns the value it had, without [`HIDDEN`].
    pub(crate) fn remove(&mut self, prefix: A, len: u8) -> Option<u32> {
        let old = match self.overlay.get_mut(&(prefix.masked(len), len)) {
            Some(entry) => entry.covered.take(),
            None => self.table.remove(prefix, len),
        };
        self.routes -= usize::from(old.is_some());
        old.map(|value| value & !HIDDEN)
    }

    /// Returns `true` if there is a route with exactly this prefix.
    pub(crate) fn has(&self, prefix: A, len: u8) -> bool {
        match self.overlay.get(&(prefix.masked(len), len)) {
            Some(entry) => entry.covered.is_some(),
            None => self.table.get(prefix, len).is_some(),
        }
    }

    /// Returns the value of exactly this prefix, in either layer; `None` if there is none, or it is
    /// hidden.
    pub(crate) fn visible(&self, prefix: A, len: u8) -> Option<u32> {
        let value = self.table.get(prefix, len)?;
        (value & HIDDEN == 0).then_some(value)
    }

    /// Returns `true` if `accept` takes the value of a prefix that an address is in, in either layer,
    /// hidden ones and that of length 0 left out. The longest one is asked about first.
    pub(crate) fn any_containing(&self, address: A, accept: impl Fn(u32) -> bool) -> bool {
        let mut lens = (1..=A::BITS)
            .rev()
            .filter(|len| self.lens >> (len - 1) & 1 != 0);
        lens.any(|len| self.visible(address.masked(len), len).is_some_and(&accept))
    }

    /// Calls `f` with the value of each route, without [`HIDDEN`].
    pub(crate) fn for_each_route(&self, mut f: impl FnMut(u32)) {
        for covered in self.overlay.values().filter_map(|entry| entry.covered) {
            f(covered & !HIDDEN);
        }
        self.table.for_each(|prefix, len, value| {
            if !self.overlay.contains_key(&(prefix, len)) {
                f(value & !HIDDEN);
            }
        });
    }

    /// Replaces the upper layer. Routes that come to light are hidden if `hidden` says so of
    /// their values. Returns `true` if anything changed.
    pub(crate) fn replace_overlay(
        &mut self,
        overlay: Overlay<A>,
        hidden: impl Fn(u32) -> bool,
    ) -> bool {
        let mut changed = false;
        let table = &mut self.table;
        self.overlay.retain(|&(prefix, len), entry| {
            let stays = overlay.0.contains_key(&(prefix, len));
            if !stays {
                changed = true;
                match entry.covered.map(|value| value & !HIDDEN) {
                    Some(value) => table.insert(prefix, len, marked(value, hidden(value))),
                    None => table.remove(prefix, len),
                };
            }
            stays
        });
        for ((prefix, len), value) in overlay.0 {
            let old = self.overlay.get(&(prefix, len)).copied();
            if old.is_some_and(|old| old.value == value) {
                continue;
            }
            changed = true;
            self.note_len(len);
            let beneath = self.table.insert(prefix, len, value);
            let covered = old.map_or(beneath, |old| old.covered);
            self.overlay
                .insert((prefix, len), OverlayEntry { value, covered });
        }
        changed
    }

    /// Hides all whose values `hidden` holds for, and shows the others.
    pub(crate) fn hide(&mut self, hidden: impl Fn(u32) -> bool) {
        self.table.hide(hidden);
    }

    /// The answer for an address.
    #[inline]
    pub(crate) fn lookup(&self, address: A) -> u32 {
        self.table.lookup(address)
    }
}
