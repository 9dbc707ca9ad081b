//! Packets that are plain but for a hash behind them, as Linux's netback sends every one of a flow
//! whose queue it chose by that: a response, then an extra info.

use netif::messages::is_lone_hash;

use super::*;

impl<H: Hal> Queue<H> {
    /// Whether the backend sends hashes, so that [`Queue::receive_hashed`] is to be called instead
    /// of [`Queue::receive`].
    #[must_use]
    #[inline]
    pub fn sends_hashes(&self) -> bool {
        self.hashes
    }

    /// As [`Queue::receive`], and quick with packets that have a hash, slow with those that are
    /// plain. The hashes themselves are of no use here.
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
        let (mut index, mut count, mut bytes) = (start, 0, 0_u64);
        while count < frames && end.wrapping_sub(index) >= 2 {
            // As for plain ones: id and offset in one word, status and flags in the other, both
            // loaded once.
            let words = self.rx.response::<RX_WORDS>(index);
            let head = self.posted[usize::from(index as u8)];
            let (flags, len) = (words[1] & 0xffff, words[1] & 0xffff_0000);
            let hashed = flags & u32::from(CHAINED.bits()) == u32::from(RxFlags::EXTRA_INFO.bits());
            let fits = (len >> 16).wrapping_sub(1) < PAGE_SIZE as u32;
            if words[0] != u32::from(head) || !hashed || !fits {
                break;
            }
            let Some(slot) = pool.slots.get(usize::from(head)) else {
                break;
            };
            let next = index.wrapping_add(1);
            if !is_lone_hash(self.rx.response(next)) {
                break;
            }
            let (cells, _) = slot.page.words64().as_chunks::<{ HEADER_LEN / 8 }>();
            let frame = Frame::plain(self.plain | checksum_kind(flags), head, len);
            let info = FrameInfo::plain(&frame, frame.checksum());
            sink(frame, FirstBytes(First::Shared(&cells[0])), info);
            // The page of the hash goes back at once.
            pool.push(self.posted[usize::from(next as u8)]);
            bytes += u64::from(len >> 16);
            index = next.wrapping_add(1);
            count += 1;
        }
        let taken = index.wrapping_sub(start);
        self.rx.consume(taken);
        pool.count_received(self.home, taken);
        self.counters.rx_frames += count as u64;
        self.counters.rx_bytes += bytes;
        self.partial = 0;
        budget.frames -= count;
        budget.slots -= count;
        if count == 0 {
            self.hashes = false;
        }
        // What begins with something else.
        let others = self.receive(pool, budget, sink)?;
        Ok(count + others)
    }
}
