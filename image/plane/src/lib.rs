//! The data plane: bursts from each vif through the router to the others.
//!
//! One turn takes up to a burst from every vif, and everything that a turn put on rings is
//! published at its end, with at most one event a ring. Nothing here allocates; frames move
//! between vifs of one backend uncopied, unless a backend can't take them as they are.
//!
//! The machine is behind [`Hal`], and time and what the machine says of itself are arguments, so
//! that the whole of it runs on any host.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod send;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::take;

use heapless::Vec as Bounded;
use netfront_rs::pace::{Pace, Since};
use netfront_rs::pool::PoolStats;
use netfront_rs::queue::Counters as QueueCounters;
use netfront_rs::{
    Budget, Features, FirstBytes, Frame, FrameInfo, HomeId, MAX_TX_SLOTS, PagePool, PeerFault,
    PoolError, Queue, QueueError, QueueInfo, Wake,
};
use router::vlan::{MAX_TAGS, TAG_LEN, Tags};
use router::{
    BURST, DropReason, ETHERNET_LEN, Egress, FrameFlags, FrameMeta, HEADER_LEN, Header, Instant,
    InterfaceId, NoRoom, REWRITTEN, Router, Verdict, Verdicts,
};
use xen_hal::{DomId, Hal, PAGE_SIZE, Port};
use xenbus::Signal;

use self::send::{Cutting, Outgoing, Way, forward_run, go_on_cutting, punt, with_pools};

/// Punted frames, retries and packets of the router's own in one turn.
const SLOW_BUDGET: usize = 16;
/// A transmit ring that is full and whose backend completed nothing for so long is stuck:
/// frames for it are dropped instead of holding up everything else.
const STUCK: u64 = 100_000_000;
/// Most pages that a vif gets: a full receive ring, and as much on its way out.
const PAGES_PER_VIF: usize = 512;
/// What a backend needs to take every large frame as it is.
const EVERY_LARGE: Features = Features::SG
    .union(Features::GSO_TCPV4)
    .union(Features::GSO_TCPV6)
    .union(Features::CSUM_IPV4)
    .union(Features::CSUM_IPV6);
/// Pages a vif must have to be given large TCP frames (GSO): a quarter of them, what it never
/// lends, then holds one such frame and more, without which its backend delivers nothing.
const PAGES_FOR_LARGE: usize = 128;
/// Pages for packets that the router makes itself, for each vif: as many as one that completes
/// nothing can hold on to, so that it silences no other.
const LOCAL_PAGES_PER_VIF: usize = 32;

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

/// A vif that packets flow through, or will once its backend is connected.
struct Link<H: Hal> {
    queue: Queue<H>,
    /// Index of its backend's pool.
    pool: usize,
    interface: InterfaceId,
    fault: Signal<PeerFault>,
    /// The backend is connected.
    up: bool,
    /// Slots of a transmit ring that the largest frame it receives needs.
    slots: usize,
    /// When the backend last completed a burst, or had nothing to do.
    progress: u64,
    /// Slots that it completed since then.
    completed: usize,
    /// Frames of the router's own on the ring since the backend last completed something.
    unanswered: usize,
    /// Its backend takes every large frame as it is, and none leaves with a tag.
    takes_large: bool,
    /// A large frame that it doesn't take, of which segments wait for room.
    cutting: Option<Cutting>,
}

impl<H: Hal> Link<H> {
    fn is_stuck(&self, now: u64) -> bool {
        self.queue.tx_free() < BURST && now.saturating_sub(self.progress) > STUCK
    }
}

/// What the loop did since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// Turns of the loop.
    pub turns: u64,
    /// Times it slept.
    pub sleeps: u64,
    /// Of these, to let frames gather, with a limit.
    pub gatherings: u64,
    /// Sleeps that brought no frame, 1, 2 or 3, 4 to 7, and so on; the last: 64 and more.
    pub frames_per_wake: [u64; 8],
    /// Bursts received, of one frame or more.
    pub bursts: u64,
    /// Frames received.
    pub frames: u64,
    /// Events sent to backends, each a hypercall.
    pub notifications: u64,
}

