//! One queue of a vif: a transmit ring, a receive ring, and their event channels.
//!
//! A turn of the caller's loop is: [`Queue::reap`] what was sent, [`Queue::receive`] a burst,
//! [`Queue::send`] frames on this or other queues, [`Queue::refill`] the receive ring,
//! [`Queue::publish`]. Before it sleeps, [`Queue::arm`].
//!
//! The id of a transmit request is the number of its page, so a response is checked against
//! what is known of that page: it must be on the ring of this very queue. The id of a receive
//! request is the number of its page as well, and must come back in the slot of the request,
//! as netif.h demands.

mod chain;
mod hashed;
mod terms;

use core::sync::atomic::Ordering;

use netif::messages::{
    Checksum, Extra, ExtraInfo, GsoKind, MAX_RX_SLOTS, MAX_SLOTS, MAX_TX_SIZE, RSP_NULL, RX_WORDS,
    RxFlags, RxRequest, RxResponse, TX_WORDS, TxFlags, TxRequest, TxResponse,
};
use netif::{Features, Ports, QueueInfo};
use page_pool::{
    First, FirstBytes, Frame, FrameInfo, HEADER_LEN, Header, HomeId, PagePool, Part, Place,
    QueueTag, kind, tx_slots,
};
use xen_hal::{Access, Granted, Hal, HalError, PAGE_SIZE, Port, SharedPage};
use xen_ring::FrontRing;

use self::chain::Chain;
pub use self::terms::{Budget, Counters, Wake};
use crate::error::{PeerFault, QueueError, SendError, Unsent};

/// Slots of either ring.
const RING: usize = FrontRing::<TX_WORDS>::SLOTS as usize;
const _: () = assert!(FrontRing::<RX_WORDS>::SLOTS as usize == RING && RING == 256);
/// Slots of a transmit ring that no frame needs more of: any that a backend must take, and one
/// for how it is to be cut.
pub const MAX_TX_SLOTS: usize = MAX_SLOTS + 1;
/// Extra infos of one received packet. There are four types, each of use once.
const MAX_EXTRAS: usize = 8;

/// What no frame looks like, once its checksum state is masked.
const NO_FRAME: u32 = kind::VALIDATED;

/// A pair of rings shared with the backend of a vif.
///
/// All calls are to be made with the pool that it was made with. A queue that is dropped
/// without [`Queue::close`] leaks its two ring pages and what is on its rings.
#[derive(Debug)]
pub struct Queue<H: Hal> {
    hal: H,
    rx: FrontRing<RX_WORDS>,
    tx: FrontRing<TX_WORDS>,
    /// The page in each slot of the receive ring.
    posted: [u16; RING],
    /// Most pages on the receive ring.
    post_limit: u32,
    home: HomeId,
    tag: QueueTag,
    pool: u16,
    /// What a frame in one slot looks like that nothing else is known of.
    plain: u32,
    /// What a frame that fills one transmit request looks like, after masking by the next;
    /// what no frame looks like once the queue is broken.
    send_plain: u32,
    plain_mask: u32,
    /// Where a page is that is on the transmit ring.
    sending: Place,
    /// Requests pushed since [`Queue::publish`] that don't start a packet.
    continued: u32,
    /// The backend sends hashes: [`Queue::receive_hashed`] is the better way to receive.
    hashes: bool,
    /// Responses seen of a packet that isn't complete.
    partial: u32,
    /// Transmit requests that were extra infos, whose responses are to come.
    extras: u32,
    fault: Option<PeerFault>,
    features: Features,
    info: QueueInfo,
    /// Of the pages of the transmit and the receive ring.
    grants: (Granted, Granted),
    counters: Counters,
}

/// Grants a fresh page to the pool's backend.
fn share<H: Hal>(pool: &PagePool<H>) -> Result<(SharedPage, Granted), HalError> {
    let page = pool.hal().alloc_page()?;
    match pool.hal().grant(pool.peer(), &page, Access::ReadWrite) {
        Ok(granted) => Ok((page, granted)),
        Err(error) => {
            pool.hal().free_page(page);
            Err(error)
        }
    }
}

