//! The data plane: bursts from each vif through the router to the others.
//!
//! Each CPU that forwards has a [`Plane`]: one queue of every vif, with pages of its own. Planes
//! share the router, which they only read; what changes it or them is in [`Control`].
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

mod control;
mod detour;
pub mod egress;
pub mod event_moderation;
mod send;
mod sleep;
mod vifs;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::take;

use self::event_moderation::{Pace, Since};
use heapless::Vec as Bounded;
use netfront_rs::pool::PoolStats;
use netfront_rs::queue::Counters as QueueCounters;
use netfront_rs::{
    Budget, Features, FirstBytes, Frame, FrameInfo, HomeId, MAX_TX_SLOTS, PagePool, PeerFault,
    PoolError, Queue, QueueError, QueueInfo, Wake,
};
use router::vlan::{MAX_TAGS, TAG_LEN, Tags};
use router::{
    BURST, DropReason, ETHERNET_LEN, Egress, FrameFlags, FrameMeta, HEADER_LEN, Header, Instant,
    InterfaceId, Lane, NoRoom, REWRITTEN, Router, Verdict, Verdicts,
};
use xen_hal::{DomId, Hal, PAGE_SIZE, Port};

pub use self::control::{Control, MAX_LANES};
use self::detour::Detour;
use self::send::{Cutting, Outgoing, Way, forward_run, go_on_cutting, punt, with_pools};
pub use self::vifs::AttachError;
use self::vifs::{LOCAL_PAGES_PER_VIF, PAGES_PER_VIF, home_of};

/// Punted frames, retries and packets of the router's own in one turn.
const SLOW_BUDGET: usize = 16;
/// A transmit ring that is full and whose backend completed nothing for so long is stuck:
/// frames for it are dropped instead of holding up everything else.
const STUCK: u64 = 100_000_000;

/// A vif that packets flow through, or will once its backend is connected.
struct Link<H: Hal> {
    queue: Queue<H>,
    /// Index of its backend's pool.
    pool: usize,
    interface: InterfaceId,
    /// How the backend broke the protocol, until the control plane is told.
    fault: Option<PeerFault>,
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
    /// of its few values are in registers, and by itself for a backend that sends hashes.
    #[inline(never)]
    fn receive<H: Hal, const HASHED: bool>(
        &mut self,
        queue: &mut Queue<H>,
        pool: &mut PagePool<H>,
        budget: Budget,
    ) -> (usize, Result<usize, PeerFault>) {
        let mut count = 0;
        let sink = |frame: Frame, first: FirstBytes<'_>, info: FrameInfo| {
            self.put(count, frame, first, info);
            count += 1;
        };
        let outcome = if HASHED {
            queue.receive_hashed(pool, budget, sink)
        } else {
            queue.receive(pool, budget, sink)
        };
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

/// What one CPU forwards with: a queue of each vif.
pub struct Plane<H: Hal> {
    hal: H,
    /// What it counts, and what it leaves to the slow path.
    lane: Lane,
    /// Where the frames of each interface leave: the index of the vif, and their tags.
    ports: Vec<(InterfaceId, Tags)>,
    /// By interface, as many as have or had a vif.
    links: Vec<Option<Link<H>>>,
    /// A pool for each backend domain; one without vifs is gone.
    pools: Vec<Option<PagePool<H>>>,
    burst: Box<Burst>,
    /// Frames for vifs that have no queue here.
    detour: Box<Detour>,
    pages_per_vif: usize,
    /// When the router wants to be polled next, of the plane that does so; at once if it is due.
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
    /// One of `lanes` planes for a router, without vifs, on a machine with so many `free` pages.
    pub fn new(hal: H, router: &Router, free: usize, lanes: usize) -> Self {
        let queues = router.config().vifs().max(1) * lanes.max(1);
        // A quarter of the memory stays for the heap (neighbours, routes, xenstore), and two
        // ring pages are needed for each queue.
        let pages = free * 3 / 4 / queues;
        let pages = pages.saturating_sub(LOCAL_PAGES_PER_VIF + 2);
        let interfaces = (0..)
            .map(InterfaceId)
            .take(router.config().interfaces.len());
        Self {
            ports: interfaces.map(|interface| router.port(interface)).collect(),
            hal,
            lane: router.new_lane(),
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
            detour: Box::default(),
            pages_per_vif: pages.clamp(32, PAGES_PER_VIF),
            poll_at: None,
            pace: Pace::new(),
            blocked: false,
            wake_at: None,
            slept: false,
            planned: (0, 0),
            frames_before: 0,
            work: Work::default(),
        }
    }

