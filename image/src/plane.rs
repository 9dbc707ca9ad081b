//! The data plane: bursts from each vif through the router to the others.
//!
//! One turn takes up to a burst from every vif, and everything that a turn put on rings is
//! published at its end, with at most one event a ring. Nothing here allocates; frames move
//! between vifs of one backend uncopied, unless a backend can't take them as they are.

mod send;

use alloc::boxed::Box;
use alloc::vec::Vec;

use heapless::Vec as Bounded;
use kernel::XenHal;
use netfront_rs::pace::{Pace, Since};
use netfront_rs::pool::PoolStats;
use netfront_rs::queue::Counters as QueueCounters;
use netfront_rs::{
    Budget, Features, Frame, FrameInfo, HomeId, MAX_TX_SLOTS, PagePool, PeerFault, PoolError,
    Queue, QueueError, QueueInfo, Wake,
};
use router::vlan::{MAX_TAGS, TAG_LEN, Tags};
use router::{
    BURST, DropReason, ETHERNET_LEN, Egress, FrameFlags, FrameMeta, HEADER_LEN, Header, Instant,
    InterfaceId, MAX_VIFS, NoRoom, REWRITTEN, Router, Verdict,
};
use xen_hal::{DomId, PAGE_SIZE, Port};
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
pub(crate) enum AttachError {
    /// Its packet pages.
    Pool(PoolError),
    /// Its rings.
    Queue(QueueError),
    /// Another vif is this interface already.
    Taken,
    /// Backends still map a quarter of the memory from connections that ended.
    Quarantine,
}

impl core::fmt::Display for AttachError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            AttachError::Pool(error) => error.fmt(f),
            AttachError::Queue(error) => error.fmt(f),
            AttachError::Quarantine => f.write_str("backends still map too many old pages"),
            AttachError::Taken => f.write_str("another vif is this interface already"),
        }
    }
}

/// A vif that packets flow through, or will once its backend is connected.
struct Link {
    queue: Queue<XenHal>,
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

impl Link {
    fn is_stuck(&self, now: u64) -> bool {
        self.queue.tx_free() < BURST && now.saturating_sub(self.progress) > STUCK
    }
}

/// What the loop did since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Work {
    /// Turns of the loop.
    pub(crate) turns: u64,
    /// Times it slept.
    pub(crate) sleeps: u64,
    /// Of these, to let frames gather, with a limit.
    pub(crate) gatherings: u64,
    /// Sleeps that brought no frame, 1, 2 or 3, 4 to 7, and so on; the last: 64 and more.
    pub(crate) frames_per_wake: [u64; 8],
    /// Bursts received, of one frame or more.
    pub(crate) bursts: u64,
    /// Frames received.
    pub(crate) frames: u64,
    /// Events sent to backends, each a hypercall.
    pub(crate) notifications: u64,
}

/// One burst on its way, kept here so that it isn't made anew for each.
struct Burst {
    frames: Bounded<Frame, BURST>,
    headers: [Header; BURST],
    metas: [FrameMeta; BURST],
    verdicts: [Verdict; BURST],
    /// The interfaces that frames came in on, if some had tags.
    inputs: [InterfaceId; BURST],
    tagged: bool,
}

/// The router and the vifs it has.
pub(crate) struct Plane {
    /// What decides about each packet.
    pub(crate) router: Router,
    /// Where the frames of each interface leave: the index of the vif, and their tags.
    ports: Vec<(InterfaceId, Tags)>,
    links: [Option<Link>; MAX_VIFS],
    /// A pool for each backend domain; one without vifs is gone.
    pools: Vec<Option<PagePool<XenHal>>>,
    burst: Box<Burst>,
    pages_per_vif: usize,
    /// When the router wants to be polled next; at once if it is due.
    poll_at: Option<u64>,
    /// How to sleep.
    pace: Pace,
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

impl Plane {
    /// A data plane without vifs for a router.
    pub(crate) fn new(router: Router, now: u64) -> Self {
        let vifs = router.config().vifs().max(1);
        // A quarter of the memory stays for the heap (neighbours, routes, xenstore), and two
        // ring pages are needed for each vif.
        let pages = kernel::memory::stats().free * 3 / 4 / vifs;
        let pages = pages.saturating_sub(LOCAL_PAGES_PER_VIF + 2);
        let interfaces = (0..)
            .map(InterfaceId)
            .take(router.config().interfaces.len());
        Self {
            ports: interfaces.map(|interface| router.port(interface)).collect(),
            router,
            links: [const { None }; MAX_VIFS],
            pools: Vec::new(),
            burst: Box::new(Burst {
                frames: Bounded::new(),
                headers: [Header::default(); BURST],
                metas: [FrameMeta::default(); BURST],
                verdicts: [Verdict::Drop; BURST],
                inputs: [InterfaceId(0); BURST],
                tagged: false,
            }),
            pages_per_vif: pages.clamp(32, PAGES_PER_VIF),
            poll_at: Some(now),
            pace: Pace::new(),
            wake_at: None,
            slept: false,
            planned: (0, 0),
            frames_before: 0,
            work: Work::default(),
        }
    }

