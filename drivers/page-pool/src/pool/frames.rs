//! Creating and freeing frames, and access to their bytes.

use core::sync::atomic::Ordering;

use netif::messages::MAX_SLOTS;
use netif::{Gso, GsoKind};
use xen_hal::{Hal, PAGE_SIZE, SharedPage};

use super::{PagePool, Part};
use crate::frame::{Frame, FrameHeader, FrameInfo, HEADER_LEN, kind};
use crate::home::{HomeId, NO_PAGE};

/// Frames.
impl<H: Hal> PagePool<H> {
    /// Gives the pages of a frame back to their homes.
    #[inline]
    pub fn free(&mut self, frame: Frame) {
        if !self.owns(&frame) {
            debug_assert_eq!(frame.slots(), 0, "freed a frame of another pool");
            return;
        }
        let mut index = frame.head;
        for _ in 0..frame.slots() {
            let next = self
                .slots
                .get(usize::from(index))
                .map_or(NO_PAGE, |slot| slot.next);
            self.push(index);
            index = next;
        }
    }

    /// Allocates a frame of `len` bytes from free pages of `home`, with unspecified contents.
    /// Returns `None` if there are too few pages, or if `len` is 0 or more than 65,535.
    #[inline(never)]
    pub fn alloc(&mut self, home: HomeId, len: usize) -> Option<Frame> {
        self.take(home, len)
    }

    /// Allocates a frame with a copy of `bytes` from free pages of `home`. Returns `None` if there
    /// are too few pages, no bytes, or more than 65,535.
    pub fn alloc_frame(&mut self, home: HomeId, bytes: &[u8]) -> Option<Frame> {
        let mut frame = self.take(home, bytes.len())?;
        self.copy_in(&mut frame, 0, bytes);
        Some(frame)
    }

    /// Copies `frame` of the pool `from` into free pages of `home` of the pool `to`, with all
    /// that is known of it; `None` if there are too few. The original stays as it is.
    ///
    /// The copy begins with `front` and continues with the frame's bytes from `skip` on. `front`
    /// has been checked in a copy that the peer can't change; these bytes aren't read again from
    /// the pages.
    pub fn copy_between(
        from: &PagePool<H>,
        frame: &Frame,
        front: &[u8],
        skip: usize,
        to: &mut PagePool<H>,
        home: HomeId,
    ) -> Option<Frame> {
        let rest = frame.len().saturating_sub(skip);
        let mut copy = to.take(home, front.len() + rest)?;
        Self::copy_rest(from, frame, skip, to, &mut copy, front);
        copy.set_checksum(frame.checksum());
        to.set_gso(&mut copy, from.gso(frame));
        Some(copy)
    }

    /// Like [`PagePool::copy_between`], within the pool.
    pub fn copy(
        &mut self,
        frame: &Frame,
        front: &[u8],
        skip: usize,
        home: HomeId,
    ) -> Option<Frame> {
        let rest = frame.len().saturating_sub(skip);
        let mut copy = self.take(home, front.len() + rest)?;
        Self::copy_rest(self, frame, skip, self, &mut copy, front);
        copy.set_checksum(frame.checksum());
        let gso = self.gso(frame);
        self.set_gso(&mut copy, gso);
        Some(copy)
    }

    /// Fills `copy` of the pool `to` with `front` and what `frame` of the pool `from` has from
    /// byte `skip` on.
    fn copy_rest(
        from: &PagePool<H>,
        frame: &Frame,
        skip: usize,
        to: &PagePool<H>,
        copy: &mut Frame,
        front: &[u8],
    ) {
        let mut buffer = [0; 512];
        let (mut at, mut end) = (skip, front.len());
        while at < frame.len() {
            let done = from.copy_out(frame, at, &mut buffer);
            let Some(read) = buffer.get(..done).filter(|read| !read.is_empty()) else {
                break;
            };
            to.copy_in(copy, end, read);
            at += done;
            end += done;
        }
        to.copy_in(copy, 0, front);
    }

    /// Copies bytes of the frame from `offset` on; stops at its end. Returns the number of bytes.
    ///
    /// The peer may change them at any time: check the copy, not the original.
    #[inline(never)]
    pub fn copy_out(&self, frame: &Frame, offset: usize, into: &mut [u8]) -> usize {
        let mut done = 0;
        self.each_part(frame, offset, into.len(), |page, at, len| {
            if let Some(into) = into.get_mut(done..done + len) {
                done += page.read(at, into);
            }
        });
        done
    }

    /// Overwrites bytes of the frame from `offset` on; stops at its end. Returns the number of
    /// bytes.
    #[inline(never)]
    pub fn copy_in(&self, frame: &mut Frame, offset: usize, from: &[u8]) -> usize {
        let mut done = 0;
        self.each_part(frame, offset, from.len(), |page, at, len| {
            if let Some(from) = from.get(done..done + len) {
                done += page.write(at, from);
            }
        });
        done
    }

