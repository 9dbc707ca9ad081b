//! A router without I/O: frames and the time go in, verdicts and frames come out.
//!
//! The caller owns links, buffers, the clock and memory pages. It passes bursts of frame headers to
//! [`Router::process`], which returns a verdict for each and rewrites those to be forwarded. Frames
//! that need more than plain forwarding are passed, whole, to [`Router::punt`], and processed by
//! [`Router::poll`] within a budget. Frames that the router makes itself leave through [`Egress`].
//!
//! For VLAN frames, `process` returns [`Verdict::Tagged`]; the caller removes their tags, processes
//! them again, and adds the tags of the outgoing interface ([`vlan`]).
//!
//! Several CPUs can forward with one router, each with its own [`Lane`], which also has `process`
//! and `punt`.
//!
//! `process` allocates nothing and uses no more than [`HEADER_LEN`] bytes of a frame. Everything
//! else may allocate, within fixed bounds.
//!
//! The host model is the weak one (RFC 1122 3.3.4.2): a packet to any of the router's
//! addresses is for the router, whichever interface it arrives on, as is usual for routers.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

extern crate alloc;

mod apply;
mod budget;
mod counters;
mod cx;
mod drop_reason;
mod forward;
mod frame;
mod interface;
mod local;
mod neighbor;
mod numbers;
mod outbox;
mod packet;
mod publish;
mod rate_limit;
mod rng;
mod route;
mod router;
mod slow;
pub mod snapshot;
mod state;
mod step;
mod tables;
mod time;

#[cfg(test)]
extern crate std;

pub use budget::TableUse;
pub use config::{self, Config, ConfigError};
pub use counters::Counters;
pub use drop_reason::DropReason;
pub use forward::lane::Lane;
pub use forward::stages::{self, REWRITTEN};
pub use frame::{
    BURST, ETHERNET_LEN, FrameFlags, FrameMeta, HEADER_LEN, Header, InterfaceId, MAX_INTERFACES,
    MAX_VIFS, Verdict, Verdicts,
};
pub use outbox::{Egress, NoRoom};
pub use publish::View;
pub use route::error::RouteError;
pub use router::{MAX_LANES, Router};
pub use slow::headroom::is_memory_free;
pub use slow::poll::Poll;
pub use tables::Tables;
pub use time::Instant;
pub use wire::offload::{LEAST_MSS, MAX_SEGMENTS, Segments, complete_checksum, completed_checksum};
pub use wire::{addr, vlan};
