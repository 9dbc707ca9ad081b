//! Accounts of a pool's pages, for statistics and tests.

use crate::home::{HomeId, Homes, SPARE};

/// The account of a home's pages.
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
    /// Returns the number of pages of the home.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.free + self.posted + self.sending + self.held
    }
}

/// The account of all pages. It is counted from the pages, the free lists and the rings, not from
/// running totals; pages that are nowhere else are in frames.
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

/// The pages of a closed pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Closed {
    /// Pages that were freed.
    pub freed: usize,
    /// Pages that the peer still maps. They are never used again.
    pub leaked: usize,
}
