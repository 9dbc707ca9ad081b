//! All that talks to the hypervisor.
//!
//! No interrupts: event upcalls stay masked but for the call in which one of several virtual CPUs
//! sleeps, a loop asks for pending events and sleeps in [`event::wait`]. So nothing here is ever
//! re-entered by the virtual CPU that runs it. Others can be set going ([`smp::start`]) and may
//! call everything here but [`start`] and [`store_ring`]; locks are held for a few instructions,
//! with the order that [`sync`] gives.

#![no_std]

extern crate alloc;

mod backlog;
pub mod console;
pub mod event;
pub mod fault;
pub mod foreign;
pub mod grant;
mod hal;
pub mod heap;
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

/// Brings the machine up: memory, events, time, console, grants, exception handlers.
///
/// Call it once, first of all.
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
            "ringway: virtual CPUs wake each other: no upcalls (error {error})"
        );
    }
    vcpu::stop_periodic_timer(0);
    run_state::enable_runstate_update_flag();
    run_state::init();
    grant::init(boot.pages);
    Ok(boot)
}

/// Takes the page and the event channel of the ring to xenstored. `None` if there is no such page,
/// or it was taken before.
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