/// One burst on its way, kept here so that it isn't made anew for each.
struct Burst {
    headers: [Header; BURST],
    frames: [Frame; BURST],
    metas: [FrameMeta; BURST],
    verdicts: [Verdict; BURST],
    /// The interfaces that frames came in on, if some had tags.
    inputs: [InterfaceId; BURST],
    in_common: Verdicts,
}

impl Burst {
    /// Receives into it, as many as there are within `budget`. Apart from all else, so that all
    /// of its few values are in registers.
    #[inline(never)]
    fn receive<H: Hal>(
        &mut self,
        queue: &mut Queue<H>,
        pool: &mut PagePool<H>,
        budget: Budget,
    ) -> (usize, Result<usize, PeerFault>) {
        let mut count = 0;
        let outcome = queue.receive(pool, budget, |frame, first, info| {
            self.put(count, frame, first, info);
            count += 1;
        });
        (count.min(BURST), outcome)
    }

    /// Puts a frame into a place. There is one: a burst has no more frames.
    #[inline(always)]
    fn put(&mut self, at: usize, frame: Frame, first: FirstBytes<'_>, info: FrameInfo) {
        if at < BURST {
            first.copy_to(&mut self.headers[at].0);
            self.frames[at] = frame;
            self.metas[at] = meta_of(info);
        }
    }
}

/// The router and the vifs it has.
pub struct Plane<H: Hal> {
    /// What decides about each packet.
    pub router: Router,
    hal: H,
    /// Where the frames of each interface leave: the index of the vif, and their tags.
    ports: Vec<(InterfaceId, Tags)>,
    /// By interface, as many as have or had a vif.
    links: Vec<Option<Link<H>>>,
    /// A pool for each backend domain; one without vifs is gone.
    pools: Vec<Option<PagePool<H>>>,
    burst: Box<Burst>,
    pages_per_vif: usize,
    /// When the router wants to be polled next; at once if it is due.
    poll_at: Option<u64>,
    /// How to sleep.
    pace: Pace,
    /// When it last armed, there was no room for what comes.
    blocked: bool,
    /// When to wake so that frames that gather don't wait too long.
    wake_at: Option<u64>,
    /// What happened since a sleep was last planned, but for the frames.
    slept: bool,
    /// Frames received and processor time used, in ns, when a sleep was last planned.
    planned: (u64, u64),
    /// Frames received when it last slept.
    frames_before: u64,
    work: Work,
}

impl<H: Hal> Plane<H> {
    /// A data plane without vifs for a router, on a machine with so many `free` pages. `now` is
    /// in ns, here and elsewhere.
    pub fn new(hal: H, router: Router, now: u64, free: usize) -> Self {
        let vifs = router.config().vifs().max(1);
        // A quarter of the memory stays for the heap (neighbours, routes, xenstore), and two
        // ring pages are needed for each vif.
        let pages = free * 3 / 4 / vifs;
        let pages = pages.saturating_sub(LOCAL_PAGES_PER_VIF + 2);
        let interfaces = (0..)
            .map(InterfaceId)
            .take(router.config().interfaces.len());
        Self {
            ports: interfaces.map(|interface| router.port(interface)).collect(),
            router,
            hal,
            links: Vec::new(),
            pools: Vec::new(),
            burst: Box::new(Burst {
                headers: [Header::default(); BURST],
                frames: core::array::from_fn(|_| Frame::default()),
                metas: [FrameMeta::default(); BURST],
                verdicts: [Verdict::Drop; BURST],
                inputs: [InterfaceId(0); BURST],
                in_common: Verdicts::Mixed,
            }),
            pages_per_vif: pages.clamp(32, PAGES_PER_VIF),
            poll_at: Some(now),
            pace: Pace::new(),
            blocked: false,
            wake_at: None,
            slept: false,
            planned: (0, 0),
            frames_before: 0,
            work: Work::default(),
        }
    }

    /// Makes rings and pages for a vif. Packets flow after [`Plane::link_up`].
    ///
    /// # Errors
    /// [`AttachError`]; nothing is left behind.
    pub fn attach(
        &mut self,
        now: u64,
        interface: InterfaceId,
        backend: DomId,
        features: Features,
        fault: Signal<PeerFault>,
    ) -> Result<QueueInfo, AttachError> {
        let index = interface.index();
        if self.links.len() <= index {
            self.links.resize_with(index + 1, || None);
        }
        if self.links[index].is_some() {
            return Err(AttachError::Taken);
        }
        let at = self.pool_for(backend)?;
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
        self.links[index] = Some(Link {
            queue,
            pool: at,
            interface,
            fault,
            up: false,
            slots: if large { MAX_TX_SLOTS } else { 1 },
            progress: now,
            completed: 0,
            unanswered: 0,
            takes_large: features.contains(EVERY_LARGE) && !any_tags,
            cutting: None,
        });
        Ok(info)
    }

