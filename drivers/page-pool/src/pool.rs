//! Packet pages and their owners.
//!
//! A [`PagePool`] belongs to one other domain, the peer. Its pages are granted to that domain when
//! they are added and never again, however many packets go through them: a packet that was
//! received into a page can be sent out of the same page through any vif of the same
//! peer. A packet for a vif of another peer is copied into that one's pool
//! ([`PagePool::copy_between`]), so a page is never seen by two domains.
//!
//! Every page has a *home*: the vif whose receive ring it feeds, or [`HomeId::LOCAL`] for packets
//! that the router makes itself. Wherever a page was used, it returns home when it is free.
//! Received frames, copies and segments of a vif have separate homes, so that none takes the
//! others' pages.
//!
//! A page that is sent on in place is *lent* by its home to the queue that sends it. A home keeps
//! at least its floor ([`PagePool::lendable`]), and lends at most a share to one queue
//! ([`PagePool::lendable_to`]), so a vif whose transmit ring is stuck can neither starve others of
//! receive pages nor keep them from sending elsewhere.
//!
//! The peer may change the bytes of any page at any time. [`Frame`]s are handles; everything that
//! is known about them is kept outside the pages.

mod account;
mod frames;
mod front;
mod rings;

use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU16, Ordering};

use xen_hal::{Access, DomId, Granted, Hal, HalError, SharedPage};

pub use self::account::{Account, Closed, PoolStats};
pub use self::rings::{Fragment, FreePages, QueueId};
use crate::error::PoolError;
use crate::frame::{Frame, kind};
use crate::home::{Home, HomeId, Homes, NO_PAGE, SPARE, Terms};

/// The state of a page, which isn't visible to the peer.
///
/// Whether the page is free, posted or in a frame is known from the free lists and the receive
/// rings.
#[derive(Debug)]
pub struct PageSlot {
    page: SharedPage,
    granted: Granted,
    /// The next page of a frame or a free list.
    next: u16,
    /// The queue whose transmit ring it is on; [`QueueId::NONE`] if none.
    sending: QueueId,
    home: HomeId,
}

/// The part of a frame that is in a page. Not kept for frames that start at the start of
/// their only page.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    offset: u16,
    len: u16,
    /// The segment size of a large frame, in its first page.
    gso_size: u16,
}

/// Identifies a pool. Reused after 16,384 pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolId(u16);

/// Packet pages granted to one other domain.
#[derive(Debug)]
pub struct PagePool<H: Hal> {
    hal: H,
    peer: DomId,
    id: PoolId,
    slots: Vec<PageSlot>,
    parts: Vec<Part>,
    homes: Homes<Home>,
    terms: Homes<Terms>,
    /// Which [`QueueId`]s are taken, a bit each.
    queues: u64,
    /// Pages that each queue has on its transmit ring.
    lent: Vec<Lent>,
    /// The number of large frames received.
    large: u32,
}

/// The pages that a queue has on its transmit ring.
#[derive(Clone, Copy, Debug)]
struct Lent {
    /// Their number by home.
    pages: Homes<u16>,
    /// The home of the page that came back last.
    last: HomeId,
}

impl Lent {
    const NONE: Self = Self {
        pages: Homes::all(0),
        last: SPARE,
    };
}

/// The next pool's id.
static NEXT_ID: AtomicU16 = AtomicU16::new(0);

impl<H: Hal> PagePool<H> {
    /// Creates a pool without pages; [`PagePool::add_home`] adds them.
    #[must_use]
    pub fn new(hal: H, peer: DomId) -> Self {
        let id = PoolId(NEXT_ID.fetch_add(1, Ordering::Relaxed) % kind::POOLS);
        let mut homes = Homes::all(Home::ABSENT);
        homes[SPARE].exists = true;
        Self {
            hal,
            peer,
            id,
            slots: Vec::new(),
            parts: Vec::new(),
            homes,
            terms: Homes::all(Terms::NONE),
            queues: 0,
            lent: Vec::new(),
            large: 0,
        }
    }

    /// Returns the pool's id.
    #[must_use]
    #[inline]
    pub fn id(&self) -> PoolId {
        self.id
    }

    /// Returns the machine.
    #[must_use]
    pub fn hal(&self) -> H {
        self.hal
    }

