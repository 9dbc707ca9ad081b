//! The data plane: bursts from each vif through the router to the others.
//!
//! Each CPU that forwards has a [`Worker`]: one queue of every vif, with pages of its own. Workers
//! read the router's tables while they change; what changes them, or workers, is in [`Control`].
//!
//! One turn takes up to a burst from every vif, and everything that a turn put on rings is
//! published at its end, with at most one event a ring. Nothing here allocates; frames move
//! between vifs of one backend uncopied, unless a backend can't take them as they are
//! ([`egress`]).
//!
//! The machine is behind [`xen_hal::Hal`]; time and what the machine says of itself are arguments,
//! so that the whole of it runs on any host.

#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

extern crate alloc;

mod allotment;
mod allowance;
mod attach;
mod burst;
mod control;
pub mod egress;
pub mod event_moderation;
mod handoff;
mod handoff_queue;
mod intake;
mod lanes;
mod numbered;
mod router_output;
mod sleep;
mod snapshot;
mod stats;
mod transmit;
mod turn;
mod tx;
mod vif;
mod waiting;
mod worker;

pub use attach::AttachError;
pub use control::Control;
pub use lanes::{Lanes, MAX_WORKERS, Resting};
pub use snapshot::{PoolSnapshot, QueueSnapshot, VifSnapshot, WorkerSnapshot};
pub use stats::WorkerStats;
pub use worker::Worker;