    /// Whether vifs have the pages for large TCP frames.
    pub fn takes_large(&self) -> bool {
        self.pages_per_vif >= PAGES_FOR_LARGE
    }

    /// The backend of a vif is connected.
    pub fn link_up(&mut self, now: u64, interface: InterfaceId, mac: [u8; 6], mtu: u16) {
        if let Some(Some(link)) = self.links.get_mut(interface.index()) {
            link.up = true;
            link.slots = link
                .slots
                .max((usize::from(mtu) + LONGEST_HEADER).div_ceil(PAGE_SIZE));
            link.progress = now;
            self.router.link_up(Instant(now), interface, mac, mtu);
            self.poll_at = Some(now);
        }
    }

    /// Nothing more flows through a vif.
    pub fn link_down(&mut self, now: u64, interface: InterfaceId) {
        if let Some(Some(link)) = self.links.get_mut(interface.index()) {
            link.up = false;
            self.router.link_down(Instant(now), interface);
            self.poll_at = Some(now);
        }
    }

    /// Gives the rings and pages of a vif back, as far as its backend let go of them.
    pub fn detach(&mut self, now: u64, interface: InterfaceId) {
        self.link_down(now, interface);
        // Pages of this vif may be among what is cut for another.
        for link in self.links.iter_mut().flatten() {
            if let Some(Cutting { cut, way, .. }) = link.cutting.take() {
                let pool = way.from;
                self.router.count_tx_full(way.out, 1, cut.left() as u64);
                if let Some(pool) = self.pools.get_mut(pool).and_then(Option::as_mut) {
                    pool.free(cut.into_frame());
                }
            }
        }
        let Some(link) = self.links.get_mut(interface.index()).and_then(take) else {
            return;
        };
        if let Some(pool) = self.pools[link.pool].as_mut() {
            link.queue.close(pool);
        }
        self.release(link.pool, home_of(interface));
    }