    /// Returns the domain that the pages are granted to.
    #[must_use]
    pub fn peer(&self) -> DomId {
        self.peer
    }

    /// Adds this many pages to `home`, and sets its floor to a quarter of all its pages
    /// ([`PagePool::set_floor`]). Pages of removed homes are used before new ones are taken.
    ///
    /// A home for receiving needs 256 pages for a full ring, and more to have pages in flight at
    /// the same time; with fewer it works in smaller bursts. With less than 32 pages, large packets
    /// can't be received.
    ///
    /// # Errors
    /// [`PoolError::Hal`] or [`PoolError::TooManyPages`]; nothing is changed then.
    pub fn add_home(&mut self, home: HomeId, pages: usize) -> Result<(), PoolError> {
        let spare = self.free_pages(SPARE, pages).count();
        let fresh = pages - spare;
        if self.slots.len() + fresh >= usize::from(NO_PAGE) {
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
            self.homes[SPARE].present -= 1;
            self.push(index);
        }
        let total = self.slots.iter().filter(|slot| slot.home == home).count();
        self.homes[home].exists = true;
        self.terms[home].floor = u32::try_from(total / 4).unwrap_or(u32::MAX);
        Ok(())
    }

    /// Removes `home`. Its free pages become spare, the others when they are returned.
    /// [`PagePool::trim`] frees spare pages.
    ///
    /// # Errors
    /// [`PoolError::NoSuchHome`], or [`PoolError::InUse`] while a queue has posted its pages.
    pub fn remove_home(&mut self, home: HomeId) -> Result<(), PoolError> {
        if !self.has_home(home) {
            return Err(PoolError::NoSuchHome);
        }
        if self.terms[home].posted > 0 {
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
        self.homes[home] = Home::ABSENT;
        self.terms[home] = Terms::NONE;
        for Lent { pages, .. } in &mut self.lent {
            let lent = core::mem::take(&mut pages[home]);
            pages[SPARE] += lent;
        }
        Ok(())
    }

    /// Returns `true` if there is such a home.
    #[must_use]
    pub fn has_home(&self, home: HomeId) -> bool {
        self.homes[home].exists
    }

    /// Sets the number of pages that `home` keeps for receiving.
    pub fn set_floor(&mut self, home: HomeId, pages: usize) {
        self.terms[home].floor = u32::try_from(pages).unwrap_or(u32::MAX);
    }

    /// Sets the maximum number of pages of `home` on the transmit ring of one queue. By default it
    /// is unlimited.
    pub fn set_share(&mut self, home: HomeId, pages: usize) {
        self.terms[home].share = u32::try_from(pages).unwrap_or(u32::MAX);
    }

    /// Returns the maximum number of pages of `home` on the transmit ring of one queue.
    #[must_use]
    #[inline]
    pub fn share(&self, home: HomeId) -> usize {
        self.terms[home].share as usize
    }

    /// Returns the number of pages of `home` on the transmit ring of `queue`.
    #[must_use]
    #[inline]
    pub fn lent_to(&self, queue: QueueId, home: HomeId) -> usize {
        let lent = self.lent.get(queue.index());
        lent.map_or(0, |lent| lent.pages[home].into())
    }

    /// Returns the number of further pages of `home` that `queue` may have on its transmit ring,
    /// provided that the home may lend any ([`PagePool::lendable`]).
    #[must_use]
    #[inline]
    pub fn lendable_to(&self, queue: QueueId, home: HomeId) -> usize {
        self.share(home).saturating_sub(self.lent_to(queue, home))
    }

    /// Returns the number of pages of `home` that are free or posted.
    #[must_use]
    #[inline]
    pub fn present(&self, home: HomeId) -> usize {
        self.homes[home].present as usize
    }

    /// Returns the number of pages that `home` may lend before it falls below its floor.
    #[must_use]
    #[inline]
    pub fn lendable(&self, home: HomeId) -> usize {
        let (home, terms) = (&self.homes[home], &self.terms[home]);
        home.present.saturating_sub(terms.floor) as usize
    }

    /// Returns `true` if `frame` may be sent on or queued; otherwise it must be freed at once,
    /// because its home has too few pages left to receive with.
    #[must_use]
    #[inline]
    pub fn may_lend(&self, frame: &Frame) -> bool {
        self.slots.get(usize::from(frame.head)).is_some_and(|slot| {
            let home = slot.home;
            self.homes[home].present >= self.terms[home].floor
        })
    }

    /// Frees spare pages that the peer doesn't map, as far as no used ones have a higher index.
    /// Returns the number of pages.
    pub fn trim(&mut self) -> usize {
        let before = self.slots.len();
        let mut free = self.free_map();
        while let Some(slot) = self
            .slots
            .pop_if(|slot| slot.home == SPARE && free.pop() == Some(true))
        {
            let PageSlot { page, granted, .. } = slot;
            if let Err(granted) = self.hal.end_grant(granted) {
                self.slots.push(PageSlot {
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
        let spare = &mut self.homes[SPARE];
        spare.head = NO_PAGE;
        spare.present = 0;
        // As long as the pages that are left; one too short where the last was looked at.
        for (index, is_free) in free.into_iter().enumerate() {
            if is_free && self.slots.get(index).is_some_and(|slot| slot.home == SPARE) {
                self.push(index as u16);
            }
        }
        before - self.slots.len()
    }

    /// Returns which pages are on a free list.
    fn free_map(&self) -> Vec<bool> {
        let mut free = vec![false; self.slots.len()];
        for home in HomeId::all() {
            let mut index = self.homes[home].head;
            while let (Some(slot), Some(is_free)) = (
                self.slots.get(usize::from(index)),
                free.get_mut(usize::from(index)),
            ) {
                let seen = core::mem::replace(is_free, true);
                debug_assert!(!seen && slot.home == home, "a free list is broken");
                if seen {
                    break;
                }
                index = slot.next;
            }
        }
        free
    }

    /// Returns where all pages are.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let mut homes = Homes::all(Account::default());
        for (slot, is_free) in self.slots.iter().zip(self.free_map()) {
            let account = &mut homes[slot.home];
            let sending = slot.sending != QueueId::NONE;
            debug_assert!(!(is_free && sending), "a free page is on a ring");
            *match (is_free, sending) {
                (true, _) => &mut account.free,
                (false, true) => &mut account.sending,
                (false, false) => &mut account.held,
            } += 1;
        }
        for (account, terms) in homes.iter_mut().zip(self.terms.iter()) {
            account.posted = terms.posted as usize;
            // More posted than there are would show as a sum that is too large.
            account.held = account.held.saturating_sub(account.posted);
        }
        PoolStats {
            total: self.slots.len(),
            homes,
        }
    }

    /// Ends all grants and frees the pages, except those that the peer still maps. Frames and
    /// queues of the pool can't be used any more.
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
        self.homes = Homes::all(Home::ABSENT);
        self.terms = Homes::all(Terms::NONE);
        closed
    }
}

/// The free lists.
impl<H: Hal> PagePool<H> {
    /// Up to `max` free pages of a home.
    fn free_pages(&self, home: HomeId, max: usize) -> impl Iterator<Item = &PageSlot> {
        let mut index = self.homes[home].head;
        core::iter::from_fn(move || {
            let slot = self.slots.get(usize::from(index))?;
            index = slot.next;
            Some(slot)
        })
        .take(max)
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
        self.slots.push(PageSlot {
            page,
            granted,
            next: NO_PAGE,
            sending: QueueId::NONE,
            home: SPARE,
        });
        self.parts.push(Part::default());
        self.push(index);
        Ok(())
    }

    /// Puts a page on the free list of its home.
    #[inline]
    fn push(&mut self, index: u16) {
        if let Some(slot) = self.slots.get_mut(usize::from(index)) {
            slot.go_home(index, &mut self.homes);
        }
    }

    /// Takes a page from a free list. It still counts as present.
    #[inline]
    fn pop(&mut self, home: HomeId) -> Option<u16> {
        let home = &mut self.homes[home];
        let index = home.head;
        home.head = self.slots.get(usize::from(index))?.next;
        Some(index)
    }
}

impl PageSlot {
    /// Puts the page `index` on the free list of its home.
    #[inline]
    fn go_home(&mut self, index: u16, homes: &mut Homes<Home>) {
        let home = &mut homes[self.home];
        self.next = home.head;
        self.sending = QueueId::NONE;
        home.head = index;
        home.present += 1;
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
