//! The pages that packets live in, and who has them.
//!
//! A [`PagePool`] belongs to one backend domain. Its pages are granted to that domain when
//! they are added and never again, however many packets go through them: a packet that was
//! received into a page can be sent out of the same page through any vif of the same
//! backend. A packet for a vif of another backend is copied into that one's pool
//! ([`PagePool::copy_between`]), so a page is never seen by two domains.
//!
//! Every page has a *home*: the vif whose receive ring it feeds, or [`HomeId::LOCAL`] for
//! packets that the router makes itself. Wherever a page went, when it is free it goes back
//! home. A home may lend no more pages than leaves it its floor
//! ([`PagePool::may_lend`]), so a vif whose transmit ring is stuck can't starve the others
//! of receive pages.
//!
//! The backend may change the bytes of any page at any time. [`Frame`]s are handles, all
//! that is known of them is kept outside of the pages.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod account;
mod error;
mod frames;
mod front;

use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use netif::messages::{MAX_SLOTS, MAX_TX_SIZE};
use netif::{Checksum, Gso, GsoKind};
use xen_hal::{Access, DomId, Granted, Hal, HalError, SharedPage};

pub use self::account::{Account, Closed, PoolStats};
pub use self::error::PoolError;

/// Bytes of a frame that are copied to private memory when it is received.
pub const HEADER_LEN: usize = 64;

/// The private copy of a frame's first bytes. What lies beyond the frame's length is
/// meaningless.
pub type Header = [u8; HEADER_LEN];

/// The first bytes of a frame that is being received. To be copied, once; what is copied is no
/// longer the backend's to change.
#[derive(Debug)]
pub struct FirstBytes<'a>(#[doc(hidden)] pub First<'a>);

/// Where they are.
#[derive(Debug)]
#[doc(hidden)]
pub enum First<'a> {
    /// In the page.
    Shared(&'a [AtomicU64; HEADER_LEN / 8]),
    /// Gathered from several pages.
    Copied(&'a Header),
}

impl FirstBytes<'_> {
    /// Copies them, each word loaded once.
    #[inline(always)]
    pub fn copy_to(self, header: &mut Header) {
        match self.0 {
            First::Shared(cells) => {
                for (word, cell) in header.as_chunks_mut::<8>().0.iter_mut().zip(cells) {
                    *word = cell.load(Ordering::Relaxed).to_le_bytes();
                }
            }
            First::Copied(bytes) => *header = *bytes,
        }
    }

    /// A copy.
    #[must_use]
    #[inline]
    pub fn copy(self) -> Header {
        let mut header = [0; HEADER_LEN];
        self.copy_to(&mut header);
        header
    }
}

/// Homes in a pool; a power of two. The last is for pages without one.
const HOMES: usize = 32;
/// The home of pages whose home was removed.
const SPARE: HomeId = HomeId(HOMES as u8 - 1);
/// Index of no page. As there are never that many pages, a lookup finds nothing.
const NONE: u16 = u16::MAX;

/// Who gets a page when it is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[doc(hidden)]
pub struct HomeId(u8);

impl HomeId {
    /// Packets that the router makes itself.
    pub const LOCAL: HomeId = HomeId(HOMES as u8 - 2);
    /// How many vifs can have a home in a pool.
    pub const VIFS: u8 = HOMES as u8 - 2;

    /// The home of a vif, counted as the user likes; `None` from [`HomeId::VIFS`] on.
    #[must_use]
    pub const fn vif(number: u8) -> Option<Self> {
        if number < Self::VIFS {
            Some(Self(number))
        } else {
            None
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize & (HOMES - 1)
    }
}

/// Whether a page is on a transmit ring, and of which queue. (Whether it is free, posted or in
/// a frame is known from the free lists and the receive rings.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub struct Place(u8);

impl Place {
    /// On no transmit ring.
    pub const ELSEWHERE: Place = Place(0);

    /// On the transmit ring of a queue.
    #[must_use]
    pub const fn sending(queue: QueueTag) -> Place {
        Place(0x80 | queue.0)
    }
}

/// A queue's number in its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub struct QueueTag(u8);

/// What is known of a page. Nothing of this is visible to the backend.
#[derive(Debug)]
#[doc(hidden)]
pub struct Slot {
    pub page: SharedPage,
    pub granted: Granted,
    /// The next page of a frame or a free list.
    pub next: u16,
    pub place: Place,
    pub home: HomeId,
}

/// The part of a frame that is in a page. Not kept for frames that start at the start of
/// their only page.
#[derive(Clone, Copy, Debug, Default)]
#[doc(hidden)]
pub struct Part {
    pub offset: u16,
    pub len: u16,
    /// Of a frame's first page: the size of the segments that it is to be cut into.
    pub gso_size: u16,
}

/// The free list of a home.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct Home {
    /// Pages that are free or posted.
    present: u32,
    /// The first that is free.
    pub head: u16,
    exists: bool,
}

