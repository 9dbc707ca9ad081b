//! Adapting frames to what the outgoing vif accepts.
//!
//! Most frames are sent unchanged with [`netfront_rs::Queue::send`], with their checksum state and
//! GSO size. An [`Output`] does what else is necessary:
//!
//! | what | the frame is |
//! |---|---|
//! | is of another backend's pool | copied |
//! | gets tags | moved in its page or copied, with whole checksums: netif.h says nothing of tags, and a Linux netback looks for the headers of a packet right behind the EtherType |
//! | the backend lacks checksums of its IP version | completed in place |
//! | the backend lacks `feature-gso-tcpv4`, `-tcpv6`, or the frame gets tags | segmented ([`Segmenter`]), with whole checksums |
//! | the backend lacks `feature-sg` | copied into one page, if it fits |
//! | the backend lacks room for as many slots | copied into fewer pages |
//!
//! The peer that a frame came from may continue to write to its pages. So every frame is
//! accompanied by the private copy of its first bytes, which was checked and rewritten: frames for
//! another backend domain begin with these, not with what the page contains by then, and so do
//! frames that are copied or segmented. Headers are read from this copy; each byte after it is read
//! once.
//!
//! Copies and segments use pages of their own homes, so that they take none from those for
//! receiving. Nothing here allocates memory.

mod front;
mod output;
mod segmenter;

pub(crate) use output::room_for_copies;
pub use output::{Output, Refused};
pub use segmenter::{Segmenter, each_segment};
