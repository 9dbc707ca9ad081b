//! Rings in pages shared with another domain.
//!
//! [`FrontRing`] is the frontend's half of a request and response ring (Xen's io/ring.h), as
//! used by network and block devices. [`ByteProducer`] and [`ByteConsumer`] are the two ends
//! of the byte rings of console and xenstore (io/console.h, io/xs_wire.h).
//!
//! The peer may write anything into the page at any time. Whatever it controls is loaded
//! once and checked before it is used; an index that can't be right is [`Corrupt`], after
//! which the ring is of no more use. What this domain itself has written is never read back:
//! its own indices are kept in private memory. The peer's barriers pair with the fences here,
//! which carry the names of the macros that they mirror.

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

/// The peer's index is impossible: it claims more than the ring can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// What it claims to hold or to have answered.
    pub claimed: u32,
    /// What it can hold at most.
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