impl Home {
    const ABSENT: Home = Home {
        present: 0,
        head: NONE,
        exists: false,
    };
}

/// What is kept of a home apart from what every packet needs.
#[derive(Clone, Copy, Debug, Default)]
struct Terms {
    /// Pages that are not lent.
    floor: u32,
    /// Pages that are posted.
    posted: u32,
}

/// A received frame, or one to be sent: one or more pages of a [`PagePool`].
///
/// It is to be sent or given back with [`PagePool::free`]; one that is just dropped is lost
/// to its home until the pool is gone (and shows in [`PagePool::stats`] as held). The default is
/// no frame, in places for one: it can't be sent, and to free it does nothing.
#[derive(Debug, Default)]
#[must_use = "a frame that is dropped is lost: send or free it"]
// `head` and `len` are in the order in which transmit requests have them.
#[repr(C, align(8))]
pub struct Frame {
    #[doc(hidden)]
    pub head: u16,
    #[doc(hidden)]
    pub len: u16,
    /// Slots, checksum state, kind of large packet, pool: see [`kind`].
    #[doc(hidden)]
    pub kind: u32,
}

/// The fields of [`Frame::kind`], packed so that the one test which finds a plain frame of the
/// right pool is one comparison.
#[doc(hidden)]
pub mod kind {
    pub const SLOTS: u32 = 0x1f;
    /// It doesn't start at the start of its first page, or has several.
    pub const PARTS: u32 = 1 << 5;
    pub const TCPV4: u32 = 1 << 6;
    pub const TCPV6: u32 = 1 << 7;
    /// It is longer than its `len` by 65,536: possible for large packets only.
    pub const LONG: u32 = 1 << 8;
    /// The checksum state is where a transmit request has it.
    pub const CHECKSUM_SHIFT: u32 = 16;
    pub const BLANK: u32 = 1 << CHECKSUM_SHIFT;
    pub const VALIDATED: u32 = 2 << CHECKSUM_SHIFT;
    pub const POOL_SHIFT: u32 = 18;
    pub const POOL: u32 = u32::MAX << POOL_SHIFT;
    pub const POOLS: u16 = 1 << (32 - POOL_SHIFT);
}

/// What a receiver wants to know of a frame beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameInfo {
    /// Bytes from the Ethernet header on.
    pub len: u32,
    /// Pages it is spread over.
    pub slots: u8,
    /// What is known of its TCP or UDP checksum.
    pub checksum: Checksum,
    /// How it is to be cut, if it is larger than a packet on the wire may be.
    pub gso: Option<Gso>,
}

impl FrameInfo {
    /// What is known of a frame in one slot.
    #[doc(hidden)]
    #[must_use]
    #[inline]
    pub fn plain(frame: &Frame, checksum: Checksum) -> Self {
        Self {
            len: frame.len.into(),
            slots: 1,
            checksum,
            gso: None,
        }
    }
}

impl Frame {
    /// A frame in page `head`, as long as the upper half of `len` says.
    #[doc(hidden)]
    #[inline]
    pub fn plain(kind: u32, head: u16, len: u32) -> Self {
        let len = (len >> 16) as u16;
        Self { head, len, kind }
    }

