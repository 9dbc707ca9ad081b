//! Prefixes that are hidden and shown, as links go and come.

use alloc::vec::Vec;

use super::{HIDDEN, Table, marked};
use crate::address::Address;

/// Nodes that [`Table::hide`] sees to before what it took out may be used again.
const PART: usize = 4096;

/// How far [`Table::hide_some`] has come.
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
    /// At the begin.
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
    /// Hides the prefixes whose values `hidden` holds for, and shows all others. It is given
    /// values without [`HIDDEN`].
    ///
    /// Takes as long as there are prefixes; [`Table::hide_some`] does it in parts.
    pub fn hide(&mut self, hidden: impl Fn(u32) -> bool) {
        let mut hiding = Hiding::new();
        while !self.hide_some(&mut hiding, PART, &hidden) {}
    }

    /// Does a part of [`Table::hide`], of this many nodes. Returns `true` if that was the last part.
    /// Prefixes may come and go between two parts; those that come then aren't always seen to.
    ///
    /// If others look up, all that are to be shown are shown first, so that an address which has an
    /// answer before and after has one all the time; then the others are hidden. Of several
    /// prefixes that hold an address shorter ones come first.
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
