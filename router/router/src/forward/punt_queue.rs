//! The queue between the fast path and the slow path, bounded in frames and bytes.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::frame::{FrameMeta, InterfaceId, MAX_INTERFACES};

/// The maximum number of queued frames.
const FRAMES: usize = 256;
/// Bytes that may wait.
pub(crate) const BYTES: usize = 96 * 1024;
/// Of either, a vif may fill one part in this many, so that a flood on one leaves
/// room for the others.
const SHARE: usize = 2;

/// A queued frame; its bytes are in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Punted {
    pub(crate) input: InterfaceId,
    /// The vif on which it was received; all VLANs of a vif share its part.
    pub(crate) vif: InterfaceId,
    pub(crate) meta: FrameMeta,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    frames: usize,
    bytes: usize,
}

#[derive(Debug)]
pub(crate) struct PuntQueue {
    frames: VecDeque<Punted>,
    bytes: VecDeque<u8>,
    shares: [Share; MAX_INTERFACES],
    scratch: Vec<u8>,
}

impl Default for PuntQueue {
    fn default() -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: VecDeque::new(),
            shares: [Share::default(); MAX_INTERFACES],
            scratch: Vec::new(),
        }
    }
}

impl PuntQueue {
    /// Returns `true` if there is room for a frame.
    fn has_room(&self, punted: &Punted) -> bool {
        let len = punted.meta.len as usize;
        let all = self.frames.len() < FRAMES && self.bytes.len() + len <= BYTES;
        let own = |s: &Share| s.frames < FRAMES / SHARE && s.bytes + len <= BYTES / SHARE;
        all && self.shares.get(punted.vif.index()).is_some_and(own)
    }

    /// Allocates memory for one more frame of `len` bytes. Returns `false` if there is none.
    fn reserve(&mut self, len: usize) -> bool {
        self.frames.try_reserve(1).is_ok()
            && self.bytes.try_reserve(len).is_ok()
            && reserve(&mut self.scratch, len)
    }

    /// Adds a frame of `meta.len` bytes, which `read` writes. Returns `false` if there is no room
    /// or no memory for it.
    pub(crate) fn push(&mut self, punted: Punted, read: impl FnOnce(&mut [u8])) -> bool {
        let len = punted.meta.len as usize;
        if !self.has_room(&punted) || !self.reserve(len) {
            return false;
        }
        if let Some(share) = self.shares.get_mut(punted.vif.index()) {
            share.frames += 1;
            share.bytes += len;
        }
        self.scratch.resize(len, 0);
        read(&mut self.scratch);
        self.bytes.extend(self.scratch.iter());
        self.frames.push_back(punted);
        true
    }

    /// Removes the oldest frame and replaces the contents of `frame` with its bytes.
    pub(crate) fn pop(&mut self, frame: &mut Vec<u8>) -> Option<Punted> {
        let punted = self.frames.pop_front()?;
        let len = punted.meta.len as usize;
        let (front, back) = self.bytes.as_slices();
        let first = len.min(front.len());
        frame.clear();
        frame.extend_from_slice(front.get(..first).unwrap_or(front));
        frame.extend_from_slice(back.get(..len - first).unwrap_or(back));
        self.remove_bytes(&punted);
        Some(punted)
    }

    /// Moves the frames of another queue to this one, oldest first, as far as there is room.
    pub(crate) fn take_from(&mut self, other: &mut Self) {
        if self.frames.is_empty() {
            return core::mem::swap(self, other);
        }
        let mut frame = core::mem::take(&mut other.scratch);
        while let Some(next) = other.frames.front()
            && let len = next.meta.len as usize
            && self.has_room(next)
            && self.reserve(len)
            && reserve(&mut frame, len)
            && let Some(punted) = other.pop(&mut frame)
        {
            self.push(punted, |to| to.copy_from_slice(&frame));
        }
        other.scratch = frame;
    }

