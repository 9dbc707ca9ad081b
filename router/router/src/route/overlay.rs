//! A table in two layers: routes, and over them what the router itself has there, such as its
//! addresses. A route that is covered comes back when what covers it goes.

use alloc::collections::BTreeMap;

use super::target::Target;
use crate::DropReason;
use lpm::{Address, HIDDEN, Reader, Table, marked};

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
    /// Creates an empty table without an overlay, where there is no route to anything.
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

    /// Returns the table that both make together.
    pub(crate) fn table(&self) -> &Table<A> {
        &self.table
    }

    /// The same, to be settled and read.
    pub(crate) fn table_mut(&mut self) -> &mut Table<A> {
        &mut self.table
    }

    /// Returns the number of routes.
    pub(crate) fn routes(&self) -> usize {
        self.routes
    }

    /// Adds a route or changes it. Returns the value it had, without [`HIDDEN`]. Lanes may look up
    /// meanwhile, unless the one `reader` there is is given.
    pub(crate) fn insert(
        &mut self,
        prefix: A,
        len: u8,
        value: u32,
        reader: Option<&mut Reader<A>>,
    ) -> Option<u32> {
        let old = match self.overlay.get_mut(&(prefix.masked(len), len)) {
            Some(entry) => entry.covered.replace(value),
            None => change(&mut self.table, reader, |t| t.insert(prefix, len, value)),
        };
        self.routes += usize::from(old.is_none());
        self.note_len(len);
        old.map(|value| value & !HIDDEN)
    }

    /// Removes a route. Returns the value it had, without [`HIDDEN`]. Lanes may look up meanwhile,
    /// unless the one `reader` there is is given.
    pub(crate) fn remove(
        &mut self,
        prefix: A,
        len: u8,
        reader: Option<&mut Reader<A>>,
    ) -> Option<u32> {
        let old = match self.overlay.get_mut(&(prefix.masked(len), len)) {
            Some(entry) => entry.covered.take(),
            None => change(&mut self.table, reader, |t| t.remove(prefix, len)),
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

    /// Replaces the upper layer, while nobody looks up. Routes that come to light are hidden if
    /// `hidden` says so of their values.
    pub(crate) fn replace_overlay(
        &mut self,
        overlay: Overlay<A>,
        reader: &mut Reader<A>,
        hidden: impl Fn(u32) -> bool,
    ) {
        overlay.0.keys().for_each(|&(_, len)| self.note_len(len));
        let (held, table) = (&mut self.overlay, &mut self.table);
        table.alone(reader, |table| replace(held, table, overlay, hidden));
    }

    /// Returns `true` if an upper layer isn't what this one's is.
    pub(crate) fn is_other(&self, overlay: &Overlay<A>) -> bool {
        let held = self.overlay.iter();
        let held = held.map(|(place, entry)| (place, entry.value));
        !held.eq(overlay.0.iter().map(|(place, &value)| (place, value)))
    }
}

/// Replaces what lies over a table.
fn replace<A: Address>(
    held: &mut BTreeMap<(A, u8), OverlayEntry>,
    table: &mut Table<A>,
    overlay: Overlay<A>,
    hidden: impl Fn(u32) -> bool,
) {
    held.retain(|&(prefix, len), entry| {
        let stays = overlay.0.contains_key(&(prefix, len));
        if !stays {
            match entry.covered.map(|value| value & !HIDDEN) {
                Some(value) => table.insert(prefix, len, marked(value, hidden(value))),
                None => table.remove(prefix, len),
            };
        }
        stays
    });
    for ((prefix, len), value) in overlay.0 {
        let old = held.get(&(prefix, len)).copied();
        if old.is_some_and(|old| old.value == value) {
            continue;
        }
        let beneath = table.insert(prefix, len, value);
        let covered = old.map_or(beneath, |old| old.covered);
        held.insert((prefix, len), OverlayEntry { value, covered });
    }
}

/// Changes a table: alone, if its one reader is given.
fn change<A: Address, T>(
    table: &mut Table<A>,
    reader: Option<&mut Reader<A>>,
    change: impl FnOnce(&mut Table<A>) -> T,
) -> T {
    match reader {
        Some(reader) => table.alone(reader, change),
        None => change(table),
    }
}
