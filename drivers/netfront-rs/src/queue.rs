//! One queue of a vif: a transmit ring, a receive ring, and their event channels.
//!
//! A turn of the caller's loop is: [`Queue::reap`] what was sent, [`Queue::receive`] a burst,
//! [`Queue::send`] frames on this or other queues, [`Queue::refill`] the receive ring,
//! [`Queue::publish`]. Before it sleeps, [`Queue::arm`].
//!
//! The id of a transmit request is the index of its page, so a response is checked against the
//! state of that page: it must be on this queue's ring. The id of a receive request is the index of
//! its page as well, and must be returned in the slot of the request, as netif.h requires.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod chain;
mod receive;
mod send;
mod terms;

use netif::messages::{MAX_SLOTS, RX_WORDS, RxRequest, TX_WORDS};
use netif::{Checksum, Features, Ports, QueueInfo};
use page_pool::{HomeId, OnePageFrames, PagePool, PoolId, QueueId};
use xen_hal::{Access, DomId, Granted, Hal, HalError, Port, SharedPage};
use xen_ring::FrontRing;

pub use self::terms::{Budget, QueueCounters, Wake};
use crate::error::{PeerFault, QueueError};
use crate::shared::{share, unshare};

/// Slots of either ring.
const RING: usize = FrontRing::<TX_WORDS>::SLOTS as usize;
const _: () = assert!(FrontRing::<RX_WORDS>::SLOTS as usize == RING && RING == 256);
/// The maximum number of transmit slots of a frame: as many as a backend has to accept, and one for
/// the GSO extra info.
pub const MAX_TX_SLOTS: usize = MAX_SLOTS + 1;
/// A pair of rings shared with the backend of a vif.
///
/// All methods must be called with the pool that the queue was created with. A queue that is
/// dropped without [`Queue::close`] leaks its two ring pages and the pages on its rings.
#[derive(Debug)]
pub struct Queue<H: Hal> {
    hal: H,
    rx: FrontRing<RX_WORDS>,
    tx: FrontRing<TX_WORDS>,
    /// The page in each slot of the receive ring.
    posted: [u16; RING],
    /// The maximum number of pages on the receive ring.
    post_limit: u32,
    home: HomeId,
    id: QueueId,
    pool: PoolId,
    /// The frames that take a single transmit request; none once the queue has stopped.
    one_page: OnePageFrames,
    /// Requests pushed since [`Queue::publish`] that don't start a packet.
    continued: u32,
    /// `true` if the backend sends hashes, so that [`Queue::receive_hashed`] should be used.
    hashes: bool,
    /// Responses seen of an incomplete packet.
    partial: u32,
    /// Extra infos on the transmit ring whose responses are pending.
    extras: u32,
    fault: Option<PeerFault>,
    features: Features,
    info: QueueInfo,
    /// Of the pages of the transmit and the receive ring.
    grants: (Granted, Granted),
    counters: QueueCounters,
}

/// The pages and event channels that a queue shares with its backend.
struct Shared {
    tx: (SharedPage, Granted),
    rx: (SharedPage, Granted),
    ports: Ports,
}

impl Shared {
    /// Takes pages and event channels from the machine; leaves nothing behind on an error.
    fn new<H: Hal>(hal: H, backend: DomId, features: Features) -> Result<Self, HalError> {
        let tx = share(hal, backend, Access::ReadWrite)?;
        let rx = match share(hal, backend, Access::ReadWrite) {
            Ok(rx) => rx,
            Err(error) => {
                unshare(hal, tx);
                return Err(error);
            }
        };
        match open_ports(hal, backend, features) {
            Ok(ports) => Ok(Self { tx, rx, ports }),
            Err(error) => {
                unshare(hal, tx);
                unshare(hal, rx);
                Err(error)
            }
        }
    }

    /// Frees everything. The backend doesn't know of it yet.
    fn undo<H: Hal>(self, hal: H) {
        close_ports(hal, self.ports);
        unshare(hal, self.tx);
        unshare(hal, self.rx);
    }
}

/// Opens the event channels of a queue: one for each ring if the backend supports that.
fn open_ports<H: Hal>(hal: H, backend: DomId, features: Features) -> Result<Ports, HalError> {
    let tx = hal.alloc_port(backend)?;
    if !features.contains(Features::SPLIT_EVENT_CHANNELS) {
        return Ok(Ports::Shared(tx));
    }
    match hal.alloc_port(backend) {
        Ok(rx) => Ok(Ports::Split { tx, rx }),
        Err(error) => {
            hal.close_port(tx);
            Err(error)
        }
    }
}

fn close_ports<H: Hal>(hal: H, ports: Ports) {
    match ports {
        Ports::Shared(port) => hal.close_port(port),
        Ports::Split { tx, rx } => {
            hal.close_port(tx);
            hal.close_port(rx);
        }
    }
}

