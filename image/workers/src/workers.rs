//! The forwarding CPUs: the first one, which also runs the control plane, and the others, which
//! only serve their queues.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use data_plane::{Control, Lanes, MAX_WORKERS, Worker};
use heapless::Vec as Bounded;
use kernel::{XenHal, event, fault, run_state, smp, sync};
use lane_lock::LaneLock;
use router::{Router, View};
use spin::{Mutex, Once};
use xen_hal::Port;

use crate::loop_clock::LoopClock;

/// The channels of all vifs, three for each of 16, those of xenstore, console and other CPUs,
/// rounded up.
pub const MAX_PORTS: usize = 64;

// Each CPU is a worker with a lane of its own.
const _: () = assert!(smp::MAX_CPUS == MAX_WORKERS && MAX_WORKERS == lane_lock::MAX_LANES);

/// What a CPU forwards with.
struct Lane {
    worker: Worker<XenHal>,
    /// The router's tables.
    view: View,
}

/// The workers, one for each CPU, and the router.
pub struct Workers {
    lanes: LaneLock<Lane, sync::Yield>,
    /// The first CPU's alone: the others have tables that it publishes.
    router: Mutex<Router>,
    /// CPUs whose vifs have faults, a bit for each.
    faulty: AtomicU8,
    /// The event channels that wake each CPU, if there are several.
    wakers: Bounded<Port, MAX_WORKERS>,
    /// `true` if a CPU needs the control plane.
    attention: AtomicBool,
    /// The requested crash of each CPU, as a number of [`Crash`]; 0 for none.
    crashes: [AtomicU8; MAX_WORKERS],
}

/// A kind of crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// A panic.
    Panic = 1,
    /// An access to unmapped memory.
    Fault,
    /// A stack overflow.
    Stack,
}

impl Crash {
    const ALL: [Self; 3] = [Self::Panic, Self::Fault, Self::Stack];

    fn now(self) -> ! {
        match self {
            Self::Panic => panic!("asked to by the command \"crash\""),
            Self::Fault => fault::provoke_page_fault(),
            Self::Stack => fault::provoke_stack_overflow(),
        }
    }
}

static WORKERS: Once<&'static Workers> = Once::new();

