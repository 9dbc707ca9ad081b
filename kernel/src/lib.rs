//! All that talks to the hypervisor.
//!
//! No interrupts: event upcalls stay masked for the guest's whole life, a loop asks for pending
//! events and sleeps in [`event::wait`]. So nothing here is ever re-entered by the virtual CPU
//! that runs it. Others can be set going ([`cpu::start`]) and may call everything here but
//! [`start`] and [`store_ring`]; locks are held for a few instructions, with the order that
//! [`cpu`] gives.

#![no_std]

extern crate alloc;

pub mod console;
mod context;
pub mod cpu;
pub mod event;
pub mod fault;
pub mod grant;
mod hal;
pub mod heap;
mod hypercall;
pub mod logger;
pub mod memory;
mod paging;
pub mod sched;
mod shared_info;
pub mod time;
mod traps;

pub use hal::XenHal;

use xen_boot::{BootError, BootInfo};
use xen_hal::{Port, SharedPage};

/// Brings the machine up: memory, events, time, console, grants, exception handlers.
///
/// Call it once, first of all.
///
/// # Errors
/// What [`BootInfo`] could not be read for.
pub fn start(boot: Result<BootInfo, BootError>) -> Result<BootInfo, BootError> {
    cpu::init();
    let boot = boot?;
    memory::init(&boot);
    shared_info::init(&boot);
    cpu::find();
    time::init();
    console::init(&boot);
    traps::init();
    sched::steady();
    sched::init();
    grant::init(boot.pages);
    Ok(boot)
}

/// The page and the event channel of the ring to xenstored; take them once.
#[must_use]
pub fn store_ring(boot: &BootInfo) -> Option<(SharedPage, Port)> {
    Some((paging::own_page(boot.store.mfn)?, Port(boot.store.port)))
}