impl<H: Hal> Queue<H> {
    /// Creates the rings and event channels of a queue that receives into pages of `home`, for a
    /// backend with these `features`. The receive ring is empty until [`Queue::refill`] is called.
    ///
    /// # Errors
    /// [`QueueError`]; nothing is left behind.
    pub fn new(
        pool: &mut PagePool<H>,
        home: HomeId,
        features: Features,
    ) -> Result<(Self, QueueInfo), QueueError> {
        Self::starting_at(pool, home, features, 0)
    }

    /// As [`Queue::new`], with ring indices that start at `start`, for tests.
    #[doc(hidden)]
    pub fn starting_at(
        pool: &mut PagePool<H>,
        home: HomeId,
        features: Features,
        start: u32,
    ) -> Result<(Self, QueueInfo), QueueError> {
        if !pool.has_home(home) {
            return Err(QueueError::NoSuchHome);
        }
        let hal = pool.hal();
        let shared = Shared::new(hal, pool.peer(), features)?;
        let Some(id) = pool.add_queue() else {
            shared.undo(hal);
            return Err(QueueError::TooManyQueues);
        };
        let Shared { tx, rx, ports } = shared;
        let info = QueueInfo {
            tx_ring: tx.1.reference(),
            rx_ring: rx.1.reference(),
            ports,
        };
        // Frames for a backend that completes checksums of only one IP version take the slow path.
        let blank = features.contains(Features::CSUM_IPV4 | Features::CSUM_IPV6);
        let queue = Self {
            hal,
            rx: FrontRing::starting_at(rx.0, start),
            tx: FrontRing::starting_at(tx.0, start),
            posted: [0; RING],
            post_limit: RING as u32,
            home,
            id,
            pool: pool.id(),
            one_page: pool.one_page_frames(blank),
            continued: 0,
            hashes: false,
            partial: 0,
            extras: 0,
            fault: None,
            features,
            info,
            grants: (tx.1, rx.1),
            counters: QueueCounters::default(),
        };
        Ok((queue, info))
    }

    /// Sets the maximum number of posted pages, so that the home keeps some to copy into.
    pub fn set_post_limit(&mut self, pages: usize) {
        self.post_limit = u32::try_from(pages).unwrap_or(u32::MAX).max(1);
    }

    /// Posts as many free pages of the home for receiving as there are and fit. They become visible
    /// to the backend with [`Queue::publish`]. Returns the number of pages.
    #[inline(never)]
    pub fn refill(&mut self, pool: &mut PagePool<H>) -> u32 {
        if !self.is_live(pool) {
            return 0;
        }
        let room = self.post_limit.saturating_sub(self.rx.outstanding());
        let (rx, posted) = (&mut self.rx, &mut self.posted);
        pool.post(self.home, |free| {
            rx.fill(room, |index| {
                let (page, gref) = free.next()?;
                *posted.get_mut(usize::from(index as u8))? = page;
                Some(RxRequest { id: page, gref }.encode())
            })
        })
    }

    /// Returns the page in a slot of the receive ring.
    #[inline]
    fn posted(&self, index: u32) -> u16 {
        // Any 8 bits are an index of it.
        let page = self.posted.get(usize::from(index as u8));
        page.copied().unwrap_or_default()
    }

    /// Publishes everything that was put on the rings to the backend, and sends the events that it
    /// asked for. Returns the number of events, each a hypercall: at most one for each event
    /// channel.
    #[inline(never)]
    pub fn publish(&mut self) -> u32 {
        if self.fault.is_some() {
            return 0;
        }
        let continued = core::mem::take(&mut self.continued);
        let frames = self.tx.unpublished().wrapping_sub(continued);
        let counters = &mut self.counters;
        counters.tx_frames = counters.tx_frames.wrapping_add(frames.into());
        let (to_tx, to_rx) = (self.tx.publish(), self.rx.publish());
        let mut sent = 0_u32;
        let mut notify = |wanted: bool, port: Port| {
            if wanted {
                self.hal.notify(port);
                sent = sent.wrapping_add(1);
            }
        };
        match self.info.ports {
            Ports::Shared(port) => notify(to_tx | to_rx, port),
            Ports::Split { tx, rx } => {
                notify(to_tx, tx);
                notify(to_rx, rx);
            }
        }
        counters.notifications = counters.notifications.wrapping_add(sent.into());
        sent
    }

    /// Requests events as specified by `wake`. Returns `true` if there is work already, so that the
    /// caller must not sleep but take another turn; this includes protocol violations, which that
    /// turn will report. A queue that has reported one never keeps the caller awake.
    pub fn arm(&mut self, wake: Wake) -> bool {
        if self.fault.is_some() {
            return false;
        }
        let rx = if let Some(ahead) = wake.rx {
            // An incomplete packet is no work; only further responses are.
            let to_come = self.rx.outstanding().wrapping_sub(self.rx.unpublished());
            let ahead = self.partial.saturating_add(ahead.max(1));
            let ahead = ahead.min(to_come).max(self.partial.saturating_add(1));
            self.rx.arm(ahead).unwrap_or(true)
        } else {
            self.rx.disarm();
            false
        };
        let to_come = self.tx.outstanding().wrapping_sub(self.tx.unpublished());
        let tx = match wake.tx {
            Some(ahead) if to_come > 0 => self.tx.arm(ahead.clamp(1, to_come)).unwrap_or(true),
            _ => {
                self.tx.disarm();
                false
            }
        };
        rx || tx
    }

