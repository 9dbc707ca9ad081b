//! A table in two layers: routes, and above them an overlay with the router's own entries, such as
//! its addresses. A covered route reappears when the entry that covers it is removed.

use alloc::collections::BTreeMap;

use super::target::Target;
use crate::DropReason;
use lpm::{Address, HIDDEN, Reader, Table, marked};

/// The router's own entries in a table, by prefix and length.
#[derive(Debug, Default)]
pub(crate) struct Overlay<A>(BTreeMap<(A, u8), u32>);

impl<A: Address> Overlay<A> {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a prefix without host bits; of several equal ones, the last one counts.
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

/// A table of routes with an overlay.
#[derive(Debug)]
pub(crate) struct OverlaidTable<A> {
    table: Table<A>,
    overlay: BTreeMap<(A, u8), OverlayEntry>,
    routes: usize,
    /// The lengths that prefixes have or had; bit 0 stands for length 1.
    lens: u128,
}

impl<A: Address> OverlaidTable<A> {
    /// Creates an empty table without an overlay, which answers that there is no route.
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

    /// Returns the combined table.
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

    /// Adds or changes a route. Returns its previous value, without [`HIDDEN`]. Lanes may look up
    /// meanwhile, unless the only `reader` is given.
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

    /// Removes a route. Returns its value, without [`HIDDEN`]. Lanes may look up meanwhile, unless
    /// the only `reader` is given.
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

    /// Returns `true` if `accept` returns `true` for the value of a prefix that contains an
    /// address, in either layer, except hidden ones and the default route. Longer prefixes come
    /// first.
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

    /// Replaces the overlay while nobody looks up. Routes that reappear are hidden if `hidden`
    /// returns `true` for their values.
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

    /// Returns `true` if an overlay differs from this table's.
    pub(crate) fn is_other(&self, overlay: &Overlay<A>) -> bool {
        let held = self.overlay.iter();
        let held = held.map(|(place, entry)| (place, entry.value));
        !held.eq(overlay.0.iter().map(|(place, &value)| (place, value)))
    }
}

/// Replaces the overlay of a table.
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