/// Takes a page back; `false` if the peer doesn't let go of it yet.
fn unshare<H: Hal>(hal: H, page: SharedPage, granted: Granted) -> bool {
    hal.retire(granted, page).is_ok()
}

fn open_ports<H: Hal>(pool: &PagePool<H>, features: Features) -> Result<Ports, HalError> {
    let (hal, peer) = (pool.hal(), pool.peer());
    let tx = hal.alloc_port(peer)?;
    if !features.contains(Features::SPLIT_EVENT_CHANNELS) {
        return Ok(Ports::Shared(tx));
    }
    match hal.alloc_port(peer) {
        Ok(rx) => Ok(Ports::Split { tx, rx }),
        Err(error) => {
            hal.close_port(tx);
            Err(error)
        }
    }
}

/// Whether a packet in one slot took more, for extra infos that can be done without.
fn is_plain_but_for_extras(frame: &Frame, slots: u32) -> bool {
    frame.slots() == 1 && slots > 1 && !frame.is_gso()
}

impl<H: Hal> Queue<H> {
    /// Makes the rings and event channels of a queue that receives into pages of `home`, for
    /// a backend with these `features`. The receive ring is empty until [`Queue::refill`].
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
        let (tx, tx_ring) = share(pool)?;
        let (rx, rx_ring) = match share(pool) {
            Ok(rx) => rx,
            Err(error) => {
                unshare(hal, tx, tx_ring);
                return Err(error.into());
            }
        };
        let ports = match open_ports(pool, features) {
            Ok(ports) => ports,
            Err(error) => {
                unshare(hal, tx, tx_ring);
                unshare(hal, rx, rx_ring);
                return Err(error.into());
            }
        };
        let Some(tag) = pool.add_queue() else {
            close_ports(hal, ports);
            unshare(hal, tx, tx_ring);
            unshare(hal, rx, rx_ring);
            return Err(QueueError::TooManyQueues);
        };
        // A backend that completes checksums of one IP version only gets a closer look.
        let checksums = features.contains(Features::CSUM_IPV4 | Features::CSUM_IPV6);
        let accepted = kind::VALIDATED | if checksums { kind::BLANK } else { 0 };
        let plain = 1 | pool.kind();
        let info = QueueInfo {
            tx_ring: tx_ring.reference(),
            rx_ring: rx_ring.reference(),
            ports,
        };
        let queue = Self {
            hal,
            rx: FrontRing::starting_at(rx, start),
            tx: FrontRing::starting_at(tx, start),
            posted: [0; RING],
            post_limit: RING as u32,
            home,
            tag,
            pool: pool.tag,
            plain,
            send_plain: plain,
            plain_mask: !accepted,
            sending: Place::sending(tag),
            continued: 0,
            hashes: false,
            partial: 0,
            extras: 0,
            fault: None,
            features,
            info,
            grants: (tx_ring, rx_ring),
            counters: Counters::default(),
        };
        Ok((queue, info))
    }

    /// Sets how many pages are posted at most, so that the home keeps some to copy into.
    pub fn set_post_limit(&mut self, pages: usize) {
        self.post_limit = u32::try_from(pages).unwrap_or(u32::MAX).max(1);
    }

    /// Posts free pages of the home for receiving, as many as there are and fit. Seen by the
    /// backend after [`Queue::publish`]. Returns how many.
    #[inline(never)]
    pub fn refill(&mut self, pool: &mut PagePool<H>) -> u32 {
        if !self.is_live(pool) {
            return 0;
        }
        let room = self.post_limit.saturating_sub(self.rx.outstanding());
        let home = &mut pool.homes[self.home.index()];
        let (slots, posted) = (&pool.slots[..], &mut self.posted);
        let mut free = home.head;
        let count = self.rx.fill(room, |index| {
            let page = free;
            let slot = slots.get(usize::from(page))?;
            free = slot.next;
            posted[usize::from(index as u8)] = page;
            Some(
                RxRequest {
                    id: page,
                    gref: slot.granted.reference(),
                }
                .encode(),
            )
        });
        home.head = free;
        pool.count_posted(self.home, count);
        count
    }

    /// Receives frames within `budget` and passes each to `sink`, with its first bytes, to be
    /// copied. Only that copy is to be trusted once it has been checked: the backend may go on
    /// writing to the page.
    ///
    /// A packet in several slots is passed on when all of them are there. Packets that the
    /// backend reports to have failed are counted, and their pages freed.
    ///
    /// Returns the number of frames.
    ///
    /// # Errors
    /// [`PeerFault`], now and for every later call. Frames that `sink` has got are good.
    #[inline]
    pub fn receive(
        &mut self,
        pool: &mut PagePool<H>,
        budget: impl Into<Budget>,
        mut sink: impl FnMut(Frame, FirstBytes<'_>, FrameInfo),
    ) -> Result<usize, PeerFault> {
        let mut budget: Budget = budget.into();
        let (start, end) = self.arrived(pool)?;
        let mut index = start;
        let frames = budget.frames;
        // Lengths of frames, in 65,536ths of a byte.
        let mut lens = 0_u64;
        let mut outcome = Ok(());
        self.partial = 0;
        'burst: while index != end {
            // Plain packets, in a loop without calls. Each takes one slot.
            let left = budget.frames.min(budget.slots);
            if left == 0 || budget.large == 0 {
                break;
            }
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            let run = end.wrapping_sub(index).min(left);
            let first = index;
            let stop = index.wrapping_add(run);
            let words = loop {
                // netif_rx_response_t, loaded once; from here on these are our own values.
                let words = self.rx.response::<RX_WORDS>(index);
                // Id and offset: the response to this slot's request, data at the start of the
                // page.
                let head = self.posted[usize::from(index as u8)];
                if words[0] != u32::from(head) {
                    break words;
                }
                let Some(slot) = pool.slots.get(usize::from(head)) else {
                    break words;
                };
                let (cells, _) = slot.page.words64().as_chunks::<{ HEADER_LEN / 8 }>();
                let bytes = FirstBytes(First::Shared(&cells[0]));
                // Status: a length, not 0, within the page; a negative one is beyond any page.
                // Flags: none. Both in one comparison of a number that begins with the flags.
                let len = words[1] & 0xffff_0000;
                if words[1].wrapping_sub(1 << 16).rotate_left(16) < PAGE_SIZE as u32 {
                    let frame = Frame::plain(self.plain, head, len);
                    let info = FrameInfo::plain(&frame, Checksum::empty());
                    sink(frame, bytes, info);
                } else {
                    // Or flags, but neither another fragment nor extra info.
                    let flags = words[1] & 0xffff;
                    let chained = flags & u32::from(CHAINED.bits()) != 0;
                    if chained || (len >> 16).wrapping_sub(1) >= PAGE_SIZE as u32 {
                        break words;
                    }
                    let frame = Frame::plain(self.plain | checksum_kind(flags), head, len);
                    let info = FrameInfo::plain(&frame, frame.checksum());
                    sink(frame, bytes, info);
                }
                index = index.wrapping_add(1);
                lens += u64::from(len);
                if index == stop {
                    budget.frames -= run as usize;
                    budget.slots -= run as usize;
                    continue 'burst;
                }
            };
            let plain = index.wrapping_sub(first) as usize;
            budget.frames -= plain;
            budget.slots -= plain;
            match self.receive_chain(pool, index, end, words, budget.slots) {
                Ok(Chain::Frame {
                    frame,
                    header,
                    slots,
                }) => {
                    index = index.wrapping_add(slots);
                    self.hashes |= is_plain_but_for_extras(&frame, slots);
                    budget.frames -= 1;
                    budget.slots -= frame.tx_slots();
                    budget.large -= usize::from(frame.is_gso());
                    lens += (frame.len() as u64) << 16;
                    let info = pool.info(&frame);
                    sink(frame, FirstBytes(First::Copied(&header)), info);
                }
                Ok(Chain::NoRoom) => break,
                Ok(Chain::Failed { slots }) => {
                    index = index.wrapping_add(slots);
                    self.counters.rx_errors += 1;
                }
                Ok(Chain::Partial) => {
                    self.partial = end.wrapping_sub(index);
                    break;
                }
                Err(fault) => {
                    outcome = Err(self.break_off(fault));
                    break;
                }
            }
        }
        let frames = frames - budget.frames;
        let taken = index.wrapping_sub(start);
        self.rx.consume(taken);
        pool.count_received(self.home, taken);
        self.counters.rx_frames += frames as u64;
        self.counters.rx_bytes += lens >> 16;
        outcome.map(|()| frames)
    }

    /// The indices of the first response that is there and of the one behind the last; none of a
    /// queue of another pool.
    #[inline(always)]
    fn arrived(&mut self, pool: &PagePool<H>) -> Result<(u32, u32), PeerFault> {
        let start = self.rx.next_response();
        if !self.is_live(pool) {
            return self.fault.map_or(Ok((start, start)), Err);
        }
        match self.rx.responses() {
            Ok(there) => Ok((start, start.wrapping_add(there))),
            Err(corrupt) => Err(self.break_off(PeerFault::RxIndex(corrupt))),
        }
    }

    /// Puts a frame on the transmit ring. Seen by the backend after [`Queue::publish`].
    ///
    /// # Errors
    /// [`Unsent`], with the frame.
    #[inline]
    pub fn send(&mut self, pool: &mut PagePool<H>, frame: Frame) -> Result<(), Unsent> {
        if frame.kind & self.plain_mask == self.send_plain
            && let Some(slot) = pool.slots.get_mut(usize::from(frame.head))
        {
            let request = TxRequest {
                gref: slot.granted.reference(),
                offset: 0,
                flags: TxFlags::from_bits_retain(frame.checksum().bits().into()),
                id: frame.head,
                size: frame.len,
            };
            if self.tx.push(request.encode()).is_err() {
                return Err(Unsent {
                    frame,
                    why: SendError::Full,
                });
            }
            slot.place = self.sending;
            self.counters.tx_bytes += u64::from(frame.len);
            return Ok(());
        }
        self.send_chain(pool, frame)
    }

    /// Sends frames as they were received but for the first `len` bytes (at most
    /// [`HEADER_LEN`]), which are replaced by those of their headers: the fast way to do so for
    /// many. Up to 7 more bytes of a header are written; they must be as they were received.
    ///
    /// Takes frames up to the first that isn't a plain one of one slot or finds no room, and
    /// leaves none in their places. Returns how many these were.
    #[inline]
    pub fn forward<'a>(
        &mut self,
        pool: &mut PagePool<H>,
        frames: impl IntoIterator<Item = (&'a mut Frame, &'a Header)>,
        len: usize,
    ) -> usize {
        let mut frames = frames.into_iter();
        let (mask, plain, sending) = (self.plain_mask, self.send_plain, self.sending);
        let slots = &mut pool.slots[..];
        let mut bytes = 0;
        let count = self.tx.fill(u32::MAX, |_| {
            let (frame, header) = frames.next()?;
            if frame.kind & mask != plain {
                return None;
            }
            let slot = slots.get_mut(usize::from(frame.head))?;
            let frame = core::mem::take(frame);
            let (window, _) = slot.page.words64().as_chunks::<{ HEADER_LEN / 8 }>();
            let words = header.as_chunks::<8>().0;
            for (cell, word) in window[0].iter().zip(words).take(len.div_ceil(8)) {
                cell.store(u64::from_le_bytes(*word), Ordering::Relaxed);
            }
            slot.place = sending;
            bytes += u64::from(frame.len);
            Some(
                TxRequest {
                    gref: slot.granted.reference(),
                    offset: 0,
                    flags: TxFlags::from_bits_retain(frame.checksum().bits().into()),
                    id: frame.head,
                    size: frame.len,
                }
                .encode(),
            )
        });
        self.counters.tx_bytes += bytes;
        count as usize
    }

    /// Takes back the pages of what the backend has sent, to their homes. Returns how many
    /// slots of the ring that made free.
    ///
    /// # Errors
    /// [`PeerFault`], now and for every later call.
    #[inline(never)]
    pub fn reap(&mut self, pool: &mut PagePool<H>) -> Result<usize, PeerFault> {
        if !self.is_live(pool) {
            return self.fault.map_or(Ok(0), Err);
        }
        let there = match self.tx.responses() {
            Ok(there) => there,
            Err(corrupt) => return Err(self.break_off(PeerFault::TxIndex(corrupt))),
        };
        let sending = self.sending;
        let start = self.tx.next_response();
        let end = start.wrapping_add(there);
        let mut index = start;
        let mut outcome = Ok(());
        while index != end {
            // Plain responses, in a loop without calls. Pages of one home come in trains; they
            // go onto its free list together.
            let mut home = self.home;
            let mut free = pool.homes[home.index()].head;
            let mut first = index;
            let response = loop {
                if index == end {
                    break None;
                }
                let [word] = self.tx.response(index);
                // A page that there is, and status 0: any other makes the number too large.
                let slot = pool.slots.get_mut(word as usize);
                let Some(slot) = slot.filter(|slot| slot.place == sending) else {
                    break Some(TxResponse::decode([word]));
                };
                if slot.home != home {
                    pool.homes[home.index()].put_back(free, index.wrapping_sub(first));
                    home = slot.home;
                    free = pool.homes[home.index()].head;
                    first = index;
                }
                slot.next = free;
                slot.place = Place::ELSEWHERE;
                free = word as u16;
                index = index.wrapping_add(1);
            };
            pool.homes[home.index()].put_back(free, index.wrapping_sub(first));
            let Some(response) = response else { break };
            if let Err(fault) = self.reap_other(pool, response) {
                outcome = Err(self.break_off(fault));
                break;
            }
            index = index.wrapping_add(1);
        }
        let taken = index.wrapping_sub(start);
        self.tx.consume(taken);
        outcome.map(|()| taken as usize)
    }

    /// Shows the backend all that was put on the rings, and sends the events it asked for.
    /// Returns how many these were, each a hypercall: at most one for each event channel.
    #[inline(never)]
    pub fn publish(&mut self) -> u32 {
        if self.fault.is_some() {
            return 0;
        }
        let frames = self.tx.unpublished() - core::mem::take(&mut self.continued);
        self.counters.tx_frames += u64::from(frames);
        let (to_tx, to_rx) = (self.tx.publish(), self.rx.publish());
        let mut sent = 0;
        let mut notify = |wanted: bool, port: Port| {
            if wanted {
                self.hal.notify(port);
                sent += 1;
            }
        };
        match self.info.ports {
            Ports::Shared(port) => notify(to_tx | to_rx, port),
            Ports::Split { tx, rx } => {
                notify(to_tx, tx);
                notify(to_rx, rx);
            }
        }
        self.counters.notifications += u64::from(sent);
        sent
    }

    /// Asks for an event as said in `wake`. Returns whether what it would be for is there
    /// already, so that the caller must not sleep but take another turn; this is also so when
    /// the backend broke the protocol, which that turn will report. A queue that has reported
    /// it never keeps the caller awake.
    pub fn arm(&mut self, wake: Wake) -> bool {
        if self.fault.is_some() {
            return false;
        }
        let rx = if let Some(ahead) = wake.rx {
            // A packet that isn't complete is no work: only what comes after is.
            let to_come = self.rx.outstanding() - self.rx.unpublished();
            let ahead = self.partial.saturating_add(ahead.max(1));
            let ahead = ahead.min(to_come).max(self.partial + 1);
            self.rx.arm(ahead).unwrap_or(true)
        } else {
            self.rx.disarm();
            false
        };
        let to_come = self.tx.outstanding() - self.tx.unpublished();
        let tx = match wake.tx {
            Some(ahead) if to_come > 0 => self.tx.arm(ahead.clamp(1, to_come)).unwrap_or(true),
            _ => {
                self.tx.disarm();
                false
            }
        };
        rx || tx
    }

    /// Whether [`Queue::receive`] has something to do.
    #[must_use]
    #[inline]
    pub fn rx_pending(&self) -> bool {
        self.fault.is_none()
            && self
                .rx
                .responses()
                .map_or(true, |there| there > self.partial)
    }

    /// Takes the pending state of the event channels: whether an event came.
    pub fn take_pending(&self) -> bool {
        match self.info.ports {
            Ports::Shared(port) => self.hal.take_pending(port),
            Ports::Split { tx, rx } => self.hal.take_pending(tx) | self.hal.take_pending(rx),
        }
    }

    /// Slots free in the transmit ring.
    #[must_use]
    #[inline]
    pub fn tx_free(&self) -> usize {
        self.tx.free_slots() as usize
    }

    /// Slots of the transmit ring that the backend has not answered yet.
    #[must_use]
    #[inline]
    pub fn tx_in_flight(&self) -> usize {
        self.tx.outstanding() as usize
    }

    /// Pages on the receive ring.
    #[must_use]
    #[inline]
    pub fn rx_posted(&self) -> usize {
        self.rx.outstanding() as usize
    }

    /// The violation for which the queue is of no more use.
    #[must_use]
    pub fn fault(&self) -> Option<PeerFault> {
        self.fault
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What the backend can.
    #[must_use]
    pub fn features(&self) -> Features {
        self.features
    }

    /// What the backend must be told.
    #[must_use]
    pub fn info(&self) -> QueueInfo {
        self.info
    }

    /// The home of the pages that it receives into.
    #[must_use]
    pub fn home(&self) -> HomeId {
        self.home
    }

    /// Ends the queue: closes the event channels, takes the rings from the backend, and gives
    /// all pages that are on them back to their homes. Returns how many ring pages the backend
    /// didn't let go of; they are never used again.
    ///
    /// To be called when the backend is done (`XenbusStateClosed`) or gone. Should it write on
    /// into the packet pages, it does so in pages that are granted to it anyhow.
    pub fn close(mut self, pool: &mut PagePool<H>) -> usize {
        assert_eq!(
            self.pool, pool.tag,
            "a queue is closed with the pool it was made with"
        );
        close_ports(self.hal, self.info.ports);
        // Our own indices say what is on the ring; the shared ones are not asked.
        let posted = self.rx.outstanding();
        for ahead in 0..posted {
            let id = self.rx.next_response().wrapping_add(ahead) as u8;
            pool.push(self.posted[usize::from(id)]);
        }
        pool.count_received(self.home, posted);
        pool.remove_queue(self.tag);
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
            .filter_map(|(page, granted)| (!unshare(hal, page, granted)).then_some(()))
            .count()
    }

    /// Whether the queue can go on, with this pool.
    #[inline]
    fn is_live(&self, pool: &PagePool<H>) -> bool {
        debug_assert_eq!(
            self.pool, pool.tag,
            "a queue is used with the pool it was made with"
        );
        self.fault.is_none() && self.pool == pool.tag
    }

    #[cold]
    fn break_off(&mut self, fault: PeerFault) -> PeerFault {
        self.fault = Some(fault);
        self.send_plain = NO_FRAME;
        fault
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

/// Flags of a response that is not all of its packet.
const CHAINED: RxFlags = RxFlags::MORE_DATA
    .union(RxFlags::EXTRA_INFO)
    .union(RxFlags::GSO_PREFIX);

/// The checksum state of `NETRXF_*` in the place and order of [`Frame::kind`].
#[inline]
const fn checksum_kind(flags: u32) -> u32 {
    // Two bits, swapped: both are in the product, one bit too far left.
    (((flags & 3) * 5) >> 1 & 3) << kind::CHECKSUM_SHIFT
}
