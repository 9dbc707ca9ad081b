#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

extern crate alloc;

#[cfg(feature = "fake")]
pub mod fakes;
pub mod features;
pub mod keys;
pub mod messages;
pub mod toeplitz;

pub use features::Features;
pub use keys::{ControlInfo, MAX_QUEUES, Ports, QueueInfo, connection_keys, max_queues};
pub use messages::{Checksum, Gso, GsoKind};
