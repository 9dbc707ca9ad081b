//! Event channels (event_channel.h): opening, polling and waiting. Events are never delivered by
//! upcalls.

use xen_hal::{DomId, HalError, Port};

use crate::hypercall::{DOMID_SELF, EVENT_CHANNEL_OP, call_op, check};
use crate::pv::upcall;
use crate::{sched, shared_info};

const EVTCHNOP_CLOSE: u64 = 3;
const EVTCHNOP_SEND: u64 = 4;
const EVTCHNOP_ALLOC_UNBOUND: u64 = 6;
const EVTCHNOP_BIND_IPI: u64 = 7;
const EVTCHNOP_BIND_VCPU: u64 = 8;

/// `struct evtchn_alloc_unbound`
#[repr(C)]
struct AllocUnbound {
    dom: u16,
    remote_dom: u16,
    port: u32,
}

/// `struct evtchn_bind_ipi`
#[repr(C)]
struct BindIpi {
    vcpu: u32,
    port: u32,
}

/// `struct evtchn_bind_vcpu`
#[repr(C)]
struct BindVcpu {
    port: u32,
    vcpu: u32,
}

/// Opens a channel within this domain: [`notify`] on it wakes virtual CPU `cpu`, which alone may
/// [`wait`] for it.
///
/// # Errors
/// The hypervisor's error.
pub fn bind_ipi(cpu: usize) -> Result<Port, HalError> {
    let mut argument = BindIpi {
        vcpu: u32::try_from(cpu).unwrap_or(u32::MAX),
        port: 0,
    };
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: `evtchn_bind_ipi` as declared in event_channel.h.
    let result = unsafe { call_op(EVENT_CHANNEL_OP, EVTCHNOP_BIND_IPI, &mut argument) };
    check(result).map_err(HalError::Hypervisor)?;
    let port = Port(argument.port);
    take_pending(port);
    if upcall::in_use() {
        shared_info::unmask(port);
    }
    Ok(port)
}

/// Opens a channel that `peer` can bind to, and that wakes virtual CPU `cpu`.
///
/// # Errors
/// The hypervisor's error.
pub fn alloc_unbound(peer: DomId, cpu: usize) -> Result<Port, HalError> {
    let mut argument = AllocUnbound {
        dom: DOMID_SELF,
        remote_dom: peer.0,
        port: 0,
    };
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: `evtchn_alloc_unbound` as declared in event_channel.h.
    let result = unsafe { call_op(EVENT_CHANNEL_OP, EVTCHNOP_ALLOC_UNBOUND, &mut argument) };
    check(result).map_err(HalError::Hypervisor)?;
    let port = Port(argument.port);
    take_pending(port);
    if let Err(error) = assign(port, cpu) {
        close(port);
        return Err(HalError::Hypervisor(error));
    }
    Ok(port)
}

/// Closes a channel.
pub fn close(port: Port) {
    let mut argument = port.0;
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: `evtchn_close` is one port number.
    unsafe {
        call_op(EVENT_CHANNEL_OP, EVTCHNOP_CLOSE, &mut argument)
    };
}

/// Sends an event to the other end.
pub fn notify(port: Port) {
    let mut argument = port.0;
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: `evtchn_send` is one port number.
    unsafe {
        call_op(EVENT_CHANNEL_OP, EVTCHNOP_SEND, &mut argument)
    };
}

/// Clears the pending state of a channel. Returns `true` if it was pending.
#[inline]
pub fn take_pending(port: Port) -> bool {
    shared_info::take_pending(port)
}

/// Makes a channel wake virtual CPU `cpu`, and no other.
///
/// # Errors
/// The hypervisor's error.
pub(crate) fn assign(port: Port, cpu: usize) -> Result<(), i32> {
    if !upcall::in_use() {
        return Ok(());
    }
    // All channels begin with virtual CPU 0.
    if cpu != 0 {
        let mut argument = BindVcpu {
            port: port.0,
            vcpu: u32::try_from(cpu).unwrap_or(u32::MAX),
        };
        #[expect(unsafe_code, reason = "hypercall")]
        // SAFETY: `evtchn_bind_vcpu` as declared in event_channel.h.
        check(unsafe { call_op(EVENT_CHANNEL_OP, EVTCHNOP_BIND_VCPU, &mut argument) })?;
    }
    shared_info::unmask(port);
    Ok(())
}

/// Sleeps until one of `ports` is pending or system time reaches `deadline` (ns since boot of
/// the host); returns at once if one is pending already. Pending states are left as they are.
/// The ports are those that wake this virtual CPU, all of them.
///
/// It may also return early, with nothing pending.
pub fn wait(ports: &[u32], deadline: Option<u64>) {
    if upcall::in_use() {
        upcall::sleep(ports, deadline);
    } else {
        poll(ports, deadline);
    }
}

/// Sleeps like [`wait`], with any ports. With more than one it may return after an event on any
/// other port of this domain: Xen remembers a single one for each virtual CPU (`poll_evtchn`).
pub(crate) fn poll(ports: &[u32], deadline: Option<u64>) {
    // Zero means "no deadline" to Xen.
    sched::poll(ports, deadline.map_or(0, |time| time.max(1)));
}
