//! Received packets other than a single plain slot: chains of pages, extra infos, errors.

use netif::Gso;
use netif::messages::{Extra, ExtraInfo, MAX_RX_SLOTS, MAX_TX_SIZE, RX_WORDS, RxFlags, RxResponse};
use page_pool::{Fragment, Frame, FrameHeader, PagePool};
use xen_hal::{Hal, PAGE_SIZE};

use super::{Queue, checksum_of};
use crate::error::PeerFault;

/// The maximum number of extra infos of a received packet. There are four types, each useful once.
const MAX_EXTRAS: usize = 8;

/// The result of [`Queue::receive_chain`].
pub(super) enum Chain {
    /// A packet, its first bytes, and the number of slots it took.
    Frame {
        frame: Frame,
        header: FrameHeader,
        slots: u32,
    },
    /// A packet that the backend failed to deliver, and the number of slots that took.
    Failed { slots: u32 },
    /// The first slots of a packet; the rest hasn't arrived yet.
    Partial,
    /// A packet that needs more transmit slots than the budget allows. It stays on the ring.
    NoRoom,
}

/// The validated responses of a packet.
#[derive(Default)]
struct Packet {
    fragments: [Fragment; MAX_RX_SLOTS],
    count: usize,
    /// Pages of the slots of extra infos, which hold nothing.
    extra_pages: [u16; MAX_EXTRAS],
    extras: usize,
    gso: Option<Gso>,
    /// The backend failed to deliver some of it.
    failed: bool,
}

impl Packet {
    fn push(&mut self, fragment: Fragment) -> Result<(), PeerFault> {
        let free = self.fragments.get_mut(self.count);
        *free.ok_or(PeerFault::RxTooManySlots)? = fragment;
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    fn push_extra(&mut self, page: u16) -> Result<(), PeerFault> {
        let free = self.extra_pages.get_mut(self.extras);
        *free.ok_or(PeerFault::RxTooManySlots)? = page;
        self.extras = self.extras.saturating_add(1);
        Ok(())
    }

    fn fragments(&self) -> impl DoubleEndedIterator<Item = Fragment> {
        let all = self.fragments.get(..self.count).unwrap_or_default();
        all.iter().copied()
    }

    /// Returns the bytes of all fragments.
    fn len(&self) -> usize {
        self.fragments()
            .map(|fragment| usize::from(fragment.len))
            .sum()
    }
}

impl<H: Hal> Queue<H> {
    /// Receives the packet whose first response is `words`, at `index`: of any shape.
    ///
    /// The responses are loaded once each and kept until the packet is known to be complete. If it
    /// isn't, or needs more than `room` slots to be sent, they are discarded, and loaded and
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
        let mut packet = Packet::default();
        let Some(behind) = self.parse(&mut packet, index, end, words)? else {
            return Ok(Chain::Partial);
        };
        if !packet.failed && Frame::tx_slots_of(packet.count, packet.gso.is_some()) > room {
            return Ok(Chain::NoRoom);
        }
        let slots = behind.wrapping_sub(index);
        for page in packet.extra_pages.into_iter().take(packet.extras) {
            pool.give_back(page);
        }
        // A packet that can be sent neither whole nor in segments is of no use.
        if packet.failed || (packet.len() > MAX_TX_SIZE as usize && packet.gso.is_none()) {
            packet
                .fragments()
                .for_each(|fragment| pool.give_back(fragment.page));
            return Ok(Chain::Failed { slots });
        }
        let frame = pool.join(packet.fragments(), checksum_of(words[1]), packet.gso);
        let header = pool.header(&frame);
        Ok(Chain::Frame {
            frame,
            header,
            slots,
        })
    }

    /// Checks the responses of the packet that begins with `words`, at `index`. Returns the index
    /// behind the last one, `None` if that isn't there yet.
    fn parse(
        &self,
        packet: &mut Packet,
        index: u32,
        end: u32,
        mut words: [u32; RX_WORDS],
    ) -> Result<Option<u32>, PeerFault> {
        let mut at = index;
        loop {
            let response = RxResponse::decode(words);
            let (page, flags) = (self.posted(at), response.flags);
            if response.id != page {
                return Err(PeerFault::RxId {
                    slot: at as u8,
                    id: response.id,
                });
            }
            // Extra info belongs to the first fragment.
            let legal = if packet.count == 0 {
                RxFlags::all()
            } else {
                !RxFlags::EXTRA_INFO
            };
            if flags.contains(RxFlags::GSO_PREFIX) || !legal.contains(flags & RxFlags::all()) {
                return Err(PeerFault::RxFlags(flags.bits()));
            }
            let (offset, len) = (response.offset, response.status.cast_unsigned());
            packet.push(Fragment { page, offset, len })?;
            if response.status <= 0 {
                packet.failed = true;
            } else if usize::from(offset).saturating_add(usize::from(len)) > PAGE_SIZE {
                return Err(PeerFault::RxBounds { offset, len });
            }
            at = at.wrapping_add(1);
            if flags.contains(RxFlags::EXTRA_INFO) {
                match self.parse_extras(packet, at, end)? {
                    Some(behind) => at = behind,
                    None => return Ok(None),
                }
            }
            if !flags.contains(RxFlags::MORE_DATA) {
                return Ok(Some(at));
            }
            if at == end {
                // A further fragment would exceed the limit: fail now rather than wait for it.
                if packet.count == MAX_RX_SLOTS {
                    return Err(PeerFault::RxTooManySlots);
                }
                return Ok(None);
            }
            words = self.rx.response(at);
        }
    }

    /// Checks the extra infos that begin at `index`. Returns the index behind the last one, `None`
    /// if that isn't there yet.
    fn parse_extras(
        &self,
        packet: &mut Packet,
        index: u32,
        end: u32,
    ) -> Result<Option<u32>, PeerFault> {
        let mut at = index;
        loop {
            if at == end {
                return Ok(None);
            }
            let extra = ExtraInfo::decode(self.rx.response(at))
                .map_err(|bad| PeerFault::RxExtra { kind: bad.kind })?;
            packet.push_extra(self.posted(at))?;
            // Others are optional hints.
            if let Extra::Gso(gso) = extra.extra {
                packet.gso = Some(gso);
            }
            at = at.wrapping_add(1);
            if !extra.more {
                return Ok(Some(at));
            }
        }
    }
}
