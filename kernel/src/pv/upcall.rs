//! How a virtual CPU sleeps that is one of several: in `SCHEDOP_block`, until an event of its own.
//!
//! `SCHEDOP_poll` won't do there: Xen ends one for more than one channel with any event of the
//! domain, whichever virtual CPU it is for. `SCHEDOP_block` unmasks upcalls, so one arrives
//! as the hypercall returns, and nowhere else: Xen masks them again as it delivers one. It returns
//! to the same place without any effect of its own.

#![expect(unsafe_code, reason = "entered by the hypervisor, not by Rust")]

use core::sync::atomic::{AtomicBool, Ordering};

use xen_hal::Port;

use crate::hypercall::{self, CALLBACK_OP, EVENT_CHANNEL_OP, SCHED_OP, call_op, check};
use crate::percpu::{self, PerCpu};
use crate::sched::SCHEDOP_BLOCK;
use crate::{shared_info, vcpu};

const CALLBACKOP_REGISTER: u64 = 0;
const CALLBACKTYPE_EVENT: u16 = 0;
const EVTCHNOP_BIND_VIRQ: u64 = 1;
const VIRQ_TIMER: u32 = 0;

/// `struct callback_register` (callback.h)
#[repr(C)]
struct CallbackRegister {
    kind: u16,
    flags: u16,
    address: u64,
}

/// `struct evtchn_bind_virq` (event_channel.h)
#[repr(C)]
struct BindVirq {
    virq: u32,
    vcpu: u32,
    port: u32,
}

/// Set once by the first virtual CPU, before others run.
static IN_USE: AtomicBool = AtomicBool::new(false);

/// Returns `true` if virtual CPUs sleep like this: `event::wait` then needs channels that were
/// given to `event::assign`.
pub(crate) fn in_use() -> bool {
    IN_USE.load(Ordering::Relaxed)
}

/// Returns where Xen is to enter; 0 if nowhere.
pub(crate) fn entry() -> u64 {
    if in_use() {
        ringway_upcall as *const () as u64
    } else {
        0
    }
}

/// Has virtual CPUs sleep like this if there are several. To be called by the first one.
///
/// # Errors
/// What the hypervisor answered. Then they sleep in `SCHEDOP_poll`.
pub(crate) fn init() -> Result<(), i32> {
    if percpu::count() == 1 {
        return Ok(());
    }
    let mut argument = CallbackRegister {
        kind: CALLBACKTYPE_EVENT,
        flags: 0,
        address: ringway_upcall as *const () as u64,
    };
    // SAFETY: `callback_register` as declared in callback.h; upcalls are masked but in `block`,
    // which expects them.
    check(unsafe { call_op(CALLBACK_OP, CALLBACKOP_REGISTER, &mut argument) })?;
    bind_timer(0)?;
    IN_USE.store(true, Ordering::Relaxed);
    Ok(())
}

/// Makes the timer of virtual CPU `index`, if it has none.
///
/// # Errors
/// What the hypervisor answered.
pub(crate) fn bind_timer(index: usize) -> Result<(), i32> {
    let cpu = &percpu::all()[index];
    if cpu.timer_port.load(Ordering::Relaxed) != 0 {
        return Ok(());
    }
    let mut argument = BindVirq {
        virq: VIRQ_TIMER,
        vcpu: u32::try_from(index).unwrap_or(u32::MAX),
        port: 0,
    };
    // SAFETY: `evtchn_bind_virq` as declared in event_channel.h.
    check(unsafe { call_op(EVENT_CHANNEL_OP, EVTCHNOP_BIND_VIRQ, &mut argument) })?;
    let port = Port(argument.port);
    shared_info::take_pending(port);
    shared_info::unmask(port);
    cpu.timer_port.store(port.0, Ordering::Relaxed);
    Ok(())
}

/// Makes the timers again of all virtual CPUs that had one, after a restore, which leaves no event
/// channels. To be called by the first one while the others do nothing.
///
/// # Errors
/// What the hypervisor answered.
pub(crate) fn rebind_timers() -> Result<(), i32> {
    for (index, cpu) in percpu::all().iter().enumerate() {
        cpu.timer_deadline.store(0, Ordering::Relaxed);
        if cpu.timer_port.swap(0, Ordering::Relaxed) != 0 {
            bind_timer(index)?;
        }
    }
    Ok(())
}

/// Has the timer of `cpu`, which is the virtual CPU that this is, go off at `deadline`, or not at
/// all. Costs nothing if that is what it does already.
fn set_timer(cpu: &PerCpu, deadline: Option<u64>) {
    let port = Port(cpu.timer_port.load(Ordering::Relaxed));
    let mut until = cpu.timer_deadline.load(Ordering::Relaxed);
    if shared_info::take_pending(port) {
        until = 0;
    }
    // Zero would be "none".
    let wanted = deadline.map_or(0, |at| at.max(1));
    if wanted != until {
        if wanted == 0 {
            vcpu::stop_singleshot_timer(percpu::current());
        } else {
            vcpu::set_singleshot_timer(percpu::current(), wanted);
        }
    }
    cpu.timer_deadline.store(wanted, Ordering::Relaxed);
}

/// Sleeps until an event for the virtual CPU that this is, or until `deadline`; returns at once if
/// one of `ports` is pending.
pub(crate) fn sleep(ports: &[u32], deadline: Option<u64>) {
    // Whatever comes from here on ends the sleep, a deadline that is over too; what came before is
    // pending.
    shared_info::forget_upcalls();
    set_timer(percpu::own(), deadline);
    if ports
        .iter()
        .any(|&port| shared_info::is_pending(Port(port)))
    {
        return;
    }
    hypercall::count(SCHED_OP);
    block(shared_info::upcall_mask());
}

unsafe extern "C" {
    /// Where Xen enters with an upcall.
    fn ringway_upcall();
}

/// `SCHEDOP_block`, then masks upcalls at `mask` again if none came. One that does finds at `rsp`
/// what Xen pushed: rcx, r11, rip, cs, rflags, rsp, ss.
///
/// A caller's red zone is no matter: it has none while it calls.
#[unsafe(naked)]
extern "C" fn block(mask: *const u8) {
    core::arch::naked_asm!(
        "push rbx",
        "mov rbx, rdi",
        "mov eax, {sched_op}",
        "mov edi, {block}",
        "xor esi, esi",
        "syscall",
        "2:",
        "mov byte ptr [rbx], 1",
        "pop rbx",
        "ret",
        ".globl ringway_upcall",
        "ringway_upcall:",
        "mov rsp, [rsp + 40]",
        "jmp 2b",
        sched_op = const SCHED_OP,
        block = const SCHEDOP_BLOCK,
    );
}
