#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod error;
#[cfg(feature = "fake")]
pub mod fake;
pub mod features;
pub mod netif;
pub mod pace;
pub mod pool;
pub mod queue;

pub use error::{PeerFault, PoolError, QueueError, SendError, Unsent};
pub use features::Features;
pub use pace::Pace;
pub use pool::{FirstBytes, Frame, FrameInfo, HEADER_LEN, Header, HomeId, PagePool};
pub use queue::{Budget, MAX_TX_SLOTS, Ports, Queue, QueueInfo, Wake};
