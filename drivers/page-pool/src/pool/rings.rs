//! The interface for drivers to put pages on their rings and take them back.
//!
//! Pages are named by their index, which netif.h's 16-bit ids can hold. A page that is posted
//! for receiving is taken from its home's free list ([`PagePool::post`]); it stays one of those
//! that its home has present until the driver says that it was received
//! ([`PagePool::count_received`]). A page that is sent is marked as being on the ring of its queue
//! ([`PageSlot::put_on_ring`]), so that no peer can give it back twice or to another queue
//! ([`PagePool::take_back`]), and counted ([`PagePool::count_lent`]).

use netif::{Checksum, Gso};
use xen_hal::{GrantRef, Hal, SharedPage};

use super::{Lent, PagePool, PageSlot, Part};
use crate::frame::{FirstBytes, Frame, OnePageFrames, kind};
use crate::home::{HomeId, NO_PAGE};

/// A queue's number in its pool, from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueId(u8);

impl QueueId {
    /// No queue.
    pub(super) const NONE: Self = Self(0);

    /// Returns the index of a queue.
    #[inline]
    pub(super) const fn index(self) -> usize {
        (self.0 as usize).wrapping_sub(1)
    }
}

/// The part of a frame that is in one page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// The page.
    pub page: u16,
    /// Its offset in the page.
    pub offset: u16,
    /// Its length in bytes.
    pub len: u16,
}

/// The free pages of a home, each with the grant that the peer knows it by.
#[derive(Debug)]
pub struct FreePages<'a> {
    slots: &'a [PageSlot],
    next: u16,
}

impl Iterator for FreePages<'_> {
    type Item = (u16, GrantRef);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let page = self.next;
        let slot = self.slots.get(usize::from(page))?;
        self.next = slot.next;
        Some((page, slot.granted.reference()))
    }
}

impl PageSlot {
    /// Returns the page itself.
    #[must_use]
    #[inline]
    pub fn page(&self) -> &SharedPage {
        &self.page
    }

    /// Returns the first bytes of a packet that was received into the page.
    #[must_use]
    #[inline]
    pub fn first_bytes(&self) -> FirstBytes<'_> {
        FirstBytes::of_page(&self.page)
    }

    /// Returns the grant by which the peer knows the page.
    #[must_use]
    #[inline]
    pub fn grant(&self) -> GrantRef {
        self.granted.reference()
    }

    /// Returns where the page returns when it is free.
    #[must_use]
    #[inline]
    pub fn home(&self) -> HomeId {
        self.home
    }

    /// Notes that the page is on the transmit ring of `queue`. To be counted too
    /// ([`PagePool::count_lent`]).
    #[inline]
    pub fn put_on_ring(&mut self, queue: QueueId) {
        self.sending = queue;
    }
}

/// Queues.
impl<H: Hal> PagePool<H> {
    /// Takes an id for a queue; `None` if there are 64.
    pub fn add_queue(&mut self) -> Option<QueueId> {
        let free = self.queues.trailing_ones();
        self.queues |= 1_u64.checked_shl(free)?;
        if self.lent.len() <= free as usize {
            self.lent.push(Lent::NONE);
        }
        Some(QueueId(free as u8 + 1))
    }

    /// Gives the id back, and the pages that are on the queue's transmit ring to their homes.
    pub fn remove_queue(&mut self, queue: QueueId) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if slot.sending == queue {
                slot.go_home(index as u16, &mut self.homes);
            }
        }
        if let Some(lent) = self.lent.get_mut(queue.index()) {
            *lent = Lent::NONE;
        }
        self.queues &= !(1 << (queue.0 - 1));
    }

    /// Counts pages of `home` that were put on the transmit ring of `queue`.
    #[inline]
    pub fn count_lent(&mut self, queue: QueueId, home: HomeId, pages: u32) {
        if let Some(lent) = self.lent.get_mut(queue.index()) {
            lent.pages[home] += pages as u16;
        }
    }

    /// Returns the frames that are one page each; if `blank`, with those whose checksum is blank.
    #[must_use]
    pub fn one_page_frames(&self, blank: bool) -> OnePageFrames {
        OnePageFrames::of(self.kind(), blank)
    }

    /// Returns a page, by its index.
    #[must_use]
    #[inline]
    pub fn slot(&self, page: u16) -> Option<&PageSlot> {
        self.slots.get(usize::from(page))
    }

    /// Returns all pages, by their index.
    #[inline]
    pub fn slots_mut(&mut self) -> &mut [PageSlot] {
        &mut self.slots
    }
}