    /// Makes rings and pages for a vif. Packets flow after [`Plane::link_up`].
    pub(crate) fn attach(
        &mut self,
        interface: InterfaceId,
        backend: DomId,
        features: Features,
        fault: Signal<PeerFault>,
    ) -> Result<QueueInfo, AttachError> {
        if self.links[interface.index()].is_some() {
            return Err(AttachError::Taken);
        }
        // A backend that never lets go must not use up the memory by reconnecting.
        if kernel::grant::quarantined() > kernel::memory::stats().total / 4 {
            return Err(AttachError::Quarantine);
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
        let progress = kernel::time::now();
        let large = self.takes_large();
        let tags = |&(vif, tags): &(InterfaceId, Tags)| vif == interface && !tags.is_empty();
        let any_tags = self.ports.iter().any(tags);
        self.links[interface.index()] = Some(Link {
            queue,
            pool: at,
            interface,
            fault,
            up: false,
            slots: if large { MAX_TX_SLOTS } else { 1 },
            progress,
            completed: 0,
            unanswered: 0,
            takes_large: features.contains(EVERY_LARGE) && !any_tags,
            cutting: None,
        });
        Ok(info)
    }

    /// Whether vifs have the pages for large TCP frames.
    pub(crate) fn takes_large(&self) -> bool {
        self.pages_per_vif >= PAGES_FOR_LARGE
    }

    /// The backend of a vif is connected.
    pub(crate) fn link_up(&mut self, interface: InterfaceId, mac: [u8; 6], mtu: u16) {
        let now = kernel::time::now();
        if let Some(link) = self.links[interface.index()].as_mut() {
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
    pub(crate) fn link_down(&mut self, interface: InterfaceId) {
        let now = kernel::time::now();
        if let Some(link) = self.links[interface.index()].as_mut() {
            link.up = false;
            self.router.link_down(Instant(now), interface);
            self.poll_at = Some(now);
        }
    }

    /// Gives the rings and pages of a vif back, as far as its backend let go of them.
    pub(crate) fn detach(&mut self, interface: InterfaceId) {
        self.link_down(interface);
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
        let Some(link) = self.links[interface.index()].take() else {
            return;
        };
        if let Some(pool) = self.pools[link.pool].as_mut() {
            link.queue.close(pool);
        }
        self.release(link.pool, home_of(interface));
    }

    /// The pool of pages granted to `backend`.
    fn pool_for(&mut self, backend: DomId) -> Result<usize, AttachError> {
        let same = |pool: &Option<PagePool<XenHal>>| {
            pool.as_ref().is_some_and(|pool| pool.peer() == backend)
        };
        if let Some(at) = self.pools.iter().position(same) {
            return Ok(at);
        }
        let mut pool = PagePool::new(XenHal, backend);
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
    pub(crate) fn turn(&mut self, now: u64) -> bool {
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
        for index in 0..MAX_VIFS {
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
        let working = || {
            let up = self.links.iter().flatten().filter(|link| link.up);
            up.filter(|link| !link.is_stuck(now))
        };
        if working().any(|link| link.cutting.is_some()) {
            return 0;
        }
        let free = working().map(|link| link.queue.tx_free()).min();
        let slots = working().map(|link| link.slots).max();
        free.filter(|&free| free >= slots.unwrap_or(1)).unwrap_or(0)
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
        let as_it_is = |link: &Link| !link.up || link.takes_large;
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
        let Burst {
            frames,
            headers,
            metas,
            verdicts,
            tagged,
            ..
        } = &mut *self.burst;
        let errors = link.queue.counters().rx_errors;
        let budget = Budget {
            frames: BURST,
            slots: room,
            large: if any { usize::MAX } else { 1 },
        };
        let received = link.queue.receive(pool, budget, |frame, header, info| {
            let at = frames.len();
            if let (Some(to), Some(meta)) = (headers.get_mut(at), metas.get_mut(at)) {
                to.0 = *header;
                *meta = meta_of(info);
            }
            // There is room: a burst has no more frames than this.
            let _ = frames.push(frame);
        });
        let input = link.interface;
        let errors = link.queue.counters().rx_errors - errors;
        if errors > 0 {
            self.router.count_drop(input, DropReason::RxError, errors);
        }
        if let Err(fault) = received {
            link.up = false;
            link.fault.raise(fault);
        }
        let count = frames.len();
        if count == 0 {
            return false;
        }
        self.work.bursts += 1;
        self.work.frames += count as u64;
        *tagged = self.router.process(
            Instant(now),
            input,
            &mut headers[..count],
            &metas[..count],
            &mut verdicts[..count],
        );
        if *tagged {
            self.untag(index, now);
        }
        self.dispatch(index, now);
        count == room
    }

    /// Takes the tags off frames of the burst that came from vif `index`, and lets the router
    /// decide about them as frames of the interfaces that they are for.
    #[cold]
    fn untag(&mut self, index: usize, now: u64) {
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
        while let Some(&verdict) = verdicts[..frames.len()].get(start) {
            let same = verdicts[start..frames.len()].iter();
            let len = same.take_while(|&&other| other == verdict).count();
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

    /// Does what the router decided with the burst that came from vif `index`, in runs of the
    /// same verdict: frames of one flow come in trains.
    fn dispatch(&mut self, index: usize, now: u64) {
        let Some(from) = self.links[index].as_ref().map(|link| link.pool) else {
            return;
        };
        let Burst {
            frames,
            headers,
            metas,
            verdicts,
            inputs,
            tagged,
        } = &mut *self.burst;
        let vif = InterfaceId(index as u8);
        let mut taken = frames.drain(..);
        let mut rest = &verdicts[..taken.len()];
        let mut start = 0;
        while let Some(&verdict) = rest.first() {
            let len = rest.iter().take_while(|&&other| other == verdict).count();
            let run = start..start + len;
            let frames = taken.by_ref().take(len);
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
                    for (frame, (meta, input)) in
                        frames.zip(metas[run.clone()].iter().zip(&inputs[run]))
                    {
                        if verdict == Verdict::Punt {
                            self.poll_at = Some(now);
                            let input = if *tagged { *input } else { vif };
                            punt(&mut self.router, Instant(now), input, *meta, pool, &frame);
                        }
                        pool.free(frame);
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

    /// Asks every backend for an event when enough has come. Whether it has already.
    pub(crate) fn arm(&mut self, now: u64) -> bool {
        let ran = kernel::sched::run_state().running;
        let since = Since {
            slept: core::mem::take(&mut self.slept),
            frames: u32::try_from(self.work.frames - self.planned.0).unwrap_or(u32::MAX),
            ran: ran.saturating_sub(self.planned.1),
        };
        self.planned = (self.work.frames, ran);
        let sleep = self.pace.plan(now, since);
        self.wake_at = sleep.limit.map(|limit| now + limit);
        let blocked = self.room(now) == 0;
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

    /// When the next turn is due, whatever comes.
    pub(crate) fn deadline(&self, now: u64) -> Option<u64> {
        let unstuck = (self.room(now) == 0).then(|| {
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
    pub(crate) fn take_events<const N: usize>(&self, ports: &mut Bounded<u32, N>) {
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
    pub(crate) fn work(&self) -> Work {
        self.work
    }

    /// How it sleeps.
    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// The vif of an interface: its backend, rings and pages.
    pub(crate) fn vif(&self, interface: InterfaceId) -> Option<VifState<'_>> {
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
    pub(crate) fn pools(&self) -> impl Iterator<Item = (DomId, PoolStats)> + '_ {
        self.pools
            .iter()
            .flatten()
            .map(|pool| (pool.peer(), pool.stats()))
    }
}

/// One vif, as `show vifs` tells it.
pub(crate) struct VifState<'a> {
    /// The backend's domain.
    pub(crate) backend: DomId,
    /// Whether it is connected.
    pub(crate) up: bool,
    /// What went through its rings.
    pub(crate) counters: QueueCounters,
    /// Its rings.
    pub(crate) queue: &'a Queue<XenHal>,
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
fn reap(link: &mut Link, pools: &mut [Option<PagePool<XenHal>>], now: u64) -> bool {
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
