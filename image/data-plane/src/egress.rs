//! What a frame needs before the vif that it leaves by can take it.
//!
//! Most frames go out as they came: [`netfront_rs::Queue::send`] takes them, with their checksum state and
//! GSO size. One that it refuses because the backend lacks a feature of netif.h comes here:
//!
//! | backend lacks | the frame is |
//! |---|---|
//! | checksums of its IP version | completed in place |
//! | `feature-gso-tcpv4`, `-tcpv6` | segmented ([`Segmenter`]), with whole checksums |
//! | `feature-sg` | copied into one page, if it fits |
//! | room for as many slots | copied into fewer pages |
//!
//! Frames that get tags ([`send_tagged`]) have all of that done for them: netif.h says nothing
//! of tags, and a Linux netback looks for the headers of a packet right behind the EtherType.
//!
//! Copies are made in free pages of the outgoing vif's home, as long as that stays above its
//! floor. Nothing here allocates.

mod prepare;
mod segmenter;
mod send;

pub use segmenter::{Segmenter, each_segment};
pub use send::{Refused, resend, send_copy, send_tagged};
