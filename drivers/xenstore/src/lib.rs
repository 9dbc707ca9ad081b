#![doc = include_str!("../README.md")]
//!
//! ```
//! # use executor::{Clock, Tasks, Timers};
//! # use xenstore::{Store, fake::FakeStore, turn};
//! # struct Zero;
//! # impl Clock for Zero { fn now_ns(&self) -> u64 { 0 } }
//! let server = FakeStore::new(1);
//! server.set("/local/domain/1/name", "tenant-a");
//!
//! let store = Store::new(server.transport());
//! let tasks = Tasks::new();
//! let timers = Timers::new(Zero);
//! let client = store.clone();
//! tasks.spawn(async move {
//!     assert_eq!(client.read_string("name").await.as_deref(), Ok("tenant-a"));
//! });
//! while turn(&store, &timers, &tasks) {}
//! assert!(tasks.is_empty());
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

extern crate alloc;

mod by_number;
mod connection;
mod error;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod reply;
mod ring;
mod store;
mod transaction;
mod transport;
mod view;
mod watch;
pub mod wire;

use executor::{Tasks, Timers};

pub use connection::StoreCounters;
pub use error::StoreError;
pub use ring::RingTransport;
pub use store::Store;
pub use transaction::Transaction;
pub use transport::Transport;
pub use view::View;
pub use watch::Watch;
pub use wire::Errno;

/// Runs the control plane once: bytes in and out, due timers, woken tasks, and what those
/// tasks want to send.
///
/// Returns `true` if there may be more to do right away. Never blocks, and does a bounded
/// amount of work; a caller with packets waiting may go back to them between turns.
pub fn turn(store: &Store, timers: &Timers, tasks: &Tasks) -> bool {
    let moved = store.pump();
    timers.expire();
    let ran = tasks.poll();
    let sent = ran && store.pump();
    moved || ran || sent
}