/// Receiving.
impl<H: Hal> PagePool<H> {
    /// Lets `post` put free pages of `home` on a receive ring. It returns the number it took.
    #[inline]
    pub fn post(&mut self, home: HomeId, post: impl FnOnce(&mut FreePages<'_>) -> u32) -> u32 {
        let list = &mut self.homes[home];
        let mut free = FreePages {
            slots: &self.slots,
            next: list.head,
        };
        let count = post(&mut free);
        list.head = free.next;
        self.terms[home].posted += count;
        count
    }

    /// Counts pages of `home` that were posted and are no longer, nor present.
    #[inline]
    pub fn count_received(&mut self, home: HomeId, pages: u32) {
        self.terms[home].posted -= pages;
        self.homes[home].present -= pages;
    }

    /// Makes a frame of pages that a packet was received into, from its first fragment to its
    /// last. There are at most 31, and they have less than 2^17 bytes together.
    pub fn join(
        &mut self,
        fragments: impl DoubleEndedIterator<Item = Fragment>,
        checksum: Checksum,
        gso: Option<Gso>,
    ) -> Frame {
        let (mut head, mut count, mut total) = (NO_PAGE, 0, 0);
        for Fragment { page, offset, len } in fragments.rev() {
            let index = usize::from(page);
            let (Some(slot), Some(part)) = (self.slots.get_mut(index), self.parts.get_mut(index))
            else {
                continue;
            };
            slot.next = head;
            *part = Part {
                offset,
                len,
                gso_size: 0,
            };
            head = page;
            count += 1;
            total += usize::from(len);
        }
        let mut frame = Frame {
            kind: self.kind() | kind::PARTS | count,
            head,
            len: 0,
        };
        frame.set_len(total);
        frame.set_checksum(checksum);
        self.set_gso(&mut frame, gso);
        self.large = self.large.wrapping_add(u32::from(frame.is_gso()));
        frame
    }

    /// Returns the number of large frames received ([`Frame::is_gso`]), which wraps around.
    #[must_use]
    #[inline]
    pub fn large_received(&self) -> u32 {
        self.large
    }

    /// Gives a page that holds nothing of use back to its home.
    #[inline]
    pub fn give_back(&mut self, page: u16) {
        self.push(page);
    }
}

/// Sending.
impl<H: Hal> PagePool<H> {
    /// Puts the pages of a frame on the transmit ring of `queue`: `put` is called with each part
    /// of the frame and the grant of its page.
    pub fn put_on_ring(
        &mut self,
        frame: Frame,
        queue: QueueId,
        mut put: impl FnMut(Fragment, GrantRef),
    ) {
        let mut page = frame.head;
        for _ in 0..frame.slots() {
            let Part { offset, len, .. } = self.part(&frame, page);
            let Some(slot) = self.slots.get_mut(usize::from(page)) else {
                break;
            };
            slot.sending = queue;
            if let Some(lent) = self.lent.get_mut(queue.index()) {
                lent.pages[slot.home] += 1;
            }
            put(Fragment { page, offset, len }, slot.granted.reference());
            page = slot.next;
        }
    }

    /// Takes pages back from the transmit ring of `queue`, to their homes: the page `id(i)` for
    /// each index `i` of the ring from `index` to `end`.
    ///
    /// Stops at an id that names no page that is on this ring. Returns that id, and leaves `index`
    /// there.
    #[inline(always)]
    pub fn take_back(
        &mut self,
        queue: QueueId,
        index: &mut u32,
        end: u32,
        id: impl Fn(u32) -> u32,
    ) -> Option<u32> {
        let lent = self.lent.get_mut(queue.index())?;
        // Pages of one home come in trains; they go onto its free list together. The first are
        // most often of the same one as the last were.
        let mut home = lent.last;
        let mut free = self.homes[home].head;
        let mut first = *index;
        let odd = loop {
            if *index == end {
                break None;
            }
            let id = id(*index);
            let slot = self.slots.get_mut(id as usize);
            let Some(slot) = slot.filter(|slot| slot.sending == queue) else {
                break Some(id);
            };
            if slot.home != home {
                let count = index.wrapping_sub(first);
                self.homes[home].put_back(free, count);
                lent.pages[home] -= count as u16;
                home = slot.home;
                free = self.homes[home].head;
                first = *index;
            }
            slot.next = free;
            slot.sending = QueueId::NONE;
            free = id as u16;
            *index = index.wrapping_add(1);
        };
        let count = index.wrapping_sub(first);
        self.homes[home].put_back(free, count);
        lent.pages[home] -= count as u16;
        lent.last = home;
        odd
    }

    /// Takes one page back from the transmit ring of `queue`; returns `false` if it isn't there.
    #[must_use]
    pub fn take_back_one(&mut self, queue: QueueId, page: u16) -> bool {
        let slot = self.slots.get_mut(usize::from(page));
        match slot.filter(|slot| slot.sending == queue) {
            Some(slot) => {
                slot.go_home(page, &mut self.homes);
                if let Some(lent) = self.lent.get_mut(queue.index()) {
                    lent.pages[slot.home] -= 1;
                }
                true
            }
            None => false,
        }
    }
}