    /// The pool of pages granted to `backend`.
    fn pool_for(&mut self, backend: DomId) -> Result<usize, AttachError> {
        let same =
            |pool: &Option<PagePool<H>>| pool.as_ref().is_some_and(|pool| pool.peer() == backend);
        if let Some(at) = self.pools.iter().position(same) {
            return Ok(at);
        }
        let mut pool = PagePool::new(self.hal, backend);
        let vifs = self.router.config().vifs().max(1);
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
        let used = self.links.iter().flatten().any(|link| link.pool == at);
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

    /// Takes one turn. Whether there is more to do at once, as far as that is known already:
    /// [`Plane::arm`] finds out the rest.
    pub fn turn(&mut self, now: u64) -> bool {
        self.work.turns += 1;
        let mut busy = false;
        for link in self.links.iter_mut().flatten().filter(|link| link.up) {
            busy |= reap(link, &mut self.pools, now);
            if let Some(cutting) = &link.cutting {
                let way = cutting.way;
                let from = (way.from != link.pool).then_some(way.from);
                let lost = with_pools(&mut self.pools, link.pool, from, |pool, source| {
                    go_on_cutting(&mut link.queue, &mut link.cutting, pool, source, now)
                });
                if lost.frames > 0 {
                    self.router.count_tx_full(way.out, lost.frames, lost.bytes);
                }
            }
        }
        for index in 0..self.links.len() {
            busy |= self.forward(index, now);
        }
        if self.poll_at.is_some_and(|at| at <= now) {
            busy |= self.slow_path(now);
        }
        for link in self.links.iter_mut().flatten().filter(|link| link.up) {
            if let Some(pool) = self.pools[link.pool].as_mut() {
                link.queue.refill(pool);
                self.work.notifications += u64::from(link.queue.publish());
            }
        }
        busy
    }

    /// How many slots the frames of a burst may need so that any vif that works can take all of
    /// it; none if the largest frame finds no room, or one is being cut.
    fn room(&self, now: u64) -> usize {
        let (mut room, mut largest) = (None, 1);
        let up = self.links.iter().flatten().filter(|link| link.up);
        for link in up.filter(|link| !link.is_stuck(now)) {
            if link.cutting.is_some() {
                return 0;
            }
            let free = link.queue.tx_free();
            room = Some(room.map_or(free, |room: usize| room.min(free)));
            largest = link.slots.max(largest);
        }
        room.filter(|&room| room >= largest).unwrap_or(0)
    }

    /// Takes a burst from one vif through the router. Whether there may be another.
    fn forward(&mut self, index: usize, now: u64) -> bool {
        if !self.links[index]
            .as_ref()
            .is_some_and(|link| link.up && link.queue.rx_pending())
        {
            return false;
        }
        let room = self.room(now);
        // What may have to be cut is to be the last of its burst.
        let as_it_is = |link: &Link<H>| !link.up || link.takes_large;
        let any = self.links.iter().flatten().all(as_it_is);
        let Some(link) = self.links[index].as_mut() else {
            return false;
        };
        let Some(pool) = self.pools[link.pool].as_mut() else {
            return false;
        };
        if room == 0 {
            // What isn't read stays with the backend, where dropping it costs least.
            return false;
        }
        let errors = link.queue.counters().rx_errors;
        let budget = Budget {
            frames: BURST,
            slots: room,
            large: if any { usize::MAX } else { 1 },
        };
        let (count, received) = self.burst.receive(&mut link.queue, pool, budget);
        let input = link.interface;
        let errors = link.queue.counters().rx_errors - errors;
        if errors > 0 {
            self.router.count_drop(input, DropReason::RxError, errors);
        }
        if let Err(fault) = received {
            link.up = false;
            link.fault.raise(fault);
        }
        if count == 0 {
            return false;
        }
        self.work.bursts += 1;
        self.work.frames += count as u64;
        let Burst {
            headers,
            metas,
            verdicts,
            in_common,
            ..
        } = &mut *self.burst;
        *in_common = self.router.process(
            Instant(now),
            input,
            &mut headers[..count],
            &metas[..count],
            &mut verdicts[..count],
        );
        if *in_common == Verdicts::Tagged {
            self.untag(index, count, now);
        }
        self.dispatch(index, count, now);
        count == room
    }

    /// Takes the tags off frames of the burst of `count` that came from vif `index`, and lets the
    /// router decide about them as frames of the interfaces that they are for.
    #[cold]
    fn untag(&mut self, index: usize, count: usize, now: u64) {
        let pool = self.links[index].as_ref().map(|link| link.pool);
        let pool = pool.and_then(|pool| self.pools[pool].as_mut());
        let Some(pool) = pool else { return };
        let Burst {
            frames,
            headers,
            metas,
            verdicts,
            inputs,
            ..
        } = &mut *self.burst;
        inputs.fill(InterfaceId(index as u8));
        let mut start = 0;
        while let Some(&verdict) = verdicts[..count].get(start) {
            let len = train(&verdicts[start..count]);
            let run = start..start + len;
            start += len;
            let Verdict::Tagged(interface) = verdict else {
                continue;
            };
            for at in run.clone() {
                let (frame, header) = (&mut frames[at], &mut headers[at]);
                // The header's bytes are not read again, only those behind it.
                let mut next = [0; MAX_TAGS * TAG_LEN];
                pool.copy_out(frame, HEADER_LEN, &mut next);
                let tags = header.tags_len();
                header.untag(next);
                // More follows the tags: the router has seen an EtherType.
                pool.trim_front(frame, tags);
                pool.copy_in(frame, 0, &header.0[..ETHERNET_LEN]);
                metas[at].len -= tags as u32;
            }
            inputs[run.clone()].fill(interface);
            self.router.process(
                Instant(now),
                interface,
                &mut headers[run.clone()],
                &metas[run.clone()],
                &mut verdicts[run],
            );
        }
    }

    /// Does what the router decided with the burst of `count` frames that came from vif `index`,
    /// in runs of the same verdict: frames of one flow come in trains.
    fn dispatch(&mut self, index: usize, count: usize, now: u64) {
        let Some(from) = self.links[index].as_ref().map(|link| link.pool) else {
            return;
        };
        let Burst {
            headers,
            frames,
            metas,
            verdicts,
            inputs,
            in_common,
        } = &mut *self.burst;
        let vif = InterfaceId(index as u8);
        let mut rest = &verdicts[..count];
        let mut start = 0;
        while let Some(&verdict) = rest.first() {
            let len = match in_common {
                Verdicts::AllTo(_) => count,
                _ => train(rest),
            };
            let run = start..start + len;
            let frames = &mut frames[run.clone()];
            match verdict {
                Verdict::Forward(out) => {
                    let &(to, tags) = self.ports.get(out.index()).unwrap_or(&(out, Tags::NONE));
                    let link = self.links.get_mut(to.index()).and_then(Option::as_mut);
                    let lost = forward_run(
                        link.filter(|link| link.up),
                        &mut self.pools,
                        &Way {
                            from,
                            out,
                            tags,
                            now,
                        },
                        home_of(vif),
                        &headers[run],
                        frames,
                    );
                    if lost.frames > 0 {
                        self.router.count_tx_full(out, lost.frames, lost.bytes);
                    }
                }
                Verdict::Punt | Verdict::Drop | Verdict::Tagged(_) => {
                    let Some(pool) = self.pools[from].as_mut() else {
                        return;
                    };
                    let inputs = metas[run.clone()].iter().zip(&inputs[run]);
                    for (frame, (meta, input)) in frames.iter_mut().zip(inputs) {
                        if verdict == Verdict::Punt {
                            self.poll_at = Some(now);
                            let tagged = *in_common == Verdicts::Tagged;
                            let input = if tagged { *input } else { vif };
                            punt(&mut self.router, Instant(now), input, *meta, pool, frame);
                        }
                        pool.free(take(frame));
                    }
                }
            }
            rest = rest.get(len..).unwrap_or(&[]);
            start += len;
        }
    }

    /// Lets the router do what waits. Whether more does.
    fn slow_path(&mut self, now: u64) -> bool {
        let mut out = Outgoing {
            ports: &self.ports,
            links: &mut self.links,
            pools: &mut self.pools,
        };
        let poll = self.router.poll(Instant(now), SLOW_BUDGET, &mut out);
        for notice in self.router.take_notices() {
            log::warn!(target: "net", "{notice}");
        }
        self.poll_at = if poll.more {
            Some(now)
        } else {
            poll.next.map(|at| at.0)
        };
        poll.more
    }

    /// Asks every backend for an event when enough has come. Whether it has already. `ran` is
    /// the processor time used since the start, in ns.
    pub fn arm(&mut self, now: u64, ran: u64) -> bool {
        let since = Since {
            slept: take(&mut self.slept),
            frames: u32::try_from(self.work.frames - self.planned.0).unwrap_or(u32::MAX),
            ran: ran.saturating_sub(self.planned.1),
        };
        self.planned = (self.work.frames, ran);
        let sleep = self.pace.plan(now, since);
        self.wake_at = sleep.limit.map(|limit| now + limit);
        let blocked = self.room(now) == 0;
        self.blocked = blocked;
        // Completions matter only where pages or room are short; otherwise they are found in
        // passing. One alone would be no reason to wake. Pages missing on one ring may be on
        // any other.
        let few = BURST.min(self.pages_per_vif / 4);
        let up = self.links.iter().flatten().filter(|link| link.up);
        let short = blocked || up.into_iter().any(|link| link.queue.rx_posted() < few);
        let mut busy = false;
        for link in self.links.iter_mut().flatten().filter(|link| link.up) {
            // Without room for what comes, only a completion is news.
            let wake = Wake {
                rx: (!blocked).then_some(sleep.frames),
                tx: short.then_some(BURST as u32),
            };
            busy |= link.queue.arm(wake);
        }
        if !busy {
            self.count_sleep();
        }
        busy
    }

    fn count_sleep(&mut self) {
        let frames = self.work.frames - self.frames_before;
        self.frames_before = self.work.frames;
        let bits = (u64::BITS - frames.leading_zeros()) as usize;
        let last = self.work.frames_per_wake.len() - 1;
        self.work.frames_per_wake[bits.min(last)] += 1;
        self.work.sleeps += 1;
        self.work.gatherings += u64::from(self.wake_at.is_some());
        self.slept = true;
    }

    /// When the next turn is due, whatever comes. To be asked after [`Plane::arm`].
    pub fn deadline(&self, now: u64) -> Option<u64> {
        let unstuck = self.blocked.then(|| {
            let waiting = self.links.iter().flatten().filter(|link| link.up);
            waiting
                .map(|link| link.progress + STUCK + 1)
                .filter(|&at| at > now)
                .min()
        });
        let cutting = self.links.iter().flatten().filter(|link| link.up);
        let cut_off = cutting
            .filter_map(|link| link.cutting.as_ref())
            .map(|cutting| cutting.progress + STUCK + 1)
            .min();
        [self.poll_at, self.wake_at, unstuck.flatten(), cut_off]
            .into_iter()
            .flatten()
            .min()
    }

    /// Clears the events of all vifs, and lists their channels for waiting.
    pub fn take_events<const N: usize>(&self, ports: &mut Bounded<u32, N>) {
        for link in self.links.iter().flatten() {
            link.queue.take_pending();
            let mut add = |Port(port): Port| {
                // `N` is more than 16 vifs can have.
                let _ = ports.push(port);
            };
            match link.queue.info().ports {
                netfront_rs::Ports::Shared(port) => add(port),
                netfront_rs::Ports::Split { tx, rx } => {
                    add(tx);
                    add(rx);
                }
            }
        }
    }

    /// What the loop did since the start.
    pub fn work(&self) -> Work {
        self.work
    }

    /// How it sleeps.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// The vif of an interface: its backend, rings and pages.
    pub fn vif(&self, interface: InterfaceId) -> Option<VifState<'_, H>> {
        let link = self.links.get(interface.index())?.as_ref()?;
        let pool = self.pools.get(link.pool)?.as_ref()?;
        Some(VifState {
            backend: pool.peer(),
            up: link.up,
            counters: link.queue.counters(),
            queue: &link.queue,
        })
    }

