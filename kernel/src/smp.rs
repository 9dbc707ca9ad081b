//! Virtual CPUs: the one that the domain begins with, and those that [`start`] sets going.
//!
//! Each has a [`Block`] that nothing else writes but Xen, found by its GS base. Event upcalls
//! arrive only where one sleeps, and each runs one function for ever: none is ever re-entered.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use spin::relax::RelaxStrategy;
use xen_boot::STACK_SIZE;
use xen_hal::PAGE_SIZE;

use crate::console::Console;
use crate::hypercall::{COUNTED, SET_SEGMENT_BASE, VCPU_OP, call4, check, uncounted};
use crate::pv::vcpu_context::{self, Launch};
use crate::pv::{paging, upcall};
use crate::{memory, sched, shared_info, time};

/// Virtual CPUs that this kernel uses at most.
pub const MAX_CPUS: usize = 8;
/// More virtual CPUs than any domain has; ends the search for the last one.
const MANY_CPUS: usize = 8192;

const VCPUOP_INITIALISE: u64 = 0;
const VCPUOP_UP: u64 = 1;
const VCPUOP_DOWN: u64 = 2;
const VCPUOP_IS_UP: u64 = 3;
const VCPUOP_GET_RUNSTATE_INFO: u64 = 4;
const SEGBASE_GS_KERNEL: u64 = 2;
const RUNSTATE_RUNNING: u64 = 0;

/// Turns of a waiting loop by one call of the hypervisor.
const SPINS: u32 = 256;

/// What one virtual CPU has for itself.
#[repr(C, align(128))]
pub(crate) struct Block {
    /// This block's own address, so that `gs:[0]` is one.
    this: AtomicUsize,
    index: AtomicUsize,
    /// The page below its stack.
    guard: AtomicUsize,
    started: AtomicBool,
    spins: AtomicU32,
    /// How often it made each hypercall; the last cell is for those with higher numbers.
    pub(crate) made: [AtomicU64; COUNTED],
    /// `vcpu_time_info` (xen.h), written by Xen.
    pub(crate) time: [AtomicU64; 4],
    pub(crate) run_state: sched::Area,
    pub(crate) timer: upcall::Timer,
}

impl Block {
    const fn new() -> Self {
        Self {
            this: AtomicUsize::new(0),
            index: AtomicUsize::new(0),
            guard: AtomicUsize::new(0),
            started: AtomicBool::new(false),
            spins: AtomicU32::new(0),
            made: [const { AtomicU64::new(0) }; COUNTED],
            time: [const { AtomicU64::new(0) }; 4],
            run_state: sched::Area::new(),
            timer: upcall::Timer::new(),
        }
    }

    fn prepare(&self, index: usize) -> u64 {
        let address = core::ptr::from_ref(self) as usize;
        self.this.store(address, Ordering::Relaxed);
        self.index.store(index, Ordering::Relaxed);
        address as u64
    }
}

const _: () = {
    assert!(core::mem::offset_of!(Block, this) == 0);
    assert!(core::mem::offset_of!(Block, index) == 8);
    assert!(size_of::<Block>() == 512);
};

static BLOCKS: [Block; MAX_CPUS] = [const { Block::new() }; MAX_CPUS];
static COUNT: AtomicUsize = AtomicUsize::new(1);

/// Why a virtual CPU was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The domain has none with this index, or it is not below [`MAX_CPUS`].
    Missing,
    /// It runs already.
    Started,
    /// No memory for its stack.
    NoMemory,
    /// The hypervisor refused, with its (negative) error number of errno.h.
    Hypervisor(i32),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Missing => f.write_str("no such virtual CPU"),
            Error::Started => f.write_str("it runs already"),
            Error::NoMemory => f.write_str("no memory for a stack"),
            Error::Hypervisor(errno) => write!(f, "refused by the hypervisor (error {errno})"),
        }
    }
}

impl core::error::Error for Error {}

/// Gives the first virtual CPU its block. Before that no hypercall can be made, as each is
/// counted there.
pub(crate) fn init() {
    let address = BLOCKS[0].prepare(0);
    BLOCKS[0].started.store(true, Ordering::Relaxed);
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: HYPERVISOR_set_segment_base takes which one and an address; nothing uses GS yet.
    let result = unsafe { uncounted(SET_SEGMENT_BASE, SEGBASE_GS_KERNEL, address, 0, 0) };
    // Without it nothing can be said either; Xen refuses no address of the guest's own.
    debug_assert!(check(result).is_ok());
}

/// Looks for the others.
pub(crate) fn find() {
    BLOCKS[0]
        .guard
        .store(xen_boot::stack_guard(), Ordering::Relaxed);
    let found = (1..MANY_CPUS)
        .find(|&index| vcpu_op(VCPUOP_IS_UP, index, 0).is_err())
        .unwrap_or(MANY_CPUS);
    COUNT.store(found.min(MAX_CPUS), Ordering::Relaxed);
    if found > MAX_CPUS {
        // The console counts what it has no room for.
        let _ = writeln!(
            Console,
            "ringway: {found} virtual CPUs, of which {MAX_CPUS} can be used"
        );
    }
}

