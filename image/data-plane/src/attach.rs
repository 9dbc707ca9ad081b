//! Vifs as they come and go: their rings, and their pages in the pool of their backend.

use core::mem::take;

use netfront_rs::{MAX_TX_SLOTS, Queue, QueueError};
use netif::{Features, QueueInfo};
use page_pool::{HomeId, PagePool, PoolError};
use router::vlan::{MAX_TAGS, TAG_LEN, Tags};
use router::{ETHERNET_LEN, InterfaceId};
use xen_hal::{DomId, Hal, PAGE_SIZE};

use crate::segmentation::PendingSegments;
use crate::vif::Vif;
use crate::worker::{LOCAL_PAGES_PER_VIF, Worker, home_of};

/// What a backend needs to take every large frame as it is.
const EVERY_LARGE: Features = Features::SG
    .union(Features::GSO_TCPV4)
    .union(Features::GSO_TCPV6)
    .union(Features::CSUM_IPV4)
    .union(Features::CSUM_IPV6);

/// Bytes before the IP packet in a frame with all tags it may have.
const LONGEST_HEADER: usize = ETHERNET_LEN + MAX_TAGS * TAG_LEN;

/// Why a vif could not be set up.
#[derive(Debug)]
pub enum AttachError {
    /// Its packet pages.
    Pool(PoolError),
    /// Its rings.
    Queue(QueueError),
    /// Another vif is this interface already.
    Taken,
}

impl core::fmt::Display for AttachError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            AttachError::Pool(error) => error.fmt(f),
            AttachError::Queue(error) => error.fmt(f),
            AttachError::Taken => f.write_str("another vif is this interface already"),
        }
    }
}

impl core::error::Error for AttachError {}

impl<H: Hal> Worker<H> {
    /// Makes rings and pages for a queue of a vif. Packets flow after [`Worker::link_up`]. Nothing
    /// is left behind by an error.
    pub(crate) fn attach(
        &mut self,
        now: u64,
        interface: InterfaceId,
        backend: DomId,
        features: Features,
        vifs: usize,
    ) -> Result<QueueInfo, AttachError> {
        let index = interface.index();
        if self.vifs.len() <= index {
            self.vifs.resize_with(index + 1, || None);
        }
        if self.vifs[index].is_some() {
            return Err(AttachError::Taken);
        }
        let at = self.pool_for(backend, vifs)?;
        let home = home_of(interface);
        let Some(pool) = self.pools[at].as_mut() else {
            return Err(AttachError::Pool(PoolError::NoSuchHome));
        };
        if let Err(error) = pool.add_home(home, self.pages_per_vif) {
            self.release(at, home);
            return Err(AttachError::Pool(error));
        }
        let (mut queue, info) = match Queue::new(pool, home, features) {
            Ok(made) => made,
            Err(error) => {
                self.release(at, home);
                return Err(AttachError::Queue(error));
            }
        };
        // The rest stays free for copies of what vifs of other backends send here.
        queue.set_post_limit(self.pages_per_vif * 3 / 4);
        queue.refill(pool);
        queue.publish();
        let large = self.takes_large();
        let tags = |&(vif, tags): &(InterfaceId, Tags)| vif == interface && !tags.is_empty();
        let any_tags = self.ports.iter().any(tags);
        self.vifs[index] = Some(Vif {
            queue,
            pool: at,
            interface,
            fault: None,
            up: false,
            slots: if large { MAX_TX_SLOTS } else { 1 },
            progress: now,
            completed: 0,
            unanswered: 0,
            takes_large: features.contains(EVERY_LARGE) && !any_tags,
            pending: None,
        });
        Ok(info)
    }

    /// The backend of a vif is connected.
    pub(crate) fn link_up(&mut self, now: u64, interface: InterfaceId, mtu: u16) {
        if let Some(Some(vif)) = self.vifs.get_mut(interface.index()) {
            vif.up = true;
            vif.slots = vif
                .slots
                .max((usize::from(mtu) + LONGEST_HEADER).div_ceil(PAGE_SIZE));
            vif.progress = now;
        }
    }

    /// Nothing more flows through a vif.
    pub(crate) fn link_down(&mut self, interface: InterfaceId) {
        if let Some(Some(vif)) = self.vifs.get_mut(interface.index()) {
            vif.up = false;
        }
    }

    /// Gives the rings and pages of a vif back, as far as its backend let go of them.
    pub(crate) fn detach(&mut self, interface: InterfaceId) {
        self.link_down(interface);
        // Pages of this vif may be among what waits for another.
        self.drop_handoff();
        for vif in self.vifs.iter_mut().flatten() {
            if let Some(pending) = vif.pending.take() {
                let PendingSegments {
                    segmenter, path, ..
                } = pending;
                self.lane
                    .count_tx_full(path.out, 1, segmenter.remaining_bytes() as u64);
                if let Some(pool) = self.pools.get_mut(path.from).and_then(Option::as_mut) {
                    pool.free(segmenter.into_frame());
                }
            }
        }
        let Some(vif) = self.vifs.get_mut(interface.index()).and_then(take) else {
            return;
        };
        if let Some(pool) = self.pools[vif.pool].as_mut() {
            vif.queue.close(pool);
        }
        self.release(vif.pool, home_of(interface));
    }

    /// The pool of pages granted to `backend`.
    fn pool_for(&mut self, backend: DomId, vifs: usize) -> Result<usize, AttachError> {
        let same =
            |pool: &Option<PagePool<H>>| pool.as_ref().is_some_and(|pool| pool.peer() == backend);
        if let Some(at) = self.pools.iter().position(same) {
            return Ok(at);
        }
        let mut pool = PagePool::new(self.hal, backend);
        pool.add_home(HomeId::LOCAL, vifs * LOCAL_PAGES_PER_VIF)
            .map_err(AttachError::Pool)?;
        pool.set_floor(HomeId::LOCAL, 0);
        match self.pools.iter().position(Option::is_none) {
            Some(at) => {
                self.pools[at] = Some(pool);
                Ok(at)
            }
            None => {
                self.pools.push(Some(pool));
                Ok(self.pools.len() - 1)
            }
        }
    }

    /// Removes a home, and the pool with the last one.
    fn release(&mut self, at: usize, home: HomeId) {
        let used = self.vifs.iter().flatten().any(|vif| vif.pool == at);
        let Some(pool) = self.pools[at].as_mut() else {
            return;
        };
        if used {
            if pool.has_home(home)
                && let Err(error) = pool.remove_home(home)
            {
                log::warn!(target: "net", "pages of vif {home:?} stay behind: {error}");
            }
            pool.trim();
        } else if let Some(pool) = self.pools[at].take() {
            let _ = pool.close();
        }
    }
}
