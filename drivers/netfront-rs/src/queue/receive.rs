//! Receiving: plain packets in a loop without calls, packets with a hash in another, the rest by
//! [`Queue::receive_chain`].

use netif::Checksum;
use netif::messages::{RX_WORDS, RxFlags, is_lone_hash};
use page_pool::{FirstBytes, Frame, FrameInfo, PagePool};
use xen_hal::{Hal, PAGE_SIZE};

use super::chain::Chain;
use super::terms::Budget;
use super::{Queue, checksum_of};
use crate::error::PeerFault;

/// Flags of a response that is not all of its packet.
const CHAINED: RxFlags = RxFlags::MORE_DATA
    .union(RxFlags::EXTRA_INFO)
    .union(RxFlags::GSO_PREFIX);

/// The two words of `netif_rx_response_t`.
type Words = [u32; RX_WORDS];

/// Returns `true` if a packet in a single page took more slots only because of optional extra
/// infos.
fn is_plain_but_for_extras(frame: &Frame, slots: u32) -> bool {
    frame.slots() == 1 && slots > 1 && !frame.is_gso()
}

impl<H: Hal> Queue<H> {
    /// Receives frames within `budget` and passes each to `sink`, together with its first bytes, to
    /// be copied. Only that copy can be trusted after it has been checked: the backend may continue
    /// to write to the page.
    ///
    /// A packet in several slots is passed on when all of them have arrived. Packets that the
    /// backend failed to deliver are counted, and their pages freed.
    ///
    /// Returns the number of frames.
    ///
    /// # Errors
    /// [`PeerFault`], now and for every later call. Frames that were passed to `sink` are valid.
    #[inline]
    pub fn receive(
        &mut self,
        pool: &mut PagePool<H>,
        budget: impl Into<Budget>,
        mut sink: impl FnMut(Frame, FirstBytes<'_>, FrameInfo),
    ) -> Result<usize, PeerFault> {
        let mut budget: Budget = budget.into();
        let (start, end) = self.arrived(pool)?;
        let mut index = start;
        let frames = budget.frames;
        // Lengths of frames, in 65,536ths of a byte.
        let mut lens = 0_u64;
        let mut outcome = Ok(());
        self.partial = 0;
        while index != end {
            let left = budget.frames.min(budget.slots);
            if left == 0 || budget.large == 0 {
                break;
            }
            // Plain packets take one slot each.
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            let first = index;
            let stop = first.wrapping_add(end.wrapping_sub(first).min(left));
            let odd;
            (index, odd) = self.receive_plain(pool, first, stop, &mut lens, &mut sink);
            budget.take(index.wrapping_sub(first) as usize);
            let Some(words) = odd else {
                continue;
            };
            match self.receive_chain(pool, index, end, words, budget.slots) {
                Ok(Chain::Frame {
                    frame,
                    header,
                    slots,
                }) => {
                    index = index.wrapping_add(slots);
                    self.hashes |= is_plain_but_for_extras(&frame, slots);
                    budget.take_frame(&frame);
                    lens = lens.wrapping_add((frame.len() as u64) << 16);
                    let info = pool.info(&frame);
                    sink(frame, FirstBytes::copied(&header), info);
                }
                Ok(Chain::NoRoom) => break,
                Ok(Chain::Failed { slots }) => {
                    index = index.wrapping_add(slots);
                    self.counters.rx_errors = self.counters.rx_errors.wrapping_add(1);
                }
                Ok(Chain::Partial) => {
                    self.partial = end.wrapping_sub(index);
                    break;
                }
                Err(fault) => {
                    outcome = Err(self.break_off(fault));
                    break;
                }
            }
        }
        let frames = frames.wrapping_sub(budget.frames);
        self.end_receive(pool, index.wrapping_sub(start), frames, lens);
        outcome.map(|()| frames)
    }

    /// Receives plain packets from `start` on. Stops at the first that isn't one, whose response
    /// is returned, or at `stop`. Returns the index where it stopped.
    #[inline(always)]
    fn receive_plain(
        &self,
        pool: &PagePool<H>,
        start: u32,
        stop: u32,
        lens: &mut u64,
        sink: &mut impl FnMut(Frame, FirstBytes<'_>, FrameInfo),
    ) -> (u32, Option<Words>) {
        let mut index = start;
        let odd = loop {
            // netif_rx_response_t, loaded once; from here on these are our own values.
            let words: Words = self.rx.response(index);
            // Id and offset: the response to this slot's request, data at the start of the
            // page.
            let page = self.posted(index);
            if words[0] != u32::from(page) {
                break Some(words);
            }
            let Some(slot) = pool.slot(page) else {
                break Some(words);
            };
            let bytes = slot.first_bytes();
            // Status: a length, not 0, within the page; a negative one is beyond any page.
            // Flags: none. Both in one comparison of a number that begins with the flags.
            let len = words[1] & 0xffff_0000;
            if words[1].wrapping_sub(1 << 16).rotate_left(16) < PAGE_SIZE as u32 {
                let frame = self
                    .one_page
                    .received(page, (len >> 16) as u16, Checksum::empty());
                let info = FrameInfo::of_one_page(frame.size(), Checksum::empty());
                sink(frame, bytes, info);
            } else {
                // Or flags, but neither another fragment nor extra info.
                let flags = words[1] & 0xffff;
                let chained = flags & u32::from(CHAINED.bits()) != 0;
                if chained || (len >> 16).wrapping_sub(1) >= PAGE_SIZE as u32 {
                    break Some(words);
                }
                let frame = self
                    .one_page
                    .received(page, (len >> 16) as u16, checksum_of(flags));
                let info = FrameInfo::of_one_page(frame.size(), frame.checksum());
                sink(frame, bytes, info);
            }
            index = index.wrapping_add(1);
            *lens = lens.wrapping_add(u64::from(len));
            if index == stop {
                break None;
            }
        };
        (index, odd)
    }

    /// Returns `true` if the backend sends hashes, so that [`Queue::receive_hashed`] is to be
    /// called instead of [`Queue::receive`].
    #[must_use]
    #[inline]
    pub fn sends_hashes(&self) -> bool {
        self.hashes
    }

    /// Like [`Queue::receive`], but fast for packets with a hash and slow for plain ones. Linux's
    /// netback sends every packet of a flow whose queue it chose by hash as a response and an extra
    /// info behind it. The hashes themselves are of no use here.
    ///
    /// # Errors
    /// [`PeerFault`], as there.
    #[inline]
    pub fn receive_hashed(
        &mut self,
        pool: &mut PagePool<H>,
        budget: impl Into<Budget>,
        mut sink: impl FnMut(Frame, FirstBytes<'_>, FrameInfo),
    ) -> Result<usize, PeerFault> {
        let mut budget: Budget = budget.into();
        let (start, end) = self.arrived(pool)?;
        let frames = budget.frames.min(budget.slots);
        let frames = if budget.large == 0 { 0 } else { frames };
        let (mut index, mut count, mut bytes) = (start, 0_usize, 0_u64);
        while count < frames && end.wrapping_sub(index) >= 2 {
            // As for plain ones: id and offset in one word, status and flags in the other, both
            // loaded once.
            let words: Words = self.rx.response(index);
            let page = self.posted(index);
            let (flags, len) = (words[1] & 0xffff, words[1] & 0xffff_0000);
            let hashed = flags & u32::from(CHAINED.bits()) == u32::from(RxFlags::EXTRA_INFO.bits());
            let fits = (len >> 16).wrapping_sub(1) < PAGE_SIZE as u32;
            if words[0] != u32::from(page) || !hashed || !fits {
                break;
            }
            let Some(slot) = pool.slot(page) else {
                break;
            };
            let next = index.wrapping_add(1);
            if !is_lone_hash(self.rx.response(next)) {
                break;
            }
            let frame = self
                .one_page
                .received(page, (len >> 16) as u16, checksum_of(flags));
            let info = FrameInfo::of_one_page(frame.size(), frame.checksum());
            sink(frame, slot.first_bytes(), info);
            // The page of the hash goes back at once.
            pool.give_back(self.posted(next));
            bytes = bytes.wrapping_add(u64::from(len >> 16));
            index = next.wrapping_add(1);
            count = count.wrapping_add(1);
        }
        self.end_receive(pool, index.wrapping_sub(start), count, bytes << 16);
        self.partial = 0;
        budget.take(count);
        if count == 0 {
            self.hashes = false;
        }
        // Packets that begin otherwise.
        let others = self.receive(pool, budget, sink)?;
        Ok(count.wrapping_add(others))
    }

    /// Returns the indices of the first response that is there and of the one behind the last; none
    /// of a queue of another pool.
    #[inline(always)]
    fn arrived(&mut self, pool: &PagePool<H>) -> Result<(u32, u32), PeerFault> {
        let start = self.rx.next_response();
        if !self.is_live(pool) {
            return self.fault.map_or(Ok((start, start)), Err);
        }
        match self.rx.responses() {
            Ok(there) => Ok((start, start.wrapping_add(there))),
            Err(corrupt) => Err(self.break_off(PeerFault::RxIndex(corrupt))),
        }
    }

    /// Frees the slots of what was received, and counts it; `lens` is in 65,536ths of a byte.
    #[inline(always)]
    fn end_receive(&mut self, pool: &mut PagePool<H>, slots: u32, frames: usize, lens: u64) {
        self.rx.consume(slots);
        pool.count_received(self.home, slots);
        let counters = &mut self.counters;
        counters.rx_frames = counters.rx_frames.wrapping_add(frames as u64);
        counters.rx_bytes = counters.rx_bytes.wrapping_add(lens >> 16);
    }
}
