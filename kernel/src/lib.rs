//! Everything that talks to the hypervisor.
//!
//! There are no interrupts: event upcalls stay masked except during the call in which one of
//! several virtual CPUs sleeps; a loop polls for pending events and sleeps in [`event::wait`]. So
//! no virtual CPU re-enters any of this code. Other virtual CPUs can be started ([`smp::start`])
//! and may call everything here except [`start`] and [`store_ring`]; locks are held for a few
//! instructions, in the order that [`sync`] defines.

#![no_std]

extern crate alloc;

mod backlog;
pub mod console;
pub mod event;
pub mod fault;
pub mod foreign;
mod free_pages;
pub mod grant;
mod hal;
pub mod heap;
mod heap_runs;
pub mod hypercall;
pub mod logger;
pub mod memory;
mod percpu;
mod pv;
pub mod run_state;
pub mod sched;
mod shared_info;
pub mod smp;
pub mod suspend;
pub mod sync;
pub mod time;
mod vcpu;
mod window;

pub use hal::XenHal;

use core::fmt::Write;
use core::sync::atomic::{AtomicBool, Ordering};

use xen_boot::{BootError, BootInfo, Protocol};
use xen_hal::{Port, SharedPage};

/// Initializes the machine: memory, events, time, console, grants, exception handlers.
///
/// It must be called once, before anything else.
///
/// # Errors
/// [`BootError`] if there is no [`BootInfo`].
pub fn start(boot: Result<BootInfo, BootError>) -> Result<BootInfo, BootError> {
    smp::init();
    let boot = boot?;
    memory::init(&boot);
    let Protocol::Pv(pv) = &boot.protocol;
    shared_info::attach(pv.start_info.shared_info());
    shared_info::mask_all_channels();
    smp::find();
    time::init();
    #[expect(unsafe_code, reason = "takes charge of the ring's page")]
    // SAFETY: called once, here, with what the toolstack said.
    unsafe {
        console::init(boot.console);
    }
    pv::traps::init();
    let assign = |port| event::assign(port, 0);
    let upcalls = pv::upcall::init().and_then(|()| console::port().map_or(Ok(()), assign));
    if let Err(error) = upcalls {
        // The console counts what it has no room for.
        let _ = writeln!(
            console::Console,
            "ringway: no upcalls (error {error}), so events wake all virtual CPUs"
        );
    }
    vcpu::stop_periodic_timer(0);
    run_state::enable_runstate_update_flag();
    run_state::init();
    grant::init(boot.pages);
    Ok(boot)
}

/// Takes the page and the event channel of the ring to xenstored. Returns `None` if there is no
/// such page, or if it was taken before.
#[must_use]
pub fn store_ring(boot: &BootInfo) -> Option<(SharedPage, Port)> {
    static TAKEN: AtomicBool = AtomicBool::new(false);

    let port = Port(boot.store.port);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return None;
    }
    #[expect(unsafe_code, reason = "takes charge of the ring's page")]
    // SAFETY: the domain builder made the page, and it is taken once.
    let page = unsafe { memory::builder_page(boot.store.frame) }?;
    event::assign(port, 0).ok()?;
    Some((page, port))
}
