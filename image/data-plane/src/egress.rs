//! What a frame needs before the vif that it leaves by can take it.
//!
//! Most frames go out as they came: [`netfront_rs::Queue::send`] takes them, with their checksum state and
//! GSO size. What else there is to do, an [`Output`] does:
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
//! The peer that a frame came from may go on writing to its pages. So with every frame goes the
//! private copy of its first bytes, which was checked and rewritten: what leaves for another backend
//! domain begins with these, not with what the page has by then, and so does whatever is copied or cut.
//! They are what headers are read from; of what lies behind them, each byte is read once.
//!
//! Copies and segments are made in pages of their own homes, so that they take none from what
//! vifs receive with. Nothing here allocates memory.

mod front;
mod output;
mod segmenter;

pub(crate) use output::room_for_copies;
pub use output::{Output, Refused};
pub use segmenter::{Segmenter, each_segment};
