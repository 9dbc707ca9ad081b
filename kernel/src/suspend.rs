//! Kernel state that doesn't survive a suspension of the domain, and its restoration.
//!
//! A domain is saved only if nothing in its page tables points at a page that isn't its own
//! memory, so [`detach`] unmaps shared info and the grant table. The domain then asks for its
//! suspension (`SHUTDOWN_suspend`, sched.h). If that was cancelled, [`reattach`] maps the same
//! pages again. If the domain was restored, [`restore`] sets up what is new: shared info, an empty
//! grant table, event channels, and what each virtual CPU has to register for itself
//! ([`restore_cpu`]).
//!
//! Event channels and grants of devices belong to their drivers, which lose them in a restore.

use xen_boot::{BootInfo, Protocol};
use xen_hal::Port;

use crate::pv::upcall;
use crate::{console, event, grant, percpu, run_state, shared_info, time, vcpu};

/// Unmaps what isn't this domain's memory. Until it is mapped again no event is pending, time
/// stands at 0 and nothing can be granted.
///
/// # Safety
/// All other virtual CPUs wait for memory to change, and call nothing of this kernel before
/// [`reattach`] or [`restore`] returned.
#[expect(unsafe_code, reason = "references to the pages may be left")]
pub unsafe fn detach() {
    // SAFETY: the caller says that no other virtual CPU uses the table.
    unsafe { grant::detach() };
    // SAFETY: the caller says that no other virtual CPU uses events or time.
    unsafe { shared_info::detach() };
}

/// Maps again what [`detach`] unmapped, after a suspension that was cancelled. Event channels and
/// grants are as they were.
///
/// # Panics
/// If it is mapped.
pub fn reattach(boot: &BootInfo) {
    let Protocol::Pv(pv) = &boot.protocol;
    shared_info::attach(pv.start_info.shared_info());
    grant::attach();
}

/// Maps again what [`detach`] unmapped, in a domain that was restored, and sets up the first
/// virtual CPU. There are no event channels but those of console and xenstore, and no grants.
/// Returns the new channel of the ring to xenstored. The others wait for this, then call
/// [`restore_cpu`].
///
/// # Errors
/// The (negative) error number of errno.h that the hypervisor answered when virtual CPUs were to
/// get timers.
///
/// # Panics
/// If it is mapped.
pub fn restore(boot: &BootInfo) -> Result<Port, i32> {
    let Protocol::Pv(pv) = &boot.protocol;
    reattach(boot);
    shared_info::mask_all_channels();
    upcall::rebind_timers()?;
    restore_cpu();
    let console = Port(pv.start_info.console().port);
    event::assign(console, 0)?;
    console::set_port(console);
    let store = Port(pv.start_info.store().port);
    event::assign(store, 0)?;
    Ok(store)
}

/// Registers what a restored domain has to register again for the virtual CPU that this is.
pub fn restore_cpu() {
    time::init();
    vcpu::stop_periodic_timer(percpu::current());
    run_state::init();
}
