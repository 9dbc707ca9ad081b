#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

extern crate alloc;

mod error;
mod frame;
mod home;
mod pool;

pub use error::PoolError;
pub use frame::{FirstBytes, Frame, FrameHeader, FrameInfo, HEADER_LEN, OnePageFrames};
pub use home::HomeId;
pub use pool::{
    Account, Closed, Fragment, FreePages, PagePool, PageSlot, PoolId, PoolStats, QueueId,
};