    /// Overwrites the first `len` bytes of the frame with those of `header`. If the frame is
    /// aligned this is a few stores of whole words: up to 7 more bytes of `header` are then
    /// written, which are the frame's own if it was received with this header.
    #[inline]
    pub fn write_header(&mut self, frame: &mut Frame, header: &FrameHeader, len: usize) {
        // Only frames that start at the start of a page; others go the long way.
        let whole = frame.kind & (kind::POOL | kind::PARTS) == self.kind();
        if whole
            && len <= frame.len()
            && let Some(slot) = self.slots.get(usize::from(frame.head))
            && let Some(window) = slot.page.words64().first_chunk::<{ HEADER_LEN / 8 }>()
        {
            let words = header.as_chunks::<8>().0;
            for (cell, word) in window.iter().zip(words).take(len.div_ceil(8)) {
                cell.store(u64::from_le_bytes(*word), Ordering::Relaxed);
            }
        } else {
            let header = header.get(..len).unwrap_or(header);
            self.copy_in(frame, 0, header);
        }
    }

    /// Returns the first bytes of a frame; zeros beyond its end.
    #[must_use]
    pub fn header(&self, frame: &Frame) -> FrameHeader {
        let mut header = [0; HEADER_LEN];
        self.copy_out(frame, 0, &mut header);
        header
    }

    /// Returns the segmentation of a large frame; `None` for other frames.
    #[must_use]
    #[inline]
    pub fn gso(&self, frame: &Frame) -> Option<Gso> {
        let kind = match frame.kind & (kind::TCPV4 | kind::TCPV6) {
            0 => return None,
            kind::TCPV4 => GsoKind::TcpV4,
            _ => GsoKind::TcpV6,
        };
        let size = self.parts.get(usize::from(frame.head))?.gso_size;
        Some(Gso { kind, size })
    }

    /// Sets the segmentation of a frame.
    pub fn set_gso(&mut self, frame: &mut Frame, gso: Option<Gso>) {
        frame.kind &= !(kind::TCPV4 | kind::TCPV6);
        if let Some(Gso { kind, size }) = gso
            && self.owns(frame)
            && let Some(part) = self.parts.get_mut(usize::from(frame.head))
        {
            part.gso_size = size;
            frame.kind |= match kind {
                GsoKind::TcpV4 => kind::TCPV4,
                GsoKind::TcpV6 => kind::TCPV6,
            };
        }
    }

    /// Returns the information about a frame.
    #[must_use]
    #[inline]
    pub fn info(&self, frame: &Frame) -> FrameInfo {
        FrameInfo {
            len: frame.len() as u32,
            slots: frame.slots() as u8,
            checksum: frame.checksum(),
            gso: self.gso(frame),
        }
    }

    /// Returns `true` if the frame is of this pool.
    #[must_use]
    #[inline]
    pub fn owns(&self, frame: &Frame) -> bool {
        frame.kind & kind::POOL == self.kind()
    }

    /// Returns the part of [`Frame::kind`] that says that it is of this pool.
    #[inline]
    pub(super) fn kind(&self) -> u32 {
        u32::from(self.id.0) << kind::POOL_SHIFT
    }

    /// Calls `part` with page, offset and length of each part of the frame that lies in the
    /// `len` bytes from `offset` on.
    fn each_part(
        &self,
        frame: &Frame,
        offset: usize,
        len: usize,
        mut part: impl FnMut(&SharedPage, usize, usize),
    ) {
        if !self.owns(frame) {
            debug_assert!(false, "accessed a frame of another pool");
            return;
        }
        let (mut skip, mut left) = (offset, len);
        let mut index = frame.head;
        for _ in 0..frame.slots() {
            let Some(slot) = self.slots.get(usize::from(index)) else {
                return;
            };
            let Part { offset, len, .. } = self.part(frame, index);
            let here = usize::from(len);
            if skip < here && left > 0 {
                let n = left.min(here - skip);
                part(&slot.page, usize::from(offset) + skip, n);
                left -= n;
            }
            skip = skip.saturating_sub(here);
            index = slot.next;
        }
    }

    /// Takes free pages of `home` for a frame of `len` bytes.
    fn take(&mut self, home: HomeId, len: usize) -> Option<Frame> {
        let count = len.div_ceil(PAGE_SIZE);
        if count == 0 || count > MAX_SLOTS || self.free_pages(home, count).count() < count {
            return None;
        }
        let len = u16::try_from(len).ok()?;
        let mut head = NO_PAGE;
        // From the last page to the first, so that each knows the next.
        for first in (0..len).step_by(PAGE_SIZE).rev() {
            let index = self.pop(home)?;
            self.slots.get_mut(usize::from(index))?.next = head;
            let len = (len - first).min(PAGE_SIZE as u16);
            *self.parts.get_mut(usize::from(index))? = Part {
                offset: 0,
                len,
                gso_size: 0,
            };
            head = index;
        }
        self.homes[home].present -= count as u32;
        let parts = if count > 1 { kind::PARTS } else { 0 };
        let kind = count as u32 | parts | self.kind();
        Some(Frame { kind, head, len })
    }

    /// Returns what of the frame is in its page `index`.
    #[inline]
    pub(super) fn part(&self, frame: &Frame, index: u16) -> Part {
        if frame.kind & kind::PARTS == 0 {
            return Part {
                offset: 0,
                len: frame.len,
                gso_size: 0,
            };
        }
        self.parts
            .get(usize::from(index))
            .copied()
            .unwrap_or_default()
    }
}
