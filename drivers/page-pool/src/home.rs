//! Homes: to whom a page returns when it is free.

/// Homes of a pool; a power of two. The last is for pages without one.
pub(crate) const HOMES: usize = 32;
/// The home of pages whose home was removed.
pub(crate) const SPARE: HomeId = HomeId(HOMES as u8 - 1);
/// Index of no page. There are never that many pages, so a lookup finds nothing.
pub(crate) const NO_PAGE: u16 = u16::MAX;

/// Who gets a page when it is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HomeId(u8);

impl HomeId {
    /// Packets that the router makes itself.
    pub const LOCAL: HomeId = HomeId(HOMES as u8 - 2);
    /// Number of vifs that can have a home in a pool.
    pub const VIFS: u8 = HOMES as u8 - 2;

    /// The home of a vif, numbered as the caller likes; `None` from [`HomeId::VIFS`] on.
    #[must_use]
    pub const fn vif(number: u8) -> Option<Self> {
        if number < Self::VIFS {
            Some(Self(number))
        } else {
            None
        }
    }

    /// All homes, those of pages without one included.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..HOMES as u8).map(Self)
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize & (HOMES - 1)
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
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// Pages that are not lent.
    pub(crate) floor: u32,
    /// Pages that are posted.
    pub(crate) posted: u32,
}