    /// Returns `true` if there is something to [`Queue::receive`].
    #[must_use]
    #[inline]
    pub fn rx_pending(&self) -> bool {
        self.fault.is_none()
            && self
                .rx
                .responses()
                .map_or(true, |there| there > self.partial)
    }

    /// Takes the pending state of the event channels. Returns `true` if an event came.
    pub fn take_pending(&self) -> bool {
        match self.info.ports {
            Ports::Shared(port) => self.hal.take_pending(port),
            Ports::Split { tx, rx } => self.hal.take_pending(tx) | self.hal.take_pending(rx),
        }
    }

    /// Returns the number of free slots in the transmit ring.
    #[must_use]
    #[inline]
    pub fn tx_free(&self) -> usize {
        self.tx.free_slots() as usize
    }

    /// Returns the number of slots of the transmit ring that the backend has not answered yet.
    #[must_use]
    #[inline]
    pub fn tx_in_flight(&self) -> usize {
        self.tx.outstanding() as usize
    }

    /// Returns the number of slots of the receive ring that the backend has answered and that were
    /// not received yet.
    #[must_use]
    pub fn rx_available(&self) -> usize {
        self.rx.responses().map_or(0, |there| there as usize)
    }

    /// Returns the number of pages on the receive ring.
    #[must_use]
    #[inline]
    pub fn rx_posted(&self) -> usize {
        self.rx.outstanding() as usize
    }

    /// Returns the violation that stopped the queue; `None` if there was none.
    #[must_use]
    pub fn fault(&self) -> Option<PeerFault> {
        self.fault
    }

    /// Returns the counters.
    #[must_use]
    pub fn counters(&self) -> QueueCounters {
        self.counters
    }

    /// Returns the features of the backend.
    #[must_use]
    pub fn features(&self) -> Features {
        self.features
    }

    /// Returns what has to be published to the backend.
    #[must_use]
    pub fn info(&self) -> QueueInfo {
        self.info
    }

    /// Returns its id in the pool.
    #[must_use]
    #[inline]
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// Returns the home of the pages that it receives into.
    #[must_use]
    pub fn home(&self) -> HomeId {
        self.home
    }

    /// Closes the queue: closes the event channels, ends the grants of the rings, and returns all
    /// pages on them to their homes. Returns the number of ring pages that the backend still maps;
    /// they are never used again.
    ///
    /// To be called when the backend is done (`XenbusStateClosed`) or gone. If it continues to
    /// write into the packet pages, these are pages that are granted to it anyway.
    ///
    /// # Panics
    /// Panics if `pool` isn't the one that the queue was created with.
    pub fn close(mut self, pool: &mut PagePool<H>) -> usize {
        assert_eq!(
            self.pool,
            pool.id(),
            "a queue is closed with the pool it was made with"
        );
        close_ports(self.hal, self.info.ports);
        // Only our own indices tell what is on the ring; the shared ones are not used.
        let posted = self.rx.outstanding();
        for ahead in 0..posted {
            let index = self.rx.next_response().wrapping_add(ahead);
            pool.give_back(self.posted(index));
        }
        pool.count_received(self.home, posted);
        pool.remove_queue(self.id);
        self.fault = None;
        let Self {
            hal,
            tx,
            rx,
            grants,
            ..
        } = self;
        [(tx.into_page(), grants.0), (rx.into_page(), grants.1)]
            .into_iter()
            .map(|shared| usize::from(!unshare(hal, shared)))
            .sum()
    }

    /// Returns `true` if the queue hasn't stopped and belongs to this pool.
    #[inline]
    fn is_live(&self, pool: &PagePool<H>) -> bool {
        debug_assert_eq!(
            self.pool,
            pool.id(),
            "a queue is used with the pool it was made with"
        );
        self.fault.is_none() && self.pool == pool.id()
    }

    #[cold]
    fn break_off(&mut self, fault: PeerFault) -> PeerFault {
        self.fault = Some(fault);
        self.one_page.exclude_all();
        fault
    }
}

/// Returns the checksum state of `NETRXF_*`, whose two bits are swapped against those of
/// [`Checksum`].
#[inline]
const fn checksum_of(flags: u32) -> Checksum {
    // Both bits are in the product, one bit too far left.
    Checksum::from_bits_retain(((flags & 3).wrapping_mul(5) >> 1 & 3) as u8)
}
