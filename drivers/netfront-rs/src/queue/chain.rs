//! Packets that are more than one plain slot: chains of pages, extra infos, failures.

use xen_hal::{Hal, PAGE_SIZE};

use super::*;

/// Where an Ethernet header without tags has its EtherType, and that of IPv6 (RFC 2464).
const ETHERTYPE: usize = 12;
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];

/// What [`Queue::receive_chain`] found.
pub(super) enum Chain {
    /// A packet, its first bytes, and how many slots it took.
    Frame {
        frame: Frame,
        header: Header,
        slots: u32,
    },
    /// A packet that the backend failed to deliver, and how many slots that took.
    Failed { slots: u32 },
    /// The first slots of a packet; the rest isn't there yet.
    Partial,
    /// A packet that needs more slots to be sent than there may be. It stays on the ring.
    NoRoom,
}

/// One fragment of a packet, checked.
#[derive(Clone, Copy)]
pub(super) struct Fragment {
    page: u16,
    offset: u16,
    len: u16,
}

/// The less plain cases.
impl<H: Hal> Queue<H> {
    /// Receives the packet whose first response is `words`, at `index`: of any shape.
    ///
    /// The responses are loaded once each and kept until the packet is known to be complete.
    /// If it isn't, or needs more than `room` slots to be sent, all is forgotten and loaded and
    /// checked again next time.
    #[inline(never)]
    pub(super) fn receive_chain(
        &self,
        pool: &mut PagePool<H>,
        index: u32,
        end: u32,
        words: [u32; RX_WORDS],
        room: usize,
    ) -> Result<Chain, PeerFault> {
        let mut fragments = [Fragment {
            page: 0,
            offset: 0,
            len: 0,
        }; MAX_RX_SLOTS];
        let mut extra_pages = [0; MAX_EXTRAS];
        let (mut count, mut extras) = (0, 0);
        let mut gso = None;
        let mut failed = false;
        let mut at = index;
        let mut words = words;
        let page_of = |at: u32| self.posted[usize::from(at as u8)];
        let checksum = checksum_kind(words[1]);
        loop {
            let response = RxResponse::decode(words);
            let (page, flags) = (page_of(at), response.flags);
            if response.id != page {
                return Err(PeerFault::RxId {
                    slot: at as u8,
                    id: response.id,
                });
            }
            // Extra info belongs to the first fragment.
            let legal = if count == 0 {
                RxFlags::all()
            } else {
                !RxFlags::EXTRA_INFO
            };
            if flags.contains(RxFlags::GSO_PREFIX) || !legal.contains(flags & RxFlags::all()) {
                return Err(PeerFault::RxFlags(flags.bits()));
            }
            let Some(fragment) = fragments.get_mut(count) else {
                return Err(PeerFault::RxTooManySlots);
            };
            let (offset, len) = (response.offset, response.status.cast_unsigned());
            *fragment = Fragment { page, offset, len };
            if response.status <= 0 {
                failed = true;
            } else if usize::from(offset) + usize::from(len) > PAGE_SIZE {
                return Err(PeerFault::RxBounds { offset, len });
            }
            count += 1;
            at = at.wrapping_add(1);
            let mut more = flags.contains(RxFlags::EXTRA_INFO);
            while more {
                if at == end {
                    return Ok(Chain::Partial);
                }
                let extra = ExtraInfo::decode(self.rx.response(at))
                    .map_err(|bad| PeerFault::RxExtra { kind: bad.kind })?;
                let Some(page) = extra_pages.get_mut(extras) else {
                    return Err(PeerFault::RxTooManySlots);
                };
                *page = page_of(at);
                extras += 1;
                // Others are hints that can be done without.
                if let Extra::Gso(it) = extra.extra {
                    gso = Some(it);
                }
                more = extra.more;
                at = at.wrapping_add(1);
            }
            if !flags.contains(RxFlags::MORE_DATA) {
                break;
            }
            if at == end {
                // Whoever is to come has no place: better said now than waited for.
                if count == MAX_RX_SLOTS {
                    return Err(PeerFault::RxTooManySlots);
                }
                return Ok(Chain::Partial);
            }
            words = self.rx.response(at);
        }
        if !failed && tx_slots(count, gso.is_some()) > room {
            return Ok(Chain::NoRoom);
        }
        let slots = at.wrapping_sub(index);
        for page in extra_pages.into_iter().take(extras) {
            pool.push(page);
        }
        let fragments = fragments.into_iter().take(count);
        let total: usize = fragments
            .clone()
            .map(|fragment| usize::from(fragment.len))
            .sum();
        // What can't be sent on in one piece nor in several is of no use.
        if failed || (total > MAX_TX_SIZE as usize && gso.is_none()) {
            fragments.for_each(|fragment| pool.push(fragment.page));
            return Ok(Chain::Failed { slots });
        }
        let mut next = u16::MAX;
        for Fragment { page, offset, len } in fragments.rev() {
            let index = usize::from(page);
            let Some(slot) = pool.slots.get_mut(index) else {
                continue;
            };
            slot.next = next;
            next = page;
            pool.parts[index] = Part {
                offset,
                len,
                gso_size: 0,
            };
        }
        // The pool's tag is in `plain`, and one slot, instead of which there are these.
        let kind = (self.plain - 1 + count as u32) | kind::PARTS | checksum;
        let mut frame = Frame {
            kind,
            head: next,
            len: 0,
        };
        frame.set_len(total);
        pool.set_gso(&mut frame, gso);
        let header = pool.header(&frame);
        Ok(Chain::Frame {
            frame,
            header,
            slots,
        })
    }

