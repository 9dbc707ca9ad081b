//! The control plane of a Xen guest: xenstore, and the devices announced in it.
//!
//! xenstore (docs/misc/xenstore.txt, `io/xs_wire.h`) is a small tree of text values kept by
//! another domain. Over it two halves of a device driver find each other and agree on how to
//! talk (`io/xenbus.h`). Everything here is slow by nature: a request takes a round trip
//! through another domain. So this crate is asynchronous, and the data path never waits:
//!
//! - [`Store`] is the client. Any number of requests may be outstanding; [`Store::pump`] moves
//!   bytes and never blocks.
//! - [`Tasks`] and [`Timers`] run what is written as straight-line `async fn`.
//! - [`Device`] is one frontend, [`run_device`] its life from attach to unplug.
//! - [`Shutdown`] hears what the toolstack asks of the whole domain, [`attach_devices`] which
//!   devices come.
//!
//! The main loop calls [`turn`] when xenstore's event came or a timer is due:
//!
//! ```
//! # use xenbus::{fake::FakeStore, Clock, Store, Tasks, Timers, turn};
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
//!
//! Nothing here trusts the peer: what xenstored or a backend sends is parsed with every length
//! checked, what is wrong becomes a typed error, and the work done for one call of `pump` is
//! bounded.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod client;
mod device;
mod devices;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod machine;
mod ring;
mod shutdown;
mod state;
mod tasks;
pub mod wire;

pub use client::{Access, Counters, Store, StoreError, Transaction, Transport, Watch};
pub use device::{Device, DeviceError, KeyError, Keys, OpenError};
pub use devices::{DeviceList, attach_devices};
pub use machine::{CLOSE_TIMEOUT_NS, Ended, Handler, MAX_BACKOFF_NS, MIN_BACKOFF_NS, run_device};
pub use ring::RingTransport;
pub use shutdown::{Shutdown, ShutdownRequest, advertise_shutdown};
pub use state::XenbusState;
pub use tasks::{Clock, Signal, Sleep, Tasks, Timers, join_all};
pub use wire::Errno;

/// Runs the control plane once: bytes in and out, due timers, woken tasks, and what those
/// tasks want to send.
///
/// Returns whether there may be more to do right away. Never blocks, and does a bounded
/// amount of work; a caller with packets waiting may go back to them between turns.
pub fn turn(store: &Store, timers: &Timers, tasks: &Tasks) -> bool {
    let moved = store.pump();
    timers.expire();
    let ran = tasks.poll();
    let sent = ran && store.pump();
    moved || ran || sent
}
