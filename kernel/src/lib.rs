//! All that talks to the hypervisor.
//!
//! No interrupts: event upcalls stay masked but for the call in which one of several virtual CPUs
//! sleeps, a loop asks for pending events and sleeps in [`event::wait`]. So nothing here is ever re-entered by the virtual CPU
//! that runs it. Others can be set going ([`smp::start`]) and may call everything here but
//! [`start`] and [`store_ring`]; locks are held for a few instructions, with the order that
//! [`smp`] gives.

#![no_std]

extern crate alloc;

pub mod console;
pub mod event;
pub mod fault;
pub mod grant;
mod hal;
pub mod heap;
mod hypercall;
pub mod logger;
pub mod memory;
mod pv;
pub mod sched;
mod shared_info;
pub mod smp;
pub mod time;

pub use hal::XenHal;

use core::fmt::Write;

use xen_boot::{BootError, BootInfo};
use xen_hal::{Port, SharedPage};

/// Brings the machine up: memory, events, time, console, grants, exception handlers.
///
/// Call it once, first of all.
///
/// # Errors
/// What [`BootInfo`] could not be read for.
pub fn start(boot: Result<BootInfo, BootError>) -> Result<BootInfo, BootError> {
    smp::init();
    let boot = boot?;
    memory::init(&boot);
    shared_info::init(&boot);
    smp::find();
    time::init();
    console::init(&boot);
    pv::traps::init();
    if let Err(error) = pv::upcall::init() {
        // The console counts what it has no room for.
        let _ = writeln!(
            console::Console,
            "ringway: virtual CPUs wake each other: no upcalls (error {error})"
        );
    }
    sched::stop_tick();
    sched::steady();
    sched::init();
    grant::init(boot.pages);
    Ok(boot)
}

/// The page and the event channel of the ring to xenstored; take them once.
#[must_use]
pub fn store_ring(boot: &BootInfo) -> Option<(SharedPage, Port)> {
    let port = Port(boot.store.port);
    let page = pv::paging::own_page(boot.store.mfn)?;
    event::assign(port, 0).ok()?;
    Some((page, port))
}