    /// Sends a frame of any shape.
    #[inline(never)]
    pub(super) fn send_chain(
        &mut self,
        pool: &mut PagePool<H>,
        frame: Frame,
    ) -> Result<(), Unsent> {
        if let Err(why) = self.can_send(pool, &frame) {
            return Err(Unsent { frame, why });
        }
        let gso = pool.gso(&frame);
        let slots = frame.slots();
        let first = self.tx.next_request();
        let mut index = frame.head;
        for part in 0..slots {
            let Part { offset, len, .. } = pool.part(&frame, index);
            let Some(slot) = pool.slots.get_mut(usize::from(index)) else {
                break;
            };
            let mut flags = TxFlags::empty();
            flags.set(TxFlags::MORE_DATA, part + 1 < slots);
            let mut size = len;
            if part == 0 {
                flags |= TxFlags::from_bits_retain(frame.checksum().bits().into());
                flags.set(TxFlags::EXTRA_INFO, gso.is_some());
                // Of the whole packet.
                size = frame.len;
            }
            let request = TxRequest {
                gref: slot.granted.reference(),
                offset,
                flags,
                id: index,
                size,
            };
            slot.place = self.sending;
            index = slot.next;
            // `can_send` saw that there is room.
            let _ = self.tx.push(request.encode());
            if part == 0
                && let Some(gso) = gso
            {
                let [first, second] = ExtraInfo {
                    extra: Extra::Gso(gso),
                    more: false,
                }
                .encode();
                let _ = self.tx.push([first, second, 0]);
                self.extras += 1;
            }
        }
        self.continued += self.tx.next_request().wrapping_sub(first) - 1;
        self.counters.tx_bytes += frame.len() as u64;
        Ok(())
    }

    /// Whether the backend takes such a frame, and now.
    pub(super) fn can_send(&self, pool: &PagePool<H>, frame: &Frame) -> Result<(), SendError> {
        if self.fault.is_some() {
            Err(SendError::Closed)
        } else if self.pool != pool.tag || !pool.owns(frame) || frame.slots() == 0 {
            Err(SendError::OtherPool)
        } else if frame.is_gso() && !self.takes_large(pool, frame) {
            Err(SendError::NoGso)
        } else if frame.len() > MAX_TX_SIZE as usize {
            Err(SendError::TooLong)
        } else if frame.kind & kind::BLANK != 0 && !self.completes_checksum(pool, frame) {
            Err(SendError::NoChecksum)
        } else if frame.slots() > 1 && !self.features.contains(Features::SG) {
            Err(SendError::NoScatter)
        } else if frame.slots() > MAX_SLOTS {
            Err(SendError::TooManySlots)
        } else if self.tx_free() < frame.tx_slots() {
            Err(SendError::Full)
        } else {
            Ok(())
        }
    }

    /// Whether a frame, of any pool, is a large one that the backend doesn't take as it is.
    #[must_use]
    pub fn must_cut(&self, pool: &PagePool<H>, frame: &Frame) -> bool {
        let fits = frame.len() <= MAX_TX_SIZE as usize;
        frame.is_gso() && !(fits && self.takes_large(pool, frame))
    }

    /// Whether the backend cuts large packets of this kind. It has to complete their
    /// checksums, and to take packets in several slots, or it can't.
    fn takes_large(&self, pool: &PagePool<H>, frame: &Frame) -> bool {
        let needed = match pool.gso(frame).map(|gso| gso.kind) {
            Some(GsoKind::TcpV4) => Features::GSO_TCPV4 | Features::CSUM_IPV4,
            Some(GsoKind::TcpV6) => Features::GSO_TCPV6 | Features::CSUM_IPV6,
            None => return true,
        };
        self.features.contains(needed | Features::SG)
    }

    /// Whether the backend completes the checksum of a packet of this frame's IP version.
    fn completes_checksum(&self, pool: &PagePool<H>, frame: &Frame) -> bool {
        let mut ethertype = [0; 2];
        pool.copy_out(frame, ETHERTYPE, &mut ethertype);
        self.features.contains(match ethertype {
            ETHERTYPE_IPV6 => Features::CSUM_IPV6,
            _ => Features::CSUM_IPV4,
        })
    }

    /// Handles a transmit response that doesn't simply say that all is well.
    #[inline(never)]
    pub(super) fn reap_other(
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
            _ => {
                let sending = self.sending;
                let slot = pool.slots.get_mut(usize::from(response.id));
                let slot = slot.filter(|slot| slot.place == sending);
                slot.ok_or(PeerFault::TxId(response.id))?
                    .go_home(response.id, &mut pool.homes);
                self.counters.tx_errors += 1;
                Ok(())
            }
        }
    }
}
