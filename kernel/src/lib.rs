//! All that talks to the hypervisor.
//!
//! One virtual CPU, no interrupts: event upcalls stay masked for the guest's whole life, the
//! main loop asks for pending events and sleeps in [`event::wait`]. So nothing here is ever
//! re-entered, and the few locks only satisfy the compiler.

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
mod paging;
mod ring;
pub mod sched;
mod shared_info;
pub mod time;
mod traps;

pub use hal::XenHal;
pub use ring::StoreRing;

use xen_boot::{BootError, BootInfo};

/// Brings the machine up: memory, events, time, console, grants, exception handlers.
///
/// Call it once, first of all. `pages_for_grants` bounds the grant table's size: it is made
/// large enough to grant that many pages.
///
/// # Errors
/// What [`BootInfo`] could not be read for.
pub fn start(boot: Result<BootInfo, BootError>) -> Result<BootInfo, BootError> {
    let boot = boot?;
    memory::init(&boot);
    shared_info::init(&boot);
    console::init(&boot);
    traps::init();
    grant::init(boot.pages);
    Ok(boot)
}
