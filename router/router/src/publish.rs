//! Publishing tables to lanes: each lane takes newer ones between two bursts, and nobody waits for it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use lpm::epochs::{self, Epochs};
use spin::Mutex;

use crate::tables::Tables;

/// Where the newest tables are left for a lane. Either side skips it if the other one holds the lock.
type Place = Mutex<Option<Arc<Tables>>>;

/// A lane's view of the tables. Created by [`Router::new_view`](crate::Router::new_view).
pub struct View {
    tables: Arc<Tables>,
    newer: Arc<Place>,
    epoch: epochs::Lane,
}

impl View {
    /// Returns the newest tables. To be called between two bursts, when nothing that was found in the
    /// previous tables is used any more, and for each burst or every few of them.
    ///
    /// Returns `None` if the lane has [rested](Self::rest) and the router is just leaving newer tables for
    /// it, which takes nanoseconds: try again.
    #[inline]
    pub fn tables(&mut self) -> Option<&Tables> {
        match self.epoch.news() {
            None => Some(&self.tables),
            Some(epoch) => self.go_on(epoch),
        }
    }

    /// Switches to newer tables, if there are any.
    #[cold]
    fn go_on(&mut self, epoch: u64) -> Option<&Tables> {
        if self.epoch.is_offline() {
            // From here on, memory and numbers aren't reused without this lane, and what was published
            // before is in its place.
            self.epoch.online();
            if !self.take() {
                self.epoch.offline();
                return None;
            }
        } else if self.take() {
            self.epoch.saw(epoch);
        }
        Some(&self.tables)
    }

    /// Takes the tables that were left, if any. Returns `false` if the router holds the lock.
    fn take(&mut self) -> bool {
        let Some(mut newer) = self.newer.try_lock() else {
            return false;
        };
        if let Some(newer) = newer.take() {
            // The router keeps the older ones, so nothing is freed here.
            self.tables = newer;
        }
        true
    }

    /// Stops reading, as before a sleep, until the next call of [`View::tables`]. Otherwise the router
    /// doesn't reuse memory and numbers before this lane's next burst.
    pub fn rest(&mut self) {
        self.epoch.offline();
    }
}

/// The router's side: the newest published tables, and older ones that lanes may still read.
pub(crate) struct Publisher {
    newest: Arc<Tables>,
    places: Vec<Arc<Place>>,
    /// Lanes whose place was locked when the newest tables were to be left there, a bit for each.
    late: u64,
    /// Freed once no lane has them any more, by the router alone.
    older: Vec<Arc<Tables>>,
}

impl Publisher {
    /// Creates a publisher without lanes.
    pub(crate) fn new(tables: &Tables) -> Self {
        Self {
            newest: Arc::new(tables.clone()),
            places: Vec::new(),
            late: 0,
            older: Vec::new(),
        }
    }

    /// Returns a view for one more lane. `None` if there is no room for another lane.
    pub(crate) fn view(&mut self, epochs: &Arc<Epochs>) -> Option<View> {
        let epoch = epochs.lane()?;
        let newer = Arc::new(Place::new(None));
        self.places.retain(|place| Arc::strong_count(place) > 1);
        self.places.push(Arc::clone(&newer));
        Some(View {
            tables: Arc::clone(&self.newest),
            newer,
            epoch,
        })
    }

    /// Leaves these tables for all lanes, if they differ from the newest ones or some lane's place was
    /// locked last time. Returns `true` if lanes have something to take.
    pub(crate) fn publish(&mut self, tables: &Tables) -> bool {
        if !tables.is_same(&self.newest) {
            let newest = Arc::new(tables.clone());
            self.older
                .push(core::mem::replace(&mut self.newest, newest));
            self.late = (1 << self.places.len()) - 1;
        }
        let news = self.late != 0;
        if news {
            for (at, place) in self.places.iter().enumerate() {
                if self.late >> at & 1 != 0
                    && let Some(mut newer) = place.try_lock()
                {
                    *newer = Some(Arc::clone(&self.newest));
                    self.late &= !(1 << at);
                }
            }
        }
        self.older.retain(|old| Arc::strong_count(old) > 1);
        news
    }

    /// Returns `true` if the newest tables haven't been left for all lanes yet.
    pub(crate) fn is_late(&self) -> bool {
        self.late != 0
    }
}
