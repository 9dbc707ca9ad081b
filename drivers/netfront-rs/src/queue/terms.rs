//! What is said between a queue and its caller.

use page_pool::Frame;

#[cfg(doc)]
use super::{MAX_TX_SLOTS, Queue};

/// What happened on a queue since it was made.
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
    /// Slots that the backend reported as dropped or in error.
    pub tx_errors: u64,
    /// Events sent.
    pub notifications: u64,
}

/// How much [`Queue::receive`] may take at most. A number of frames is one without other limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Frames.
    pub frames: usize,
    /// Slots of a transmit ring that they need together ([`Frame::tx_slots`]).
    /// [`MAX_TX_SLOTS`] are enough for any one frame.
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

/// When [`Queue::arm`] asks to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// After this many receive responses; at least 1, at most as many as are to come. `None`:
    /// not for these, since there is nowhere to put them now.
    pub rx: Option<u32>,
    /// After this many transmit responses; `None`: not for these, they are reaped in passing.
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