/// How many virtual CPUs the domain has, as far as they can be used: 1 to [`MAX_CPUS`].
#[must_use]
#[inline]
pub fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// Which virtual CPU this is, below [`MAX_CPUS`]. Not to be called on a host.
#[must_use]
#[inline]
pub fn current() -> usize {
    let index: usize;
    #[expect(unsafe_code, reason = "the GS base says whose block it is")]
    // SAFETY: GS is based on a `Block`, since `init` here and from the first instruction on
    // elsewhere; the index is at 8.
    unsafe {
        core::arch::asm!(
            "mov {}, gs:[8]",
            out(reg) index,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    index % MAX_CPUS
}

/// The block of the virtual CPU that this is.
#[inline]
pub(crate) fn block() -> &'static Block {
    let block: *const Block;
    #[expect(unsafe_code, reason = "the GS base says whose block it is")]
    // SAFETY: as in `current`; the block's address is at 0.
    unsafe {
        core::arch::asm!(
            "mov {}, gs:[0]",
            out(reg) block,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    #[expect(unsafe_code, reason = "the block is given as an address")]
    // SAFETY: `prepare` stored the address of an element of `BLOCKS`.
    unsafe {
        &*block
    }
}

/// The blocks of all virtual CPUs, whether they run or not.
pub(crate) fn blocks() -> &'static [Block; MAX_CPUS] {
    &BLOCKS
}

/// The page below the stack of the virtual CPU that this is.
pub(crate) fn stack_guard() -> usize {
    block().guard.load(Ordering::Relaxed)
}

/// Any `VCPUOP_*` that is given by an address.
fn vcpu_op(op: u64, index: usize, argument: u64) -> Result<i64, i32> {
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: callers pass what the operation takes.
    check(unsafe { call4(VCPU_OP, op, index as u64, argument, 0) })
}

/// Sets virtual CPU `index` going with `entry(index)`, on a stack of [`STACK_SIZE`] bytes that
/// is never given back. Not to be called by two at a time for the same one.
///
/// # Errors
/// Why it doesn't run. It can be tried again unless it runs already.
pub fn start(index: usize, entry: fn(usize) -> !) -> Result<(), Error> {
    if index >= count() {
        return Err(Error::Missing);
    }
    let block = &BLOCKS[index];
    if block.started.swap(true, Ordering::AcqRel) {
        return Err(Error::Started);
    }
    let started = launch(index, entry);
    if started.is_err() {
        block.started.store(false, Ordering::Release);
    }
    started
}

fn launch(index: usize, entry: fn(usize) -> !) -> Result<(), Error> {
    let block = &BLOCKS[index];
    let guard = match block.guard.load(Ordering::Relaxed) {
        0 => {
            let guard = memory::take_span(1 + STACK_SIZE / PAGE_SIZE).ok_or(Error::NoMemory)?;
            paging::unmap(guard);
            block.guard.store(guard, Ordering::Relaxed);
            guard
        }
        // Left by an attempt that failed.
        guard => guard,
    };
    if upcall::in_use() {
        upcall::prepare(index).map_err(Error::Hypervisor)?;
    }
    shared_info::mask_upcalls(index);
    let context = vcpu_context::of(&Launch {
        run: run as *const () as u64,
        arguments: [index as u64, entry as *const () as u64],
        stack: (guard + PAGE_SIZE + STACK_SIZE) as u64,
        block: block.prepare(index),
        root: memory::page_table_root(),
        upcall: upcall::entry(),
    });
    let argument = &raw const *context as u64;
    vcpu_op(VCPUOP_INITIALISE, index, argument).map_err(Error::Hypervisor)?;
    vcpu_op(VCPUOP_UP, index, 0).map_err(Error::Hypervisor)?;
    Ok(())
}

/// Where another virtual CPU than the first begins.
#[expect(
    improper_ctypes_definitions,
    reason = "only `launch` makes Xen jump here"
)]
extern "C" fn run(index: usize, entry: fn(usize) -> !) -> ! {
    time::init();
    sched::stop_tick();
    sched::init();
    entry(index)
}

/// Stops all other virtual CPUs, wherever they are. They never run again.
pub(crate) fn stop_others() {
    /// States of `vcpu_runstate_info` that are looked at before one is given up.
    const LOOKS: usize = 10_000;

    let me = current();
    let others = || {
        (0..count()).filter(|&index| index != me && BLOCKS[index].started.load(Ordering::Acquire))
    };
    for index in others() {
        // What can't be stopped isn't there.
        let _ = vcpu_op(VCPUOP_DOWN, index, 0);
    }
    // It may still execute for as long as it takes to interrupt a processor.
    for index in others() {
        for _ in 0..LOOKS {
            let mut state = [0u64; 6];
            let argument = state.as_mut_ptr() as u64;
            let asked = vcpu_op(VCPUOP_GET_RUNSTATE_INFO, index, argument);
            if asked.is_err() || state[0] & 0xFFFF_FFFF != RUNSTATE_RUNNING {
                break;
            }
            Yield::relax();
        }
    }
}

/// How to wait for a lock that another virtual CPU holds: for a moment by spinning, then by
/// letting the hypervisor run who holds it.
#[derive(Clone, Copy, Debug)]
pub struct Yield;

impl RelaxStrategy for Yield {
    fn relax() {
        core::hint::spin_loop();
        let spins = &block().spins;
        let turn = spins.load(Ordering::Relaxed).wrapping_add(1);
        spins.store(turn, Ordering::Relaxed);
        if turn.is_multiple_of(SPINS) {
            sched::yield_now();
        }
    }
}

/// A lock between virtual CPUs. Nobody may take one twice, and who takes several takes them
/// in this order: console, grants, heap (given memory before its own), memory.
pub(crate) type Mutex<T> = spin::mutex::SpinMutex<T, Yield>;