    /// Returns the length of the oldest frame, in bytes. `None` if there is none.
    pub(crate) fn next_len(&self) -> Option<usize> {
        self.frames.front().map(|punted| punted.meta.len as usize)
    }

    /// Removes the oldest frame and discards its bytes.
    pub(crate) fn discard(&mut self) -> Option<Punted> {
        let punted = self.frames.pop_front()?;
        self.remove_bytes(&punted);
        Some(punted)
    }

    /// Frees the memory that isn't needed for the queued frames.
    pub(crate) fn shrink(&mut self) {
        self.frames.shrink_to_fit();
        self.bytes.shrink_to_fit();
        self.scratch = Vec::new();
    }

    /// Removes the bytes of a frame that was removed.
    fn remove_bytes(&mut self, punted: &Punted) {
        let len = punted.meta.len as usize;
        self.bytes.drain(..len.min(self.bytes.len()));
        if let Some(share) = self.shares.get_mut(punted.vif.index()) {
            share.frames = share.frames.saturating_sub(1);
            share.bytes = share.bytes.saturating_sub(len);
        }
    }

    /// Returns the number of queued bytes and its limit.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        (self.bytes.len(), BYTES)
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }
}

/// Clears a buffer and allocates memory for `len` bytes. Returns `false` if there is none.
fn reserve(buffer: &mut Vec<u8>, len: usize) -> bool {
    buffer.clear();
    buffer.try_reserve(len).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn punted(input: u8, len: usize) -> Punted {
        Punted {
            input: InterfaceId(input),
            vif: InterfaceId(input),
            meta: FrameMeta::plain(len),
        }
    }

    #[test]
    fn frames_come_out_whole_and_in_order() {
        let mut queue = PuntQueue::default();
        let mut frame = Vec::new();
        for round in 0..1000usize {
            for i in 0..3 {
                let len = (round * 7 + i * 401) % 1500;
                assert!(queue.push(punted(0, len), |b| b.fill((round + i) as u8)));
            }
            for i in 0..3 {
                let len = (round * 7 + i * 401) % 1500;
                assert_eq!(queue.pop(&mut frame).unwrap().meta.len as usize, len);
                assert!(frame.len() == len && frame.iter().all(|&b| b == (round + i) as u8));
            }
        }
        assert!(queue.pop(&mut frame).is_none());
    }

    #[test]
    fn what_another_queue_has_comes_after_what_is_there() {
        let (mut queue, mut other) = (PuntQueue::default(), PuntQueue::default());
        assert!(queue.push(punted(0, 60), |b| b.fill(0)));
        let mut taken = 0;
        while other.push(punted(0, 60), |b| b.fill(1 + taken)) {
            taken += 1;
        }
        queue.take_from(&mut other);
        assert_eq!((queue.len(), other.len()), (FRAMES / SHARE, 1));
        let mut frame = Vec::new();
        for at in 0..taken {
            assert!(queue.pop(&mut frame).is_some() && frame == [at; 60]);
        }
        // Nothing is left, and the last one takes the place of all.
        queue.take_from(&mut other);
        assert_eq!((queue.len(), other.len()), (1, 0));
        assert!(queue.pop(&mut frame).is_some() && frame == [taken; 60]);
    }

    #[test]
    fn one_interface_leaves_room_for_others() {
        let mut queue = PuntQueue::default();
        let mut taken = 0;
        while queue.push(punted(0, 60), |_| ()) {
            taken += 1;
        }
        assert_eq!(taken, FRAMES / SHARE);
        assert!(queue.push(punted(1, 1514), |_| ()));
        assert!(!queue.push(punted(2, BYTES), |_| panic!("not to be read")));
        assert!(!queue.push(punted(MAX_INTERFACES as u8, 60), |_| ()));
        let mut frame = Vec::new();
        while queue.pop(&mut frame).is_some() {}
        assert!(queue.push(punted(0, 60), |_| ()));
    }
}