impl Workers {
    /// Creates a worker for each CPU that can be woken, using the free memory, and starts those
    /// CPUs.
    pub fn start(mut router: Router, now: u64) -> &'static Self {
        let wakers = wakers();
        let count = wakers.len().max(1);
        let free = kernel::memory::stats().free.min(kernel::grant::free());
        let make = |at| Lane {
            worker: Worker::new(XenHal::of(at), &mut router, free, count),
            view: router.new_view(),
        };
        let lanes = (0..count).map(make).collect::<Vec<_>>();
        let workers: &'static Self = Box::leak(Box::new(Self {
            lanes: LaneLock::new(lanes),
            router: Mutex::new(router),
            faulty: AtomicU8::new(0),
            wakers,
            attention: AtomicBool::new(false),
            crashes: [const { AtomicU8::new(0) }; MAX_WORKERS],
        }));
        WORKERS.call_once(|| workers);
        workers.control(|control| control.poll(now));
        for at in 1..count {
            if let Err(error) = smp::start(at, forward) {
                // A lane without a CPU would leave its queues unread.
                fault::die(format_args!("vCPU {at} doesn't start: {error}"));
            }
        }
        workers
    }

    /// Returns the number of workers.
    pub fn count(&self) -> usize {
        self.lanes.len()
    }

    /// Calls `f` with the router, while others forward. For the first CPU alone.
    pub fn router<T>(&self, f: impl FnOnce(&Router) -> T) -> T {
        f(&self.router.lock())
    }

    /// Calls `f` with the lane of CPU `at`.
    fn with<T>(&self, at: usize, f: impl FnOnce(&mut Lane) -> T) -> T {
        let Some(mut lane) = self.lanes.enter(at) else {
            unreachable!("there are as many lanes as CPUs were started");
        };
        f(&mut lane)
    }

    /// Calls `f` with what changes the router and the workers, while these forward. For the first CPU
    /// alone.
    pub fn control<T>(&self, f: impl FnOnce(&mut Control<'_, XenHal>) -> T) -> T {
        f(&mut Control::new(&mut self.router.lock(), self))
    }

    /// Returns `true` if a CPU has requested the control plane since the last call.
    pub fn take_attention(&self) -> bool {
        self.has_attention() && self.attention.swap(false, Ordering::Acquire)
    }

    /// Returns `true` if a CPU has requested the control plane, without clearing the request.
    pub fn has_attention(&self) -> bool {
        self.attention.load(Ordering::Acquire)
    }

    /// Requests the control plane.
    pub fn call_attention(&self) {
        if !self.attention.swap(true, Ordering::AcqRel)
            && let Some(&first) = self.wakers.first()
        {
            event::notify(first);
        }
    }

    /// Makes all other CPUs check their vifs.
    pub fn wake(&self) {
        for &port in self.wakers.iter().skip(1) {
            event::notify(port);
        }
    }

    /// Makes CPU `at` crash. Returns `false` if there is no such CPU.
    pub fn crash(&self, at: usize, how: Crash) -> bool {
        match self.crashes.get(..self.count()).and_then(|all| all.get(at)) {
            Some(_) if at == 0 => how.now(),
            Some(crash) => {
                crash.store(how as u8, Ordering::Relaxed);
                self.wake();
                true
            }
            None => false,
        }
    }

    /// Crashes if that was requested of CPU `at`.
    fn crash_if_asked(&self, at: usize) {
        let wanted = self.crashes.get(at);
        let wanted = wanted.map_or(0, |crash| crash.load(Ordering::Relaxed));
        if let Some(how) = Crash::ALL.iter().find(|&&how| how as u8 == wanted) {
            how.now();
        }
    }

    /// Runs a turn of CPU `at`. Returns two flags: there is more to do immediately, and the control
    /// plane is needed.
    pub fn turn(&self, at: usize, now: u64) -> (bool, bool) {
        let (mut busy, mut wanted, handoff) = self.with(at, |Lane { worker, view }| {
            let Some(tables) = view.tables() else {
                // Newer ones are there in a moment.
                return (true, false, false);
            };
            let busy = worker.turn(tables, now);
            let wanted = worker.needs_service(now) | self.note_faults(at, worker);
            (busy, wanted, worker.has_handoff())
        });
        if handoff {
            let (rid, broken) = self.hand_over(at, now);
            busy |= rid;
            wanted |= broken;
        }
        (busy, wanted)
    }

    /// Records that a worker has faults, if it has any. Returns `true` then.
    fn note_faults(&self, at: usize, worker: &Worker<XenHal>) -> bool {
        let any = worker.has_fault();
        if any {
            self.faulty.fetch_or(1 << at, Ordering::AcqRel);
        }
        any
    }

    /// Hands frames of CPU `at` for vifs without a queue there to CPUs that have one: a burst each, while
    /// these are between two turns. Returns two flags: some left, and vifs have faults.
    #[cold]
    fn hand_over(&self, at: usize, now: u64) -> (bool, bool) {
        let (mut any, mut broken) = (false, false);
        let target = |which| self.with(at, |lane| lane.worker.handoff_target(which, at));
        let mut which = 0;
        while let Some(to) = target(which) {
            // The other one first, which has the lower number: so do all.
            if to < at {
                self.with(to, |target| {
                    any |= self.with(at, |lane| {
                        lane.worker.hand_over(which, &mut target.worker, now)
                    });
                    broken |= self.note_faults(to, &target.worker);
                });
            }
            which += 1;
        }
        (any, broken)
    }

    /// Prepares CPU `at` for a sleep: clears its events, adds their channels to those that it waits
    /// for, and requests new ones. Returns until when it may sleep, if it may.
    pub fn arm(
        &self,
        at: usize,
        clock: &mut LoopClock,
        ports: &mut Bounded<u32, MAX_PORTS>,
    ) -> Option<Option<u64>> {
        if let Some(&port) = self.wakers.get(at) {
            event::take_pending(port);
            let _ = ports.push(port.0);
        }
        let state = run_state::current();
        clock.set(state.at);
        self.with(at, |Lane { worker, view }| {
            worker.take_events(ports);
            if worker.arm(state.at, state.running) {
                return None;
            }
            view.rest();
            Some(worker.deadline())
        })
    }
}

impl Lanes<XenHal> for Workers {
    fn count(&self) -> usize {
        self.lanes.len()
    }

    fn visit(&self, at: usize, f: &mut dyn FnMut(&mut Worker<XenHal>)) {
        if at < self.lanes.len() {
            self.with(at, |lane| {
                f(&mut lane.worker);
                self.note_faults(at, &lane.worker);
            });
        }
    }

    fn take_faulty(&self) -> Bounded<usize, MAX_WORKERS> {
        let faulty = self.faulty.swap(0, Ordering::AcqRel);
        let all = 0..self.lanes.len().min(MAX_WORKERS);
        all.filter(|at| faulty >> at & 1 != 0).collect()
    }
}

/// Returns a channel to wake each CPU by, if there are several: as many as can be had.
fn wakers() -> Bounded<Port, MAX_WORKERS> {
    let mut wakers = Bounded::new();
    let count = smp::count().min(MAX_WORKERS);
    for at in (0..count).filter(|_| count > 1) {
        match event::bind_ipi(at) {
            Ok(port) => drop(wakers.push(port)),
            Err(error) => {
                log::error!(target: "kernel", "no channel to wake vCPU {at}: {error}");
                break;
            }
        }
    }
    wakers
}

/// The loop of a CPU that only serves its queues.
fn forward(at: usize) -> ! {
    let workers = WORKERS.wait();
    let mut ports = Bounded::<u32, MAX_PORTS>::new();
    let mut clock = LoopClock::look();
    loop {
        let (busy, wanted) = workers.turn(at, clock.now());
        if wanted {
            workers.call_attention();
        }
        if busy {
            clock.turned();
            continue;
        }
        ports.clear();
        let sleep = workers.arm(at, &mut clock, &mut ports);
        workers.crash_if_asked(at);
        if let Some(deadline) = sleep {
            event::wait(&ports, deadline);
            clock.woke();
        }
    }
}
