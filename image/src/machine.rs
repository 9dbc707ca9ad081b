//! The machine that the control plane runs on.

use alloc::boxed::Box;
use core::fmt::Write;

use control_plane::{
    CpuTimes, CrashKind, DataPlane, Hypercalls, MemoryUse, Platform, Rss, free_event_channels,
};
use kernel::{XenHal, console, grant, hypercall, memory, run_state, time};
use netfront_rs::RssSession;
use router::Router;
use workers::{Crash, Workers};
use xen_hal::{DomId, HalError, PAGE_SIZE};

use crate::HEAP;

/// The kernel, and the workers that forward.
pub(crate) struct Machine {
    /// The workers that forward.
    pub(crate) workers: &'static Workers,
    /// The time-stamp counter at the first instruction.
    pub(crate) entered: u64,
}

impl Platform for Machine {
    fn now_ns(&self) -> u64 {
        time::now()
    }

    fn since_entry_ns(&self) -> u64 {
        time::since(self.entered)
    }

    fn workers(&self) -> usize {
        self.workers.count()
    }

    fn change_data_plane(&self, f: &mut dyn FnMut(&mut dyn DataPlane)) {
        self.workers.control(|control| f(control));
    }

    fn read_router(&self, f: &mut dyn FnMut(&Router)) {
        self.workers.router(|router| f(router));
    }

    fn wake_workers(&self) {
        self.workers.wake();
    }

    fn request_service(&self) {
        self.workers.call_attention();
    }

    fn new_rss(&self, backend: DomId, queues: usize) -> Result<Box<dyn Rss>, HalError> {
        Ok(Box::new(RssSession::new(XenHal::of(0), backend, queues)?))
    }

    fn free_event_channels(&self, most: usize) -> usize {
        free_event_channels(XenHal::of(0), most)
    }

    fn memory(&self) -> MemoryUse {
        let memory = memory::stats();
        let (used, size) = HEAP.usage();
        MemoryUse {
            in_use_bytes: (memory.total - memory.free) * PAGE_SIZE - (size - used),
            total_pages: memory.total,
            kernel_pages: memory.kernel,
            free_pages: memory.free,
            quarantined_pages: grant::quarantined(),
            heap_used_bytes: used,
            heap_size_bytes: size,
            console_dropped_bytes: console::dropped(),
        }
    }

    fn quarantined_pages(&self, backend: DomId) -> usize {
        grant::quarantined_by(backend)
    }

    fn cpu_times(&self, cpu: usize) -> CpuTimes {
        let state = run_state::of(cpu);
        CpuTimes {
            running_ns: state.running,
            runnable_ns: state.runnable,
            blocked_ns: state.blocked,
        }
    }

    fn hypercalls(&self) -> Hypercalls {
        let calls = hypercall::counts();
        Hypercalls {
            total: calls.total,
            sched_op: calls.sched_op,
            event_channel_op: calls.event_channel_op,
        }
    }

    fn crash(&self, cpu: usize, how: CrashKind) -> bool {
        let how = match how {
            CrashKind::Panic => Crash::Panic,
            CrashKind::Fault => Crash::Fault,
            CrashKind::Stack => Crash::Stack,
        };
        self.workers.crash(cpu, how)
    }

    fn read_console(&self, into: &mut [u8]) -> usize {
        console::read(into)
    }

    fn write_console(&self, text: &str) {
        // It takes everything; what it has no room for it counts.
        let _ = console::Console.write_str(text);
    }
}
