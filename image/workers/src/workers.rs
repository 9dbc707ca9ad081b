//! The forwarding CPUs: the first one, which also runs the control plane, and the others, which
//! only serve their queues.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use data_plane::{Control, MAX_WORKERS, Worker};
use heapless::Vec as Bounded;
use kernel::{XenHal, event, fault, run_state, smp, sync};
use lane_lock::LaneLock;
use router::Router;
use spin::Once;
use xen_hal::Port;

use crate::loop_clock::LoopClock;

/// The channels of all vifs, three for each of 16, those of xenstore, console and other CPUs,
/// rounded up.
pub const MAX_PORTS: usize = 64;

// Each CPU is a worker with a lane of its own.
const _: () = assert!(smp::MAX_CPUS == MAX_WORKERS && MAX_WORKERS == lane_lock::MAX_LANES);

type Lanes = LaneLock<Worker<XenHal>, Router, sync::Yield>;

/// The workers, one for each CPU, and the router that they share.
pub struct Workers {
    lanes: Lanes,
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

static WORKERS: Once<Workers> = Once::new();

impl Workers {
    /// Creates a worker for each CPU that can be woken, using the free memory, and starts those
    /// CPUs.
    pub fn start(router: Router, now: u64) -> &'static Self {
        let wakers = wakers();
        let count = wakers.len().max(1);
        let free = kernel::memory::stats().free.min(kernel::grant::free());
        let make = |at| Worker::new(XenHal::of(at), &router, free, count);
        let (first, others) = (make(0), (1..count).map(make).collect::<Vec<_>>());
        let workers = WORKERS.call_once(|| Self {
            lanes: Lanes::new(first, others, router),
            wakers,
            attention: AtomicBool::new(false),
            crashes: [const { AtomicU8::new(0) }; MAX_WORKERS],
        });
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

    /// Calls `f` with the router, while others may forward with it.
    pub fn router<T>(&self, f: impl FnOnce(&Router) -> T) -> T {
        self.with(0, |_, router| f(router))
    }

    /// Calls `f` with the worker of CPU `at` and the router.
    fn with<T>(&self, at: usize, f: impl FnOnce(&mut Worker<XenHal>, &Router) -> T) -> T {
        let Some(mut lane) = self.lanes.enter(at) else {
            unreachable!("there are as many lanes as CPUs were started");
        };
        let (worker, router) = lane.parts();
        f(worker, router)
    }

    /// Calls `f` with everything, while no CPU forwards.
    pub fn control<T>(&self, f: impl FnOnce(&mut Control<'_, XenHal>) -> T) -> T {
        let mut all = self.lanes.stop_all();
        let (router, workers) = all.parts();
        f(&mut Control::new(router, workers))
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
        let (mut busy, mut wanted, handoff) = self.with(at, |worker, router| {
            let busy = worker.turn(router.tables(), now);
            (busy, worker.needs_control(now), worker.has_handoff())
        });
        if handoff {
            let (rid, broken) =
                self.control(|control| (control.hand_off(now), control.has_faults()));
            busy |= rid;
            wanted |= broken;
        }
        (busy, wanted)
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
        self.with(at, |worker, _| {
            worker.take_events(ports);
            (!worker.arm(state.at, state.running)).then(|| worker.deadline())
        })
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
