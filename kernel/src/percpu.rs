//! Per-CPU data, found by the GS base.
//!
//! Plain data at the bottom of this kernel. A [`PerCpu`] is written by nothing but its own
//! virtual CPU and, where a field says so, by Xen and by the virtual CPU that starts it. What the
//! numbers mean is the business of the modules named at each field.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The maximum number of virtual CPUs that this kernel uses.
pub const MAX_CPUS: usize = 8;

/// Hypercalls that are counted one by one, and one cell for those with higher numbers.
pub(crate) const COUNTED_HYPERCALLS: usize = 40;

/// `struct vcpu_runstate_info` (vcpu.h), written by Xen; aligned so that it lies in one page.
#[repr(C, align(64))]
pub(crate) struct RunStateArea(pub(crate) [AtomicU64; 6]);

/// The data of one virtual CPU, in cache lines of its own.
#[repr(C, align(128))]
pub(crate) struct PerCpu {
    /// This block's own address, so that `gs:[0]` is one.
    this: AtomicUsize,
    index: AtomicUsize,
    /// Address of the page below the stack; 0 if it has no stack yet (`smp`).
    pub(crate) stack_guard: AtomicUsize,
    /// Set while it runs or is being started (`smp`).
    pub(crate) started: AtomicBool,
    /// Turns of its loops that wait for a lock (`sync`).
    pub(crate) lock_spins: AtomicU32,
    /// How often it made each hypercall (`hypercall`).
    pub(crate) hypercalls: [AtomicU64; COUNTED_HYPERCALLS],
    /// A copy of `struct vcpu_time_info` (xen.h), written by Xen (`time`).
    pub(crate) time: [AtomicU64; 4],
    /// Times in each state, written by Xen (`run_state`).
    pub(crate) run_state: RunStateArea,
    /// Channel of its timer; 0, which no domain uses, before there is one (`upcall`).
    pub(crate) timer_port: AtomicU32,
    /// When its timer goes off, in ns of system time; 0 if it doesn't (`upcall`).
    pub(crate) timer_deadline: AtomicU64,
}

const _: () = {
    assert!(core::mem::offset_of!(PerCpu, this) == 0);
    assert!(core::mem::offset_of!(PerCpu, index) == 8);
    assert!(size_of::<PerCpu>() == 512);
};

static BLOCKS: [PerCpu; MAX_CPUS] = [const { PerCpu::new() }; MAX_CPUS];
static COUNT: AtomicUsize = AtomicUsize::new(1);

impl PerCpu {
    const fn new() -> Self {
        Self {
            this: AtomicUsize::new(0),
            index: AtomicUsize::new(0),
            stack_guard: AtomicUsize::new(0),
            started: AtomicBool::new(false),
            lock_spins: AtomicU32::new(0),
            hypercalls: [const { AtomicU64::new(0) }; COUNTED_HYPERCALLS],
            time: [const { AtomicU64::new(0) }; 4],
            run_state: RunStateArea([const { AtomicU64::new(0) }; 6]),
            timer_port: AtomicU32::new(0),
            timer_deadline: AtomicU64::new(0),
        }
    }
}

/// Makes the block of virtual CPU `index` ready to be its GS base, and returns its address.
///
/// # Panics
/// If `index` is not below [`MAX_CPUS`].
pub(crate) fn prepare(index: usize) -> usize {
    let block = &BLOCKS[index];
    let address = core::ptr::from_ref(block) as usize;
    block.this.store(address, Ordering::Relaxed);
    block.index.store(index, Ordering::Relaxed);
    address
}

/// Returns the number of usable virtual CPUs of the domain, 1 to [`MAX_CPUS`].
#[must_use]
#[inline]
pub fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// Sets how many there are.
pub(crate) fn set_count(count: usize) {
    COUNT.store(count.clamp(1, MAX_CPUS), Ordering::Relaxed);
}

/// Returns the index of the current virtual CPU, below [`MAX_CPUS`]. Must not be called on a host.
#[must_use]
#[inline]
pub fn current() -> usize {
    let index: usize;
    #[expect(unsafe_code, reason = "the GS base says whose block it is")]
    // SAFETY: GS is based on a `PerCpu`, since `smp::init` on the first virtual CPU and from the
    // first instruction on elsewhere; the index is at 8.
    unsafe {
        core::arch::asm!(
            "mov {}, gs:[8]",
            out(reg) index,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    index % MAX_CPUS
}

/// Returns the block of the current virtual CPU. Must not be called on a host.
#[inline]
pub(crate) fn own() -> &'static PerCpu {
    let block: *const PerCpu;
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

/// Returns the blocks of all virtual CPUs, whether they run or not.
pub(crate) fn all() -> &'static [PerCpu; MAX_CPUS] {
    &BLOCKS
}
