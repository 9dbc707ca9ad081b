//! Removing and adding bytes at the front of a frame, as needed for VLAN tags.

use netif::messages::MAX_TX_SIZE;
use xen_hal::{Hal, PAGE_SIZE};

use super::{PagePool, Part};
use crate::frame::{Frame, kind};

/// Bytes that are moved at once.
const PIECE: usize = 512;

/// The front of frames.
impl<H: Hal> PagePool<H> {
    /// Removes the first `len` bytes of a frame without copying; pages without other bytes are
    /// freed. Returns `false`, leaving the frame unchanged, if it isn't longer than that.
    pub fn trim_front(&mut self, frame: &mut Frame, len: usize) -> bool {
        if !self.owns(frame) || frame.len() <= len {
            return false;
        }
        let (gso, total) = (self.gso(frame), frame.len());
        let mut left = len;
        loop {
            let index = frame.head;
            let Part { offset, len, .. } = self.part(frame, index);
            let here = usize::from(len);
            if here > left {
                let part = Part {
                    offset: offset + left as u16,
                    len: (here - left) as u16,
                    gso_size: 0,
                };
                if let Some(known) = self.parts.get_mut(usize::from(index)) {
                    *known = part;
                }
                break;
            }
            let Some(next) = self.slots.get(usize::from(index)).map(|slot| slot.next) else {
                break;
            };
            left -= here;
            self.push(index);
            frame.head = next;
            frame.kind -= 1;
        }
        frame.kind |= kind::PARTS;
        frame.set_len(total - len);
        self.set_gso(frame, gso);
        true
    }

    /// Adds `len` bytes with unspecified contents in front of a frame. If the first page has no
    /// room there, its contents are moved back. Returns `false`, leaving the frame unchanged, if
    /// that isn't possible.
    pub fn grow_front(&mut self, frame: &mut Frame, len: usize) -> bool {
        let index = frame.head;
        let gso = self.gso(frame);
        let Part {
            offset, len: here, ..
        } = self.part(frame, index);
        let (at, here) = (usize::from(offset), usize::from(here));
        if !self.owns(frame) || frame.len() + len > MAX_TX_SIZE as usize {
            return false;
        }
        let start = at.saturating_sub(len);
        if start + len != at {
            let Some(slot) = self.slots.get(usize::from(index)) else {
                return false;
            };
            if start + len + here > PAGE_SIZE {
                return false;
            }
            // From the end on, since the places overlap.
            let mut buffer = [0; PIECE];
            let mut end = here;
            while end > 0 {
                let (piece, _) = buffer.split_at_mut(end.min(PIECE));
                end -= piece.len();
                slot.page.read(at + end, piece);
                slot.page.write(start + len + end, piece);
            }
        }
        if let Some(known) = self.parts.get_mut(usize::from(index)) {
            *known = Part {
                offset: start as u16,
                len: (here + len) as u16,
                gso_size: 0,
            };
        }
        frame.set_len(frame.len() + len);
        self.set_gso(frame, gso);
        // Alone and at the start of its page it is as plain as any.
        if start == 0 && frame.slots() == 1 {
            frame.kind &= !kind::PARTS;
        } else {
            frame.kind |= kind::PARTS;
        }
        true
    }
}
