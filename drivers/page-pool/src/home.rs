//! Homes, to which pages return when they are free.

use core::ops::{Index, IndexMut};

/// The number of homes of a pool, a power of two. The last one is for pages without a home.
const HOMES: usize = 64;
/// The home of pages whose home was removed.
pub(crate) const SPARE: HomeId = HomeId(HOMES as u8 - 1);
/// An index that no page has.
pub(crate) const NO_PAGE: u16 = u16::MAX;

/// The home of a page, to which it returns when it is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HomeId(u8);

impl HomeId {
    /// The home of packets that the router makes itself.
    pub const LOCAL: HomeId = HomeId(HOMES as u8 - 2);
    /// The number of vifs that can have homes in a pool.
    pub const VIFS: u8 = (HOMES as u8 - 2) / 3;

    /// Returns the home of pages that a vif receives into; the caller assigns the numbers of vifs.
    /// `None` from [`HomeId::VIFS`] on.
    #[must_use]
    pub const fn vif(number: u8) -> Option<Self> {
        Self::of_kind(0, number)
    }

    /// Returns the home of copies that leave by a vif; `None` from [`HomeId::VIFS`] on.
    #[must_use]
    pub const fn copies(number: u8) -> Option<Self> {
        Self::of_kind(1, number)
    }

    /// Returns the home of segments that leave by a vif; `None` from [`HomeId::VIFS`] on.
    #[must_use]
    pub const fn segments(number: u8) -> Option<Self> {
        Self::of_kind(2, number)
    }

    const fn of_kind(kind: u8, number: u8) -> Option<Self> {
        if number < Self::VIFS {
            Some(Self(kind * Self::VIFS + number))
        } else {
            None
        }
    }

    /// Returns all homes, those of pages without one included.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..HOMES as u8).map(Self)
    }
}

/// A value for every home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Homes<T>([T; HOMES]);

impl<T: Copy> Homes<T> {
    /// Creates the same value for every home.
    pub(crate) const fn all(of_each: T) -> Self {
        Self([of_each; HOMES])
    }
}

impl<T> Homes<T> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }
}

impl<T> Index<HomeId> for Homes<T> {
    type Output = T;

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the mask keeps it in bounds")]
    fn index(&self, home: HomeId) -> &T {
        &self.0[usize::from(home.0) & (HOMES - 1)]
    }
}

impl<T> IndexMut<HomeId> for Homes<T> {
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the mask keeps it in bounds")]
    fn index_mut(&mut self, home: HomeId) -> &mut T {
        &mut self.0[usize::from(home.0) & (HOMES - 1)]
    }
}

/// The free list of a home.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    /// Pages that are free or posted.
    pub(crate) present: u32,
    /// The first that is free.
    pub(crate) head: u16,
    pub(crate) exists: bool,
}

impl Home {
    pub(crate) const ABSENT: Home = Home {
        present: 0,
        head: NO_PAGE,
        exists: false,
    };

    /// Makes `head` the first free page; `count` more are free than before.
    #[inline]
    pub(crate) fn put_back(&mut self, head: u16, count: u32) {
        self.head = head;
        self.present += count;
    }
}

/// What is kept of a home apart from what every packet needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Pages that are not lent.
    pub(crate) floor: u32,
    /// Most pages that are lent to one queue.
    pub(crate) share: u32,
    /// Pages that are posted.
    pub(crate) posted: u32,
}

impl Terms {
    pub(crate) const NONE: Terms = Terms {
        floor: 0,
        share: u32::MAX,
        posted: 0,
    };
}
