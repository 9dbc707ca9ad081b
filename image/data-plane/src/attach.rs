//! Attaching and detaching vifs: their rings, and their pages in the pool of their backend.

use core::mem::take;

use netfront_rs::{MAX_TX_SLOTS, Queue, QueueError};
use netif::messages::MAX_SLOTS;
use netif::{Features, QueueInfo};
use page_pool::{HomeId, PagePool, PoolError};
use router::vlan::{MAX_TAGS, TAG_LEN};
use router::{ETHERNET_LEN, InterfaceId, Tables};
use xen_hal::{DomId, Hal, PAGE_SIZE};

use crate::allotment::{Allotment, enough_room};
use crate::intake::Intake;
use crate::numbered;
use crate::vif::Vif;
use crate::waiting::WaitingFrames;
use crate::worker::{LOCAL_PAGES_PER_VIF, Worker};

/// The features of a backend that accepts every large frame unchanged.
const EVERY_LARGE: Features = Features::SG
    .union(Features::GSO_TCPV4)
    .union(Features::GSO_TCPV6)
    .union(Features::CSUM_IPV4)
    .union(Features::CSUM_IPV6);

/// The maximum length of the Ethernet header with tags, in bytes.
const LONGEST_HEADER: usize = ETHERNET_LEN + MAX_TAGS * TAG_LEN;

/// The reason why a vif can't be attached.
#[derive(Debug)]
pub enum AttachError {
    /// An error about its packet pages.
    Pool(PoolError),
    /// An error about its rings.
    Queue(QueueError),
    /// The interface has another vif already.
    Taken,
}

impl core::fmt::Display for AttachError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            AttachError::Pool(error) => error.fmt(f),
            AttachError::Queue(error) => error.fmt(f),
            AttachError::Taken => f.write_str("the interface has another vif already"),
        }
    }
}

impl core::error::Error for AttachError {}

impl<H: Hal> Worker<H> {
    /// Makes rings and pages for a queue of a vif, which has sub-interfaces if `tags` is `true`. Packets flow after [`Worker::link_up`]. Nothing
    /// is left behind by an error.
    pub(crate) fn attach(
        &mut self,
        now: u64,
        tags: bool,
        interface: InterfaceId,
        backend: DomId,
        features: Features,
        vifs: usize,
    ) -> Result<QueueInfo, AttachError> {
        let index = interface.index();
        if self.vifs.len() <= index {
            self.vifs.resize_with(index + 1, || None);
        }
        if self.has_vif(interface) {
            return Err(AttachError::Taken);
        }
        let at = self.pool_for(backend, vifs)?;
        let takes_large = features.contains(EVERY_LARGE) && !tags;
        let allotment = Allotment::of(self.pages_per_vif, self.takes_large() && !takes_large);
        let homes = Homes::of(interface);
        let queue = self.make_queue(at, &homes, allotment, features);
        let (queue, info) = match queue {
            Ok(made) => made,
            Err(error) => {
                self.release(at, &homes);
                return Err(error);
            }
        };
        let segments = if allotment.segments > 0 {
            homes.segments
        } else {
            homes.copies
        };
        let vif = Vif {
            queue,
            pool: at,
            interface,
            fault: None,
            up: false,
            slots: if self.takes_large() { MAX_TX_SLOTS } else { 1 },
            most: 0,
            enough: 0,
            allotment,
            most_a_wake: allotment.most_a_wake(),
            tags,
            progress: now,
            unanswered: 0,
            copies: homes.copies,
            segments,
            intake: Intake::default(),
            waiting: WaitingFrames::new(allotment.most_waiting()),
            segments_left: 0,
        };
        if let Some(place) = self.vifs.get_mut(index) {
            *place = Some(vif);
        }
        self.share_out();
        Ok(info)
    }

    /// Allocates pages for a vif in pool `at`, and creates its queue.
    fn make_queue(
        &mut self,
        at: usize,
        homes: &Homes,
        allotment: Allotment,
        features: Features,
    ) -> Result<(Queue<H>, QueueInfo), AttachError> {
        let Some(pool) = numbered::of_mut(&mut self.pools, at) else {
            return Err(AttachError::Pool(PoolError::NoSuchHome));
        };
        for (home, pages, floor) in [
            (homes.receive, allotment.receive, allotment.floor()),
            (homes.copies, allotment.copies, allotment.copies / 2),
            (homes.segments, allotment.segments, allotment.segments / 2),
        ] {
            if pages > 0 {
                pool.add_home(home, pages).map_err(AttachError::Pool)?;
                pool.set_floor(home, floor);
            }
        }
        let made = Queue::new(pool, homes.receive, features);
        let (mut queue, info) = made.map_err(AttachError::Queue)?;
        queue.refill(pool);
        queue.publish();
        Ok((queue, info))
    }