    /// Bytes from the Ethernet header on.
    #[must_use]
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "no frame is empty")]
    pub fn len(&self) -> usize {
        usize::from(self.len) | ((self.kind & kind::LONG) as usize) << 8
    }

    /// Says how long it is; less than 2^17.
    #[doc(hidden)]
    pub fn set_len(&mut self, len: usize) {
        self.len = (len & 0xffff) as u16;
        self.kind &= !kind::LONG;
        self.kind |= (len >> 8) as u32 & kind::LONG;
    }

    /// Pages it is spread over.
    #[must_use]
    #[inline]
    pub fn slots(&self) -> usize {
        (self.kind & kind::SLOTS) as usize
    }

    /// Slots of a transmit ring that it needs: its pages, and one that says how it is to be cut.
    #[must_use]
    #[inline]
    pub fn tx_slots(&self) -> usize {
        tx_slots(self.slots(), self.is_gso())
    }

    /// What is known of its TCP or UDP checksum.
    #[must_use]
    #[inline]
    pub fn checksum(&self) -> Checksum {
        Checksum::from_bits_truncate((self.kind >> kind::CHECKSUM_SHIFT & 3) as u8)
    }

    /// Says what is now known of its TCP or UDP checksum, for instance nothing, after it was
    /// completed.
    #[inline]
    pub fn set_checksum(&mut self, checksum: Checksum) {
        self.kind &= !(kind::BLANK | kind::VALIDATED);
        self.kind |= u32::from(checksum.bits()) << kind::CHECKSUM_SHIFT;
    }

    /// Whether it is larger than a packet on the wire may be ([`PagePool::gso`]).
    #[must_use]
    #[inline]
    pub fn is_gso(&self) -> bool {
        self.kind & (kind::TCPV4 | kind::TCPV6) != 0
    }
}

/// Slots of a transmit ring that a frame of so many pages needs. What is in more than a backend
/// takes is copied into fewer before it is sent.
#[doc(hidden)]
#[must_use]
#[inline]
pub fn tx_slots(pages: usize, gso: bool) -> usize {
    pages.min(MAX_SLOTS) + usize::from(gso)
}

/// Packet pages granted to one backend domain.
#[derive(Debug)]
pub struct PagePool<H: Hal> {
    hal: H,
    peer: DomId,
    /// Tells frames of different pools apart. Reused after 16,384 pools.
    #[doc(hidden)]
    pub tag: u16,
    #[doc(hidden)]
    pub slots: Vec<Slot>,
    #[doc(hidden)]
    pub parts: Vec<Part>,
    #[doc(hidden)]
    pub homes: [Home; HOMES],
    terms: [Terms; HOMES],
    /// Which queue tags are taken, a bit each.
    queues: u64,
}

/// The next pool's tag.
static TAG: AtomicU16 = AtomicU16::new(0);

impl<H: Hal> PagePool<H> {
    /// A pool without pages, to be filled by [`PagePool::add_home`].
    #[must_use]
    pub fn new(hal: H, peer: DomId) -> Self {
        let tag = TAG.fetch_add(1, Ordering::Relaxed) % kind::POOLS;
        let mut homes = [Home::ABSENT; HOMES];
        homes[SPARE.index()].exists = true;
        Self {
            hal,
            peer,
            tag,
            slots: Vec::new(),
            parts: Vec::new(),
            homes,
            terms: [Terms::default(); HOMES],
            queues: 0,
        }
    }

    /// The machine.
    #[must_use]
    pub fn hal(&self) -> H {
        self.hal
    }

    /// The backend domain that the pages are granted to.
    #[must_use]
    pub fn peer(&self) -> DomId {
        self.peer
    }

    /// Gives `home` as many more pages, and a floor of a quarter of all it then has
    /// ([`PagePool::set_floor`]). Pages of removed homes are used before new ones are taken.
    ///
    /// A home that receives needs 256 pages for a full ring, and more to have pages under way
    /// at the same time; with less it works as well, in smaller bursts. Below 32 pages large
    /// packets can't be received.
    ///
    /// # Errors
    /// [`PoolError::Hal`] or [`PoolError::TooManyPages`]; the home then has what it had.
    pub fn add_home(&mut self, home: HomeId, pages: usize) -> Result<(), PoolError> {
        let spare = self.free_pages(SPARE, pages).count();
        let fresh = pages - spare;
        if self.slots.len() + fresh >= usize::from(NONE) {
            return Err(PoolError::TooManyPages);
        }
        self.slots.reserve_exact(fresh);
        self.parts.reserve_exact(fresh);
        for _ in 0..fresh {
            if let Err(error) = self.grow() {
                self.trim();
                return Err(error.into());
            }
        }
        for _ in 0..pages {
            // There are as many: `spare` were there, and each round above added one.
            let Some(index) = self.pop(SPARE) else { break };
            if let Some(slot) = self.slots.get_mut(usize::from(index)) {
                slot.home = home;
            }
            self.homes[SPARE.index()].present -= 1;
            self.push(index);
        }
        let total = self.slots.iter().filter(|slot| slot.home == home).count();
        self.homes[home.index()].exists = true;
        self.terms[home.index()].floor = u32::try_from(total / 4).unwrap_or(u32::MAX);
        Ok(())
    }