    /// Takes one turn. `now` is in ns, here and elsewhere. Whether there is more to do at once, as far as that is known already:
    /// [`Plane::arm`] finds out the rest.
    pub fn turn(&mut self, router: &Router, now: u64) -> bool {
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
                    self.lane.count_tx_full(way.out, lost.frames, lost.bytes);
                }
            }
        }
        for index in 0..self.links.len() {
            busy |= self.forward(router, index, now);
        }
        self.publish();
        busy
    }

    /// Shows the backends what was put on rings, and gives them pages.
    fn publish(&mut self) {
        for link in self.links.iter_mut().flatten().filter(|link| link.up) {
            if let Some(pool) = self.pools[link.pool].as_mut() {
                link.queue.refill(pool);
                self.work.notifications += u64::from(link.queue.publish());
            }
        }
    }

    /// Whether there is something for [`Control::serve`] to do.
    pub fn needs_control(&self, now: u64) -> bool {
        let faults = || self.links.iter().flatten().any(|link| link.fault.is_some());
        self.lane.has_punts() || self.poll_at.is_some_and(|at| at <= now) || faults()
    }

    /// How many slots the frames of a burst may need so that any vif that works can take all of
    /// it; none if the largest frame finds no room, one is being cut, or some wait for another plane.
    fn room(&self, now: u64) -> usize {
        if self.has_detour() {
            return 0;
        }
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
    fn forward(&mut self, router: &Router, index: usize, now: u64) -> bool {
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
        let receive = if link.queue.sends_hashes() {
            Burst::receive::<H, true>
        } else {
            Burst::receive::<H, false>
        };
        let (count, received) = receive(&mut self.burst, &mut link.queue, pool, budget);
        let input = link.interface;
        let errors = link.queue.counters().rx_errors - errors;
        if errors > 0 {
            self.lane.count_drop(input, DropReason::RxError, errors);
        }
        if let Err(fault) = received {
            link.up = false;
            link.fault = Some(fault);
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
        *in_common = self.lane.process(
            router,
            Instant(now),
            input,
            &mut headers[..count],
            &metas[..count],
            &mut verdicts[..count],
        );
        if *in_common == Verdicts::Tagged {
            self.untag(router, index, count, now);
        }
        self.dispatch(router, index, count, now);
        count == room
    }

    /// Takes the tags off frames of the burst of `count` that came from vif `index`, and lets the
    /// router decide about them as frames of the interfaces that they are for.
    #[cold]
    fn untag(&mut self, router: &Router, index: usize, count: usize, now: u64) {
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
            self.lane.process(
                router,
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
    fn dispatch(&mut self, router: &Router, index: usize, count: usize, now: u64) {
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
                Verdict::Forward(out)
                    if is_elsewhere(&self.ports, &self.links, out) && router.is_up(out) =>
                {
                    let Some(pool) = self.pools[from].as_mut() else {
                        return;
                    };
                    for (frame, header) in frames.iter_mut().zip(&headers[run]) {
                        let mut frame = take(frame);
                        pool.write_header(&mut frame, &header.0, REWRITTEN);
                        if let Err(frame) = self.detour.push(from, out, frame) {
                            self.lane.count_tx_full(out, 1, frame.len() as u64);
                            pool.free(frame);
                        }
                    }
                }
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
                        self.lane.count_tx_full(out, lost.frames, lost.bytes);
                    }
                }
                Verdict::Punt | Verdict::Drop | Verdict::Tagged(_) => {
                    let Some(pool) = self.pools[from].as_mut() else {
                        return;
                    };
                    let inputs = metas[run.clone()].iter().zip(&inputs[run]);
                    for (frame, (meta, input)) in frames.iter_mut().zip(inputs) {
                        if verdict == Verdict::Punt {
                            let tagged = *in_common == Verdicts::Tagged;
                            let input = if tagged { *input } else { vif };
                            punt(&mut self.lane, router, input, *meta, pool, frame);
                        }
                        pool.free(take(frame));
                    }
                }
            }
            rest = rest.get(len..).unwrap_or(&[]);
            start += len;
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

/// Whether the vif of an interface has no queue here: its backend has fewer than others.
fn is_elsewhere<H: Hal>(
    ports: &[(InterfaceId, Tags)],
    links: &[Option<Link<H>>],
    out: InterfaceId,
) -> bool {
    let vif = ports.get(out.index()).map_or(out, |&(vif, _)| vif);
    links.get(vif.index()).is_none_or(Option::is_none)
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
            link.fault = Some(fault);
            true
        }
    }
}
