//! Sending frames, and reclaiming pages from the transmit ring.

use core::sync::atomic::Ordering;

use netif::messages::{
    Extra, ExtraInfo, MAX_SLOTS, MAX_TX_SIZE, RSP_NULL, TxFlags, TxRequest, TxResponse,
};
use netif::{Checksum, Features, GsoKind};
use page_pool::{Frame, FrameHeader, HEADER_LEN, HomeId, PagePool};
use xen_hal::Hal;

use super::Queue;
use crate::error::{PeerFault, SendError, Unsent};

/// Where an Ethernet header without tags has its EtherType, and that of IPv6 (RFC 2464).
const ETHERTYPE: usize = 12;
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];

impl<H: Hal> Queue<H> {
    /// Puts a frame on the transmit ring. It becomes visible to the backend with
    /// [`Queue::publish`].
    ///
    /// # Errors
    /// [`Unsent`], with the frame.
    #[inline]
    pub fn send(&mut self, pool: &mut PagePool<H>, frame: Frame) -> Result<(), Unsent> {
        let page = frame.first_page();
        if self.one_page.include(&frame)
            && let Some(slot) = pool.slots_mut().get_mut(usize::from(page))
        {
            let request = TxRequest {
                gref: slot.grant(),
                offset: 0,
                flags: TxFlags::from_bits_retain(frame.checksum().bits().into()),
                id: page,
                size: frame.size(),
            };
            if self.tx.push(request.encode()).is_err() {
                return Err(Unsent {
                    frame,
                    why: SendError::Full,
                });
            }
            slot.put_on_ring(self.id);
            let home = slot.home();
            pool.count_lent(self.id, home, 1);
            self.count_sent(u64::from(frame.size()));
            return Ok(());
        }
        self.send_chain(pool, frame)
    }

