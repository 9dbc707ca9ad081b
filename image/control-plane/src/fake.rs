//! A machine in memory, for tests.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use data_plane::{Control, Resting, Worker};
use netfront_rs::RssSession;
use router::Router;
use xen_hal::fake::FakeHal;
use xen_hal::{DomId, HalError};

use crate::data_plane_control::DataPlane;
use crate::platform::{
    CpuTimes, CrashKind, Hypercalls, MemoryUse, Platform, Rss, free_event_channels,
};

/// A machine whose workers forward between backends in memory.
pub struct FakeMachine {
    /// What drivers see of it.
    pub hal: FakeHal,
    /// CPUs that forward.
    pub cpus: usize,
    /// The clock, which a test moves.
    pub now_ns: Cell<u64>,
    /// The router.
    pub router: RefCell<Router>,
    /// A worker for each CPU.
    pub workers: RefCell<Vec<Worker<FakeHal>>>,
    /// What waits to be read from the console.
    pub typed: RefCell<VecDeque<u8>>,
    /// What was written to it.
    pub printed: RefCell<String>,
    /// What [`Platform::quarantined_pages`] says of each domain; of others none.
    pub quarantined: RefCell<Vec<(DomId, usize)>>,
    /// What [`Platform::memory`] says.
    pub memory: Cell<MemoryUse>,
    /// [`Platform::request_service`] was called.
    pub service_requested: Cell<bool>,
    /// What [`Platform::crash`] was asked for.
    pub crashed: Cell<Option<(usize, CrashKind)>>,
}

impl FakeMachine {
    /// Creates a machine with `cpus` CPUs, `now_ns` after its start.
    #[must_use]
    pub fn new(mut router: Router, cpus: usize, now_ns: u64) -> Self {
        let hal = FakeHal::new();
        let make = |_| Worker::new(hal, &mut router, 4096, cpus);
        let workers = (0..cpus).map(make).collect();
        Self {
            hal,
            cpus,
            now_ns: Cell::new(now_ns),
            workers: RefCell::new(workers),
            router: RefCell::new(router),
            typed: RefCell::default(),
            printed: RefCell::default(),
            quarantined: RefCell::default(),
            memory: Cell::new(MemoryUse {
                in_use_bytes: 3_000_000,
                total_pages: 4096,
                kernel_pages: 300,
                free_pages: 3000,
                quarantined_pages: 0,
                heap_used_bytes: 50_000,
                heap_size_bytes: 131_072,
                console_dropped_bytes: 7,
            }),
            service_requested: Cell::new(false),
            crashed: Cell::new(None),
        }
    }

    /// Calls `f` with the workers and their router.
    pub fn control<T>(&self, f: impl FnOnce(&mut Control<'_, FakeHal>) -> T) -> T {
        let mut router = self.router.borrow_mut();
        let mut workers = self.workers.borrow_mut();
        let workers = Resting::new(workers.iter_mut());
        f(&mut Control::new(&mut router, &workers))
    }
}

impl Platform for FakeMachine {
    fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }

    fn since_entry_ns(&self) -> u64 {
        self.now_ns.get()
    }

    fn workers(&self) -> usize {
        self.cpus
    }

    fn change_data_plane(&self, f: &mut dyn FnMut(&mut dyn DataPlane)) {
        self.control(|control| f(control));
    }

    fn read_router(&self, f: &mut dyn FnMut(&Router)) {
        f(&self.router.borrow());
    }

    fn wake_workers(&self) {}

    fn request_service(&self) {
        self.service_requested.set(true);
    }

    fn new_rss(&self, backend: DomId, queues: usize) -> Result<Box<dyn Rss>, HalError> {
        Ok(Box::new(RssSession::new(self.hal, backend, queues)?))
    }

    fn free_event_channels(&self, most: usize) -> usize {
        free_event_channels(self.hal, most)
    }

    fn memory(&self) -> MemoryUse {
        self.memory.get()
    }

    fn quarantined_pages(&self, backend: DomId) -> usize {
        let all = self.quarantined.borrow();
        let of_it = all.iter().filter(|(domain, _)| *domain == backend);
        of_it.map(|(_, pages)| pages).sum()
    }

    fn cpu_times(&self, cpu: usize) -> CpuTimes {
        CpuTimes {
            running_ns: 1000 + cpu as u64,
            runnable_ns: 2000,
            blocked_ns: 3000,
        }
    }

    fn hypercalls(&self) -> Hypercalls {
        Hypercalls {
            total: 30,
            sched_op: 10,
            event_channel_op: 15,
        }
    }

    fn crash(&self, cpu: usize, how: CrashKind) -> bool {
        let there = cpu < self.workers();
        if there {
            self.crashed.set(Some((cpu, how)));
        }
        there
    }

    fn read_console(&self, into: &mut [u8]) -> usize {
        let mut typed = self.typed.borrow_mut();
        let count = typed.len().min(into.len());
        for (to, byte) in into.iter_mut().zip(typed.drain(..count)) {
            *to = byte;
        }
        count
    }

    fn write_console(&self, text: &str) {
        self.printed.borrow_mut().push_str(text);
    }
}