    /// Takes the pages of `home` away. Those that are free become spare, the others when they
    /// are given back. [`PagePool::trim`] gives spare pages back to the machine.
    ///
    /// # Errors
    /// [`PoolError::NoSuchHome`], or [`PoolError::InUse`] while a queue has posted its pages.
    pub fn remove_home(&mut self, home: HomeId) -> Result<(), PoolError> {
        if !self.has_home(home) {
            return Err(PoolError::NoSuchHome);
        }
        if self.terms[home.index()].posted > 0 {
            return Err(PoolError::InUse);
        }
        while let Some(index) = self.pop(home) {
            if let Some(slot) = self.slots.get_mut(usize::from(index)) {
                slot.home = SPARE;
            }
            self.push(index);
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.home == home) {
            slot.home = SPARE;
        }
        self.homes[home.index()] = Home::ABSENT;
        self.terms[home.index()] = Terms::default();
        Ok(())
    }

    /// Whether there is such a home.
    #[must_use]
    pub fn has_home(&self, home: HomeId) -> bool {
        self.homes[home.index()].exists
    }

    /// Sets how many pages of `home` are kept for receiving.
    pub fn set_floor(&mut self, home: HomeId, pages: usize) {
        self.terms[home.index()].floor = u32::try_from(pages).unwrap_or(u32::MAX);
    }

    /// How many more pages `home` may lend before it falls below its floor.
    #[must_use]
    #[inline]
    pub fn lendable(&self, home: HomeId) -> usize {
        let (home, terms) = (&self.homes[home.index()], &self.terms[home.index()]);
        home.present.saturating_sub(terms.floor) as usize
    }

    /// Whether `frame` may be sent on or queued, or must be freed at once because its home
    /// has too few pages left to receive with.
    #[must_use]
    #[inline]
    pub fn may_lend(&self, frame: &Frame) -> bool {
        self.slots.get(usize::from(frame.head)).is_some_and(|slot| {
            let home = slot.home.index();
            self.homes[home].present >= self.terms[home].floor
        })
    }

    /// Whether a frame that was just received into pages of `home` may be sent on or queued.
    /// Sending takes nothing from what decides this.
    #[must_use]
    #[inline]
    pub fn may_lend_from(&self, home: HomeId) -> bool {
        self.homes[home.index()].present >= self.terms[home.index()].floor
    }

    /// Gives spare pages back to the machine, as far as no used ones have a higher index, and
    /// the backend doesn't map them. Returns how many.
    pub fn trim(&mut self) -> usize {
        let before = self.slots.len();
        let mut free = self.free_map();
        while let Some(slot) = self
            .slots
            .pop_if(|slot| slot.home == SPARE && free.pop() == Some(true))
        {
            let Slot { page, granted, .. } = slot;
            if let Err(granted) = self.hal.end_grant(granted) {
                self.slots.push(Slot {
                    page,
                    granted,
                    ..slot
                });
                free.push(true);
                break;
            }
            self.hal.free_page(page);
        }
        self.parts.truncate(self.slots.len());
        let spare = &mut self.homes[SPARE.index()];
        spare.head = NONE;
        spare.present = 0;
        // As long as the pages that are left; one too short where the last was looked at.
        for (index, is_free) in free.into_iter().enumerate() {
            if is_free && self.slots[index].home == SPARE {
                self.push(index as u16);
            }
        }
        before - self.slots.len()
    }

    /// Which pages are on a free list.
    fn free_map(&self) -> Vec<bool> {
        let mut free = vec![false; self.slots.len()];
        for home in (0..HOMES as u8).map(HomeId) {
            let mut index = self.homes[home.index()].head;
            while let Some(slot) = self.slots.get(usize::from(index)) {
                let seen = core::mem::replace(&mut free[usize::from(index)], true);
                debug_assert!(!seen && slot.home == home, "a free list is broken");
                if seen {
                    break;
                }
                index = slot.next;
            }
        }
        free
    }