    /// Frames for a vif without a queue here may come, to be handed to one of the first `queues` workers,
    /// which have one each.
    pub(crate) fn attach_elsewhere(&mut self, vif: InterfaceId, queues: usize) {
        self.handoffs.add(vif, queues);
        self.share_out();
    }

    /// Says how many pages each vif lends to each other one.
    fn share_out(&mut self) {
        let outputs = self.vifs.iter().flatten().count() + self.handoffs.len();
        for index in 0..self.vifs.len() {
            let copies = |pool: usize| {
                let others = self.vifs.iter().flatten().filter(|vif| vif.pool != pool);
                others.map(|vif| vif.allotment.most_copies()).min()
            };
            let pool = numbered::of(&self.vifs, index).map(|vif| vif.pool);
            let copies = pool.and_then(copies);
            let Some(vif) = numbered::of_mut(&mut self.vifs, index) else {
                continue;
            };
            let largest = vif.slots.min(MAX_SLOTS);
            let share = vif.allotment.share(outputs - 1, vif.tags, largest);
            vif.most = copies.map_or(share, |copies| share.min(copies));
            vif.enough = enough_room(vif.most, vif.slots);
            if let Some(pool) = numbered::of_mut(&mut self.pools, vif.pool) {
                pool.set_share(vif.queue.home(), share);
            }
        }
    }

    /// Follows a configuration that was applied.
    pub(crate) fn follow(&mut self, tables: &Tables) {
        for vif in self.vifs.iter_mut().flatten() {
            vif.tags = tables.has_vlans(vif.interface);
        }
        self.share_out();
    }

    /// Called when the backend of a vif is connected.
    pub(crate) fn link_up(&mut self, now: u64, interface: InterfaceId, mtu: u16) {
        if let Some(Some(vif)) = self.vifs.get_mut(interface.index()) {
            vif.up = true;
            vif.slots = vif
                .slots
                .max((usize::from(mtu) + LONGEST_HEADER).div_ceil(PAGE_SIZE));
            vif.progress = now;
        }
        self.share_out();
    }

    /// Called when nothing may flow through a vif any more.
    pub(crate) fn link_down(&mut self, interface: InterfaceId) {
        if let Some(Some(vif)) = self.vifs.get_mut(interface.index()) {
            vif.up = false;
            vif.waiting.drop(&mut self.pools, &mut self.lane, |_| true);
        }
    }

    /// Frees the rings and pages of a vif, except those that its backend still maps.
    pub(crate) fn detach(&mut self, interface: InterfaceId) {
        self.link_down(interface);
        self.handoffs
            .remove(interface, &mut self.pools, &mut self.lane);
        let Some(vif) = self.vifs.get_mut(interface.index()).and_then(take) else {
            self.share_out();
            return;
        };
        let at = vif.pool;
        if !self.vifs.iter().flatten().any(|vif| vif.pool == at) {
            // Frames don't outlive their pool.
            let gone = |from| from == at;
            for other in self.vifs.iter_mut().flatten() {
                other.waiting.drop(&mut self.pools, &mut self.lane, gone);
            }
            self.handoffs.drop(&mut self.pools, &mut self.lane, gone);
        }
        if let Some(pool) = numbered::of_mut(&mut self.pools, at) {
            vif.queue.close(pool);
        }
        self.release(at, &Homes::of(interface));
        self.share_out();
    }

    /// Returns the pool of pages granted to `backend`.
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
        let mut places = self.pools.iter_mut().enumerate();
        if let Some((at, free)) = places.find(|(_, place)| place.is_none()) {
            *free = Some(pool);
            return Ok(at);
        }
        self.pools.push(Some(pool));
        Ok(self.pools.len() - 1)
    }

    /// Removes the homes of a vif, and the pool with the last one.
    fn release(&mut self, at: usize, homes: &Homes) {
        let used = self.vifs.iter().flatten().any(|vif| vif.pool == at);
        let Some(place) = self.pools.get_mut(at) else {
            return;
        };
        let Some(pool) = place else { return };
        if used {
            for home in [homes.receive, homes.copies, homes.segments] {
                if pool.has_home(home)
                    && let Err(error) = pool.remove_home(home)
                {
                    log::warn!(target: "net", "pages of vif {home:?} can't be removed: {error}");
                }
            }
            pool.trim();
        } else if let Some(pool) = place.take() {
            let _ = pool.close();
        }
    }
}

/// The homes of a vif's pages.
struct Homes {
    receive: HomeId,
    copies: HomeId,
    segments: HomeId,
}

impl Homes {
    fn of(vif: InterfaceId) -> Self {
        let or_local = |home: Option<HomeId>| home.unwrap_or(HomeId::LOCAL);
        Self {
            receive: or_local(HomeId::vif(vif.0)),
            copies: or_local(HomeId::copies(vif.0)),
            segments: or_local(HomeId::segments(vif.0)),
        }
    }
}
