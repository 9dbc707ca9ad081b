//! The pages that packets live in, and who has them.
//!
//! A [`PagePool`] belongs to one other domain, the peer. Its pages are granted to that domain when
//! they are added and never again, however many packets go through them: a packet that was
//! received into a page can be sent out of the same page through any vif of the same
//! peer. A packet for a vif of another peer is copied into that one's pool
//! ([`PagePool::copy_between`]), so a page is never seen by two domains.
//!
//! Every page has a *home*: the vif whose receive ring it feeds, or [`HomeId::LOCAL`] for
//! packets that the router makes itself. Wherever a page went, when it is free it goes back
//! home. What a vif receives, copies that leave by it, and segments that leave by it have homes
//! apart, so that none takes the others' pages.
//!
//! A page that is sent where it was received is *lent* by its home to the queue that sends it.
//! A home lends no more pages than leave it its floor ([`PagePool::lendable`]), and no more to one
//! queue than its share ([`PagePool::lendable_to`]), so a vif whose transmit ring is stuck can
//! neither starve the others of receive pages nor keep them from being sent elsewhere.
//!
//! The peer may change the bytes of any page at any time. [`Frame`]s are handles, all
//! that is known of them is kept outside of the pages.

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

/// What is known of a page. Nothing of this is visible to the peer.
///
/// The free lists and the receive rings say if the page is free, posted or in a frame.
#[derive(Debug)]
pub struct PageSlot {
    page: SharedPage,
    granted: Granted,
    /// The next page of a frame or a free list.
    next: u16,
    /// Whose transmit ring it is on; [`QueueId::NONE`] if it isn't on any.
    sending: QueueId,
    home: HomeId,
}

/// The part of a frame that is in a page. Not kept for frames that start at the start of
/// their only page.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    offset: u16,
    len: u16,
    /// Of a frame's first page: the size of the segments that it is to be cut into.
    gso_size: u16,
}

/// Tells pools apart. Reused after 16,384 pools.
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
    /// Large frames that were received.
    large: u32,
}

/// Pages that a queue has on its transmit ring.
#[derive(Clone, Copy, Debug)]
struct Lent {
    /// How many, by their home.
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
    /// Creates a pool without pages, to be filled by [`PagePool::add_home`].
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

    /// Tells it apart from other pools.
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

    /// Gives `home` this many more pages, and a floor of a quarter of all it then has
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

    /// Takes the pages of `home` away. Those that are free become spare, the others when they
    /// are given back. [`PagePool::trim`] gives spare pages back to the machine.
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

    /// Sets how many pages of `home` are kept for receiving.
    pub fn set_floor(&mut self, home: HomeId, pages: usize) {
        self.terms[home].floor = u32::try_from(pages).unwrap_or(u32::MAX);
    }

    /// Sets how many pages of `home` one queue may have on its transmit ring at most. Without
    /// that it may have all that the home lends.
    pub fn set_share(&mut self, home: HomeId, pages: usize) {
        self.terms[home].share = u32::try_from(pages).unwrap_or(u32::MAX);
    }

    /// Most pages of `home` that one queue may have on its transmit ring.
    #[must_use]
    #[inline]
    pub fn share(&self, home: HomeId) -> usize {
        self.terms[home].share as usize
    }

    /// Number of pages of `home` that are on the transmit ring of `queue`.
    #[must_use]
    #[inline]
    pub fn lent_to(&self, queue: QueueId, home: HomeId) -> usize {
        let lent = self.lent.get(queue.index());
        lent.map_or(0, |lent| lent.pages[home].into())
    }

    /// Number of pages of `home` that `queue` may still have in addition to those on its transmit
    /// ring, as far as the home may lend any at all ([`PagePool::lendable`]).
    #[must_use]
    #[inline]
    pub fn lendable_to(&self, queue: QueueId, home: HomeId) -> usize {
        self.share(home).saturating_sub(self.lent_to(queue, home))
    }

    /// Number of pages of `home` that are free or posted.
    #[must_use]
    #[inline]
    pub fn present(&self, home: HomeId) -> usize {
        self.homes[home].present as usize
    }

    /// Number of pages that `home` may still lend before it falls below its floor.
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

    /// Gives spare pages back to the machine, as far as no used ones have a higher index, and
    /// the peer doesn't map them. Returns the
    /// number of pages.
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

    /// Ends all grants and gives the pages back to the machine, but for those that the
    /// peer still maps. Frames and queues of the pool are of no more use.
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
