#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

pub mod control;
pub mod error;
pub mod hash;
pub mod queue;
mod shared;
pub mod steering;

pub use control::ControlRing;
pub use error::{PeerFault, QueueError, SendError, Unsent};
pub use hash::Outcome;
pub use queue::{Budget, MAX_TX_SLOTS, Queue, QueueCounters, Wake};
pub use steering::Steering;
pub use {netif, page_pool};
