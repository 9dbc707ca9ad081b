//! Where the pages of a pool are, for statistics and tests.

use crate::home::{HomeId, Homes, SPARE};

/// Where the pages of a home are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Free.
    pub free: usize,
    /// On a receive ring.
    pub posted: usize,
    /// On a transmit ring, of whichever queue.
    pub sending: usize,
    /// In frames.
    pub held: usize,
}

impl Account {
    /// Returns all pages of the home.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.free + self.posted + self.sending + self.held
    }
}

/// Where all pages are. Counted by looking at the pages, the free lists and the rings, not from
/// running totals; what is nowhere else is in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolStats {
    /// Pages in the pool.
    pub total: usize,
    pub(super) homes: Homes<Account>,
}

impl PoolStats {
    /// Returns the pages of one home.
    #[must_use]
    pub fn home(&self, home: HomeId) -> Account {
        self.homes[home]
    }

    /// Returns the number of pages whose home was removed.
    #[must_use]
    pub fn spare(&self) -> Account {
        self.homes[SPARE]
    }

    /// Returns the pages of all homes; always as many as [`PoolStats::total`].
    #[must_use]
    pub fn sum(&self) -> Account {
        self.homes
            .iter()
            .fold(Account::default(), |sum, home| Account {
                free: sum.free + home.free,
                posted: sum.posted + home.posted,
                sending: sum.sending + home.sending,
                held: sum.held + home.held,
            })
    }
}

/// What became of the pages of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Closed {
    /// Pages given back to the machine.
    pub freed: usize,
    /// Pages that the peer still maps. They are never used again.
    pub leaked: usize,
}