    /// Where all pages are.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let mut homes = [Account::default(); HOMES];
        for (slot, is_free) in self.slots.iter().zip(self.free_map()) {
            let account = &mut homes[slot.home.index()];
            let sending = slot.place != Place::ELSEWHERE;
            debug_assert!(!(is_free && sending), "a free page is on a ring");
            *match (is_free, sending) {
                (true, _) => &mut account.free,
                (false, true) => &mut account.sending,
                (false, false) => &mut account.held,
            } += 1;
        }
        for (account, terms) in homes.iter_mut().zip(&self.terms) {
            account.posted = terms.posted as usize;
            // More posted than there are would show as a sum that is too large.
            account.held = account.held.saturating_sub(account.posted);
        }
        PoolStats {
            total: self.slots.len(),
            homes,
        }
    }

    /// Ends all grants and gives the pages back to the machine, but for those that the
    /// backend still maps. Frames and queues of the pool are of no more use.
    pub fn close(mut self) -> Closed {
        self.end()
    }

    fn end(&mut self) -> Closed {
        let mut closed = Closed::default();
        self.parts.clear();
        for slot in self.slots.drain(..) {
            if self.hal.retire(slot.granted, slot.page).is_ok() {
                closed.freed += 1;
            } else {
                closed.leaked += 1;
            }
        }
        self.homes = [Home::ABSENT; HOMES];
        self.terms = [Terms::default(); HOMES];
        closed
    }
}

/// What queues need.
impl<H: Hal> PagePool<H> {
    /// Up to `max` free pages of a home.
    fn free_pages(&self, home: HomeId, max: usize) -> impl Iterator<Item = &Slot> {
        let mut index = self.homes[home.index()].head;
        core::iter::from_fn(move || {
            let slot = self.slots.get(usize::from(index))?;
            index = slot.next;
            Some(slot)
        })
        .take(max)
    }

    /// Takes a number for a queue.
    #[doc(hidden)]
    pub fn add_queue(&mut self) -> Option<QueueTag> {
        let tag = self.queues.trailing_ones();
        self.queues |= 1_u64.checked_shl(tag)?;
        Some(QueueTag(tag as u8))
    }

    /// Gives it back, and the pages that are on its transmit ring to their homes.
    #[doc(hidden)]
    pub fn remove_queue(&mut self, tag: QueueTag) {
        for index in 0..self.slots.len() {
            if self.slots[index].place == Place::sending(tag) {
                self.push(index as u16);
            }
        }
        self.queues &= !(1 << tag.0);
    }

    /// Counts pages that were taken from the free list to be posted. They are still present.
    #[doc(hidden)]
    #[inline]
    pub fn count_posted(&mut self, home: HomeId, pages: u32) {
        self.terms[home.index()].posted += pages;
    }

    /// Counts pages that were posted and are no longer, nor present.
    #[doc(hidden)]
    #[inline]
    pub fn count_received(&mut self, home: HomeId, pages: u32) {
        self.terms[home.index()].posted -= pages;
        self.homes[home.index()].present -= pages;
    }

    /// Adds a spare page.
    fn grow(&mut self) -> Result<(), HalError> {
        let page = self.hal.alloc_page()?;
        let granted = match self.hal.grant(self.peer, &page, Access::ReadWrite) {
            Ok(granted) => granted,
            Err(error) => {
                self.hal.free_page(page);
                return Err(error);
            }
        };
        let index = self.slots.len() as u16;
        let place = Place::ELSEWHERE;
        self.slots.push(Slot {
            page,
            granted,
            next: NONE,
            place,
            home: SPARE,
        });
        self.parts.push(Part::default());
        self.push(index);
        Ok(())
    }

    /// Puts a page on the free list of its home.
    #[doc(hidden)]
    #[inline]
    pub fn push(&mut self, index: u16) {
        if let Some(slot) = self.slots.get_mut(usize::from(index)) {
            slot.go_home(index, &mut self.homes);
        }
    }

    /// Takes a page from a free list. It still counts as present.
    #[inline]
    fn pop(&mut self, home: HomeId) -> Option<u16> {
        let home = &mut self.homes[home.index()];
        let index = home.head;
        home.head = self.slots.get(usize::from(index))?.next;
        Some(index)
    }
}

impl Slot {
    /// Puts the page `index` on the free list of its home.
    #[doc(hidden)]
    #[inline]
    pub fn go_home(&mut self, index: u16, homes: &mut [Home; HOMES]) {
        let home = &mut homes[self.home.index()];
        self.next = home.head;
        self.place = Place::ELSEWHERE;
        home.head = index;
        home.present += 1;
    }
}

impl Home {
    /// Makes `head` the first free page; `count` more are free than before.
    #[doc(hidden)]
    #[inline]
    pub fn put_back(&mut self, head: u16, count: u32) {
        self.head = head;
        self.present += count;
    }
}

impl<H: Hal> Drop for PagePool<H> {
    fn drop(&mut self) {
        let Closed { leaked, .. } = self.end();
        if leaked > 0 {
            log::warn!(target: "netfront", "domain {} still maps {leaked} packet pages", self.peer.0);
        }
    }
}
