//! How lanes come to read newer tables: each takes them between two bursts, and nobody waits for it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use lpm::epochs::{self, Epochs};
use spin::Mutex;

use crate::tables::Tables;

/// Where the newest tables are left for a lane. Whoever finds it locked goes on without.
type Place = Mutex<Option<Arc<Tables>>>;

/// The tables as a lane reads them. Made by [`Router::new_view`](crate::Router::new_view).
pub struct View {
    tables: Arc<Tables>,
    newer: Arc<Place>,
    epoch: epochs::Lane,
}

impl View {
    /// The tables of now, between two bursts: nothing that was found in them before is used any more.
    /// A lane is to ask for each burst, or for a few of them.
    ///
    /// `None` if the router is leaving newer ones just now for a lane that [rested](Self::rest), which is
    /// a matter of nanoseconds: to be asked again.
    #[inline]
    pub fn tables(&mut self) -> Option<&Tables> {
        match self.epoch.news() {
            None => Some(&self.tables),
            Some(epoch) => self.go_on(epoch),
        }
    }

    /// Goes on to newer tables, if there are any.
    #[cold]
    fn go_on(&mut self, epoch: u64) -> Option<&Tables> {
        if self.epoch.is_offline() {
            // From here on the router waits for this lane again. What it published before is there.
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

    /// Takes what was left here, if anything was. Returns `false` if something is being left.
    fn take(&mut self) -> bool {
        let Some(mut newer) = self.newer.try_lock() else {
            return false;
        };
        if let Some(newer) = newer.take() {
            // The router has the older ones, too: nothing is freed here.
            self.tables = newer;
        }
        true
    }

    /// Reads nothing for a while, as before a sleep. Until then the router waits for this lane's next
    /// burst before it uses memory and numbers again.
    pub fn rest(&mut self) {
        self.epoch.offline();
    }
}

/// The router's side: the newest tables that lanes can have, and older ones that they may still read.
pub(crate) struct Publisher {
    newest: Arc<Tables>,
    places: Vec<Arc<Place>>,
    /// Lanes whose place was locked when the newest tables were to be left there, a bit for each.
    late: u64,
    /// Lanes are through with these once nobody else has them. They are freed by the router alone.
    older: Vec<Arc<Tables>>,
}

impl Publisher {
    /// One without lanes.
    pub(crate) fn new(tables: &Tables) -> Self {
        Self {
            newest: Arc::new(tables.clone()),
            places: Vec::new(),
            late: 0,
            older: Vec::new(),
        }
    }

    /// A view for one lane more. `None` if there are as many as there can be.
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

    /// Leaves these tables for all lanes if they are others than the newest, or couldn't be left for all.
    /// Returns `true` if there is something for lanes to take.
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

    /// Returns `true` if the newest tables couldn't be left for all lanes yet.
    pub(crate) fn is_late(&self) -> bool {
        self.late != 0
    }
}
