//! Hiding and showing prefixes as links go down and come up.

use alloc::vec::Vec;

use super::{HIDDEN, Table, marked};
use crate::address::Address;

/// Nodes that [`Table::hide`] sees to before what it took out may be used again.
const PART: usize = 4096;

/// The progress of [`Table::hide_some`].
#[derive(Clone, Copy, Debug)]
pub struct Hiding<A> {
    change: Change,
    /// The last node that was seen to, as its prefix and depth.
    after: Option<(A, u32)>,
}

/// What is done to the marks of values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    Show,
    Hide,
    /// Both, where nobody sees what is done first.
    Any,
}

impl<A> Hiding<A> {
    /// Starts from the beginning.
    #[must_use]
    pub const fn new() -> Self {
        Self::to(Change::Show)
    }

    const fn to(change: Change) -> Self {
        Self {
            change,
            after: None,
        }
    }
}

impl<A> Default for Hiding<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Address> Table<A> {
    /// Hides the prefixes for whose values `hidden` returns `true`, and shows all others. `hidden` gets
    /// values without [`HIDDEN`].
    ///
    /// Takes time proportional to the number of prefixes; [`Table::hide_some`] does it in steps.
    pub fn hide(&mut self, hidden: impl Fn(u32) -> bool) {
        let mut hiding = Hiding::new();
        while !self.hide_some(&mut hiding, PART, &hidden) {}
    }

    /// Performs a step of [`Table::hide`] over this many nodes. Returns `true` if it was the last one.
    /// Prefixes may be inserted and removed between steps; those inserted then may be skipped.
    ///
    /// If there are readers, all prefixes to be shown are shown first, then the others are hidden, so
    /// that an address with an answer before and after has one all the time. Of several prefixes that
    /// contain an address, shorter ones are processed first.
    pub fn hide_some(
        &mut self,
        hiding: &mut Hiding<A>,
        nodes: usize,
        hidden: impl Fn(u32) -> bool,
    ) -> bool {
        self.begin();
        let (mut path, mut next) = match hiding.after {
            None => {
                if hiding.change == Change::Show && self.alone {
                    hiding.change = Change::Any;
                } else if hiding.change == Change::Show && self.hidden == 0 {
                    hiding.change = Change::Hide;
                }
                self.mark_zero(hiding.change, &hidden);
                self.start()
            }
            Some((prefix, depth)) => self.resume(prefix, depth),
        };
        let interner = &self.interner;
        let numbers = interner.numbers();
        let hidden: Vec<bool> = numbers.map(|at| hidden(interner.value(at))).collect();
        for _ in 0..nodes {
            let Some(step) = next else {
                break;
            };
            // Nodes above came first: what this one inherits is right.
            if self.mark_all(step.at, hiding.change, &hidden) {
                self.refresh(step.at, (0, 64));
            }
            hiding.after = Some((step.prefix, step.depth));
            next = self.next(&mut path, step);
        }
        self.end();
        if next.is_some() {
            return false;
        }
        let done = hiding.change != Change::Show;
        *hiding = Hiding::to(Change::Hide);
        done
    }

    /// Marks the value of the prefix of length 0.
    fn mark_zero(&mut self, change: Change, hidden: impl Fn(u32) -> bool) {
        let Some(value) = self.zero else {
            return;
        };
        let new = marked(value & !HIDDEN, hidden(value & !HIDDEN));
        let other = if new & HIDDEN == 0 {
            Change::Hide
        } else {
            Change::Show
        };
        if change != other {
            self.set_zero(Some(new));
        }
    }

    /// Marks the values of a node. Returns `true` if any wasn't marked so.
    fn mark_all(&mut self, at: u32, change: Change, hidden: &[bool]) -> bool {
        let routes = *self.nodes.routes(at);
        let (mut shown, mut hid) = (0, 0);
        for half in [0, 1].into_iter().filter(|&half| routes.set[half] != 0) {
            for value in self.values.run_mut(routes.values[half], routes.count(half)) {
                let number = *value & !HIDDEN;
                let hide = hidden[number as usize];
                let was_hidden = *value & HIDDEN != 0;
                if hide && !was_hidden && change != Change::Show {
                    *value |= HIDDEN;
                    hid += 1;
                } else if !hide && was_hidden && change != Change::Hide {
                    *value = number;
                    shown += 1;
                }
            }
        }
        self.hidden = self.hidden + hid - shown;
        shown + hid != 0
    }
}