    /// The accounts of all pools.
    pub fn pools(&self) -> impl Iterator<Item = (DomId, PoolStats)> + '_ {
        self.pools
            .iter()
            .flatten()
            .map(|pool| (pool.peer(), pool.stats()))
    }
}

/// One vif, as `show vifs` tells it.
pub struct VifState<'a, H: Hal> {
    /// The backend's domain.
    pub backend: DomId,
    /// Whether it is connected.
    pub up: bool,
    /// What went through its rings.
    pub counters: QueueCounters,
    /// Its rings.
    pub queue: &'a Queue<H>,
}

/// How many verdicts are like the first.
#[inline(never)]
fn train(verdicts: &[Verdict]) -> usize {
    let mut len = 0;
    match verdicts.first() {
        // The usual case by itself, where fewer comparisons do.
        Some(&Verdict::Forward(out)) => {
            while matches!(verdicts.get(len), Some(&Verdict::Forward(it)) if it == out) {
                len += 1;
            }
        }
        first => {
            while len < verdicts.len() && verdicts.get(len) == first {
                len += 1;
            }
        }
    }
    len
}

fn home_of(interface: InterfaceId) -> HomeId {
    HomeId::vif(interface.0).unwrap_or(HomeId::LOCAL)
}

fn meta_of(info: FrameInfo) -> FrameMeta {
    FrameMeta {
        len: info.len,
        gso_size: info.gso.map_or(0, |gso| gso.size),
        flags: FrameFlags::from_bits_truncate(info.checksum.bits()),
    }
}

/// Takes completed pages from a transmit ring. Whether the backend broke the protocol there.
fn reap<H: Hal>(link: &mut Link<H>, pools: &mut [Option<PagePool<H>>], now: u64) -> bool {
    let Some(pool) = pools.get_mut(link.pool).and_then(Option::as_mut) else {
        return false;
    };
    match link.queue.reap(pool) {
        Ok(count) => {
            link.completed += count;
            if count > 0 {
                link.unanswered = 0;
            }
            // A trickle is no progress: a vif with a rate limit holds up nobody else.
            if link.completed >= BURST || link.queue.tx_in_flight() == 0 {
                link.completed = 0;
                link.unanswered = 0;
                link.progress = now;
            }
            false
        }
        Err(fault) => {
            // The control plane does the rest.
            link.up = false;
            link.fault.raise(fault);
            true
        }
    }
}
