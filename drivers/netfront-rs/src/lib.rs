#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

pub mod control;
pub mod error;
pub mod queue;
mod rss;
mod rss_setup;
mod shared;

pub use control::ControlRing;
pub use error::{PeerFault, QueueError, SendError, Unsent};
pub use queue::{Budget, MAX_TX_SLOTS, Queue, QueueCounters, Wake};
pub use rss::RssSession;
pub use rss_setup::RssOutcome;
pub use {netif, page_pool};
