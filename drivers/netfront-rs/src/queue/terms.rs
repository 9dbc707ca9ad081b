//! Types of the interface between a queue and its caller.

use page_pool::Frame;

#[cfg(doc)]
use super::{MAX_TX_SLOTS, Queue};

/// The counters of a queue since its creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounters {
    /// Frames received.
    pub rx_frames: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Frames that the backend failed to deliver (negative status, or no data), or that are
    /// longer than a packet may be.
    pub rx_errors: u64,
    /// Frames put on the transmit ring and published.
    pub tx_frames: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Slots that the backend reported as dropped or failed.
    pub tx_errors: u64,
    /// Events sent.
    pub notifications: u64,
}

/// Limits of [`Queue::receive`]. A number of frames converts to a budget without other limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Frames.
    pub frames: usize,
    /// Transmit slots that they need together ([`Frame::tx_slots`]). [`MAX_TX_SLOTS`] suffice for
    /// any single frame.
    pub slots: usize,
    /// Large frames ([`Frame::is_gso`]). The last of them ends the burst.
    pub large: usize,
}

impl Budget {
    /// Takes `frames` frames of one slot each off it.
    #[inline]
    pub(super) fn take(&mut self, frames: usize) {
        self.frames = self.frames.wrapping_sub(frames);
        self.slots = self.slots.wrapping_sub(frames);
    }

    /// Takes a frame off it.
    #[inline]
    pub(super) fn take_frame(&mut self, frame: &Frame) {
        self.take(1);
        let more = frame.tx_slots().wrapping_sub(1);
        self.slots = self.slots.wrapping_sub(more);
        self.large = self.large.wrapping_sub(frame.is_gso().into());
    }
}

impl From<usize> for Budget {
    fn from(frames: usize) -> Self {
        Self {
            frames,
            slots: usize::MAX,
            large: usize::MAX,
        }
    }
}

/// The events that [`Queue::arm`] requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// After this many receive responses, at least 1 and at most as many as are outstanding; `None`
    /// for no event, since there is no room for frames now.
    pub rx: Option<u32>,
    /// After this many transmit responses; `None` for no event, since they are reaped in passing.
    pub tx: Option<u32>,
}

impl Default for Wake {
    /// On the next received frame; transmit responses wait until then.
    fn default() -> Self {
        Self {
            rx: Some(1),
            tx: None,
        }
    }
}
