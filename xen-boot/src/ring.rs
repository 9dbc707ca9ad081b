//! Rings that are set up before the guest starts.

use crate::frame::FrameNumber;

/// A ring that the toolstack set up before the guest started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingInfo {
    /// The ring's page.
    pub frame: FrameNumber,
    /// The event channel to the other end, already bound (`evtchn_port_t`, event_channel.h).
    pub port: u32,
}