    /// Sends frames that were received into pages of `home`, with the first `len` bytes (at most
    /// [`HEADER_LEN`]) replaced by those of their headers. This is the fast path for many frames.
    /// Up to 7 more bytes of a header are written; they must be unchanged.
    ///
    /// Takes frames up to the first that isn't a plain one of one slot or for which there is no
    /// room, and replaces them by empty ones. Returns the number of frames taken.
    #[inline]
    pub fn forward<'a>(
        &mut self,
        pool: &mut PagePool<H>,
        home: HomeId,
        frames: impl IntoIterator<Item = (&'a mut Frame, &'a FrameHeader)>,
        len: usize,
    ) -> usize {
        let mut frames = frames.into_iter();
        let (one_page, id) = (self.one_page, self.id);
        let slots = pool.slots_mut();
        let mut bytes = 0_u64;
        let count = self.tx.fill(u32::MAX, |_| {
            let (frame, header) = frames.next()?;
            if !one_page.include(frame) {
                return None;
            }
            let slot = slots.get_mut(usize::from(frame.first_page()))?;
            let frame = core::mem::take(frame);
            let (window, _) = slot.page().words64().as_chunks::<{ HEADER_LEN / 8 }>();
            let words = header.as_chunks::<8>().0;
            let window = window.first()?;
            for (cell, word) in window.iter().zip(words).take(len.div_ceil(8)) {
                cell.store(u64::from_le_bytes(*word), Ordering::Relaxed);
            }
            slot.put_on_ring(id);
            bytes = bytes.wrapping_add(u64::from(frame.size()));
            Some(
                TxRequest {
                    gref: slot.grant(),
                    offset: 0,
                    flags: TxFlags::from_bits_retain(frame.checksum().bits().into()),
                    id: frame.first_page(),
                    size: frame.size(),
                }
                .encode(),
            )
        });
        pool.count_lent(self.id, home, count);
        self.count_sent(bytes);
        count as usize
    }

    /// Returns `true` if [`Queue::forward`] accepts such a frame, as long as there is room.
    #[must_use]
    #[inline]
    pub fn forwards(&self, frame: &Frame) -> bool {
        self.one_page.include(frame)
    }

    fn count_sent(&mut self, bytes: u64) {
        self.counters.tx_bytes = self.counters.tx_bytes.wrapping_add(bytes);
    }

    /// Sends a frame of any shape.
    #[inline(never)]
    fn send_chain(&mut self, pool: &mut PagePool<H>, frame: Frame) -> Result<(), Unsent> {
        if let Err(why) = self.can_send(pool, &frame) {
            return Err(Unsent { frame, why });
        }
        let gso = pool.gso(&frame);
        let (checksum, len) = (frame.checksum(), frame.len());
        // Of the whole packet.
        let size = frame.size();
        let mut left = frame.slots();
        let first = self.tx.next_request();
        pool.put_on_ring(frame, self.id, |part, gref| {
            left = left.saturating_sub(1);
            let mut request = TxRequest {
                gref,
                offset: part.offset,
                flags: TxFlags::empty(),
                id: part.page,
                size: part.len,
            };
            request.flags.set(TxFlags::MORE_DATA, left > 0);
            let is_first = self.tx.next_request() == first;
            if is_first {
                request.flags |= TxFlags::from_bits_retain(checksum.bits().into());
                request.flags.set(TxFlags::EXTRA_INFO, gso.is_some());
                request.size = size;
            }
            // `can_send` saw that there is room.
            let _ = self.tx.push(request.encode());
            if let Some(gso) = gso.filter(|_| is_first) {
                let [a, b] = ExtraInfo {
                    extra: Extra::Gso(gso),
                    more: false,
                }
                .encode();
                let _ = self.tx.push([a, b, 0]);
                self.extras = self.extras.wrapping_add(1);
            }
        });
        let slots = self.tx.next_request().wrapping_sub(first);
        self.continued = self.continued.wrapping_add(slots.saturating_sub(1));
        self.count_sent(len as u64);
        Ok(())
    }

    /// Checks that the backend accepts the frame now. Errors that require a copy come before those
    /// that can be fixed in place, so that a frame is still unchanged if there is no page for the
    /// copy.
    fn can_send(&self, pool: &PagePool<H>, frame: &Frame) -> Result<(), SendError> {
        if self.fault.is_some() {
            Err(SendError::Closed)
        } else if self.pool != pool.id() || !pool.owns(frame) || frame.slots() == 0 {
            Err(SendError::OtherPool)
        } else if frame.is_gso() && !self.takes_large(pool, frame) {
            Err(SendError::NoGso)
        } else if frame.len() > MAX_TX_SIZE as usize {
            Err(SendError::TooLong)
        } else if frame.slots() > 1 && !self.features.contains(Features::SG) {
            Err(SendError::NoScatter)
        } else if frame.slots() > MAX_SLOTS {
            Err(SendError::TooManySlots)
        } else if frame.checksum().contains(Checksum::BLANK)
            && !self.completes_checksum(pool, frame)
        {
            Err(SendError::NoChecksum)
        } else if self.tx_free() < frame.tx_slots() {
            Err(SendError::Full)
        } else {
            Ok(())
        }
    }

    /// Returns `true` if the backend accepts packets in as many slots as the frame has pages.
    #[must_use]
    pub fn takes_slots(&self, frame: &Frame) -> bool {
        let most = if self.features.contains(Features::SG) {
            MAX_SLOTS
        } else {
            1
        };
        frame.slots() <= most
    }

    /// Returns `true` if a frame, of any pool, is a large one that the backend doesn't accept
    /// unsegmented.
    #[must_use]
    pub fn must_cut(&self, pool: &PagePool<H>, frame: &Frame) -> bool {
        let fits = frame.len() <= MAX_TX_SIZE as usize;
        frame.is_gso() && !(fits && self.takes_large(pool, frame))
    }

    /// Returns `true` if the backend segments large packets of this type. For that it also has to
    /// complete checksums and to accept packets in several slots.
    fn takes_large(&self, pool: &PagePool<H>, frame: &Frame) -> bool {
        let needed = match pool.gso(frame).map(|gso| gso.kind) {
            Some(GsoKind::TcpV4) => Features::GSO_TCPV4 | Features::CSUM_IPV4,
            Some(GsoKind::TcpV6) => Features::GSO_TCPV6 | Features::CSUM_IPV6,
            None => return true,
        };
        self.features.contains(needed | Features::SG)
    }

    /// Returns `true` if the backend completes the checksum of a packet of this frame's IP version.
    /// The version is read from the page, which only the backend itself can change; it would then
    /// get a frame that it can't handle, or a checksum that is complete already.
    fn completes_checksum(&self, pool: &PagePool<H>, frame: &Frame) -> bool {
        let mut ethertype = [0; 2];
        pool.copy_out(frame, ETHERTYPE, &mut ethertype);
        self.features.contains(match ethertype {
            ETHERTYPE_IPV6 => Features::CSUM_IPV6,
            _ => Features::CSUM_IPV4,
        })
    }

    /// Returns the pages that the backend has sent to their homes. Returns the number of ring slots
    /// that became free.
    ///
    /// # Errors
    /// [`PeerFault`], now and for every later call.
    #[inline(never)]
    pub fn reap(&mut self, pool: &mut PagePool<H>) -> Result<usize, PeerFault> {
        if !self.is_live(pool) {
            return self.fault.map_or(Ok(0), Err);
        }
        let there = match self.tx.responses() {
            Ok(there) => there,
            Err(corrupt) => return Err(self.break_off(PeerFault::TxIndex(corrupt))),
        };
        let start = self.tx.next_response();
        let end = start.wrapping_add(there);
        let mut index = start;
        let mut outcome = Ok(());
        while index != end {
            // An existing page, and status 0: any other status makes the number too large.
            let odd = pool.take_back(self.id, &mut index, end, |index| {
                let [word] = self.tx.response(index);
                word
            });
            let Some(word) = odd else { break };
            if let Err(fault) = self.reap_other(pool, TxResponse::decode([word])) {
                outcome = Err(self.break_off(fault));
                break;
            }
            index = index.wrapping_add(1);
        }
        let taken = index.wrapping_sub(start);
        self.tx.consume(taken);
        outcome.map(|()| taken as usize)
    }

    /// Handles a transmit response other than success for a packet page.
    #[inline(never)]
    fn reap_other(
        &mut self,
        pool: &mut PagePool<H>,
        response: TxResponse,
    ) -> Result<(), PeerFault> {
        match response.status {
            RSP_NULL => {
                self.extras = self.extras.checked_sub(1).ok_or(PeerFault::TxNull)?;
                Ok(())
            }
            status if status > RSP_NULL => Err(PeerFault::TxStatus(status)),
            _ if !pool.take_back_one(self.id, response.id) => Err(PeerFault::TxId(response.id)),
            _ => {
                self.counters.tx_errors = self.counters.tx_errors.wrapping_add(1);
                Ok(())
            }
        }
    }
}
