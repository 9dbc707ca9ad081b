#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod control;
pub mod error;
#[cfg(feature = "fake")]
pub mod fake;
pub mod features;
pub mod hash;
pub mod keys;
pub mod netif;
pub mod pool;
pub mod queue;
pub mod steering;

pub use control::{ControlInfo, ControlRing};
pub use error::{PeerFault, PoolError, QueueError, SendError, Unsent};
pub use features::Features;
pub use hash::Outcome;
pub use keys::{MAX_QUEUES, connection_keys, max_queues};
pub use pool::{FirstBytes, Frame, FrameInfo, HEADER_LEN, Header, HomeId, PagePool};
pub use queue::{Budget, MAX_TX_SLOTS, Ports, Queue, QueueInfo, Wake};
pub use steering::Steering;
