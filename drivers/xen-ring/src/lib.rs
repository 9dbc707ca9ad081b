#![doc = include_str!("../README.md")]
//!
//! The peer's barriers pair with the fences here, which carry the names of the macros that they
//! mirror.

#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod bytes;
mod front;

pub use bytes::{
    ByteConsumer, ByteProducer, ByteRing, CONSOLE_IN, CONSOLE_OUT, STORE_REQ, STORE_RSP,
};
pub use front::{FrontRing, Full};

/// Error returned when the peer's index is impossible: it claims more than the ring can contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// The number of bytes or responses that it claims.
    pub claimed: u32,
    /// The maximum that is possible.
    pub limit: u32,
}

impl core::fmt::Display for Corrupt {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "ring index {} ahead where at most {} are possible",
            self.claimed, self.limit
        )
    }
}

impl core::error::Error for Corrupt {}
