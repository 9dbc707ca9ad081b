//! The state in which a virtual CPU begins (`struct vcpu_guest_context`, arch-x86/xen.h).

use alloc::boxed::Box;
use core::mem::offset_of;

use xen_boot::FrameNumber;

use crate::pv::traps::{self, TrapInfo};
use crate::pv::{paging, upcall};
use crate::vcpu;

/// `VGCF_in_kernel` (arch-x86/xen.h)
const VGCF_IN_KERNEL: u64 = 1 << 2;
/// `FLAT_KERNEL_CS` and `FLAT_KERNEL_SS` (arch-x86/xen-x86_64.h).
const KERNEL_CS: u64 = traps::KERNEL_CS as u64;
const KERNEL_SS: u64 = 0xe02b;
/// Interrupts enabled, and the bit that is always one.
const RFLAGS: u64 = 1 << 9 | 1 << 1;

/// `struct cpu_user_regs` (arch-x86/xen-x86_64.h). Segment selectors are 16 bits wide, what
/// follows each of them is padding or, behind `cs`, the mask of upcalls.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct UserRegs {
    r15: u64,
    r14: u64,
    r13: u64,
    r12: u64,
    rbp: u64,
    rbx: u64,
    r11: u64,
    r10: u64,
    r9: u64,
    r8: u64,
    rax: u64,
    rcx: u64,
    rdx: u64,
    rsi: u64,
    rdi: u64,
    error_code: u32,
    entry_vector: u32,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
    es: u64,
    ds: u64,
    fs: u64,
    gs: u64,
}

/// `struct vcpu_guest_context`
#[repr(C)]
struct GuestContext {
    fpu_ctxt: [u64; 64],
    flags: u64,
    user_regs: UserRegs,
    trap_ctxt: [TrapInfo; 256],
    ldt_base: u64,
    ldt_ents: u64,
    gdt_frames: [u64; 16],
    gdt_ents: u64,
    kernel_ss: u64,
    kernel_sp: u64,
    ctrlreg: [u64; 8],
    debugreg: [u64; 8],
    event_callback_eip: u64,
    failsafe_callback_eip: u64,
    syscall_callback_eip: u64,
    vm_assist: u64,
    fs_base: u64,
    gs_base_kernel: u64,
    gs_base_user: u64,
}

const _: () = {
    assert!(size_of::<UserRegs>() == 200);
    assert!(offset_of!(UserRegs, rdi) == 112);
    assert!(offset_of!(UserRegs, rip) == 128);
    assert!(offset_of!(UserRegs, ss) == 160);
    assert!(size_of::<TrapInfo>() == 16);
    assert!(size_of::<GuestContext>() == 5168);
    assert!(offset_of!(GuestContext, flags) == 512);
    assert!(offset_of!(GuestContext, user_regs) == 520);
    assert!(offset_of!(GuestContext, trap_ctxt) == 720);
    assert!(offset_of!(GuestContext, ldt_base) == 4816);
    assert!(offset_of!(GuestContext, gdt_ents) == 4960);
    assert!(offset_of!(GuestContext, kernel_ss) == 4968);
    assert!(offset_of!(GuestContext, ctrlreg) == 4984);
    assert!(offset_of!(GuestContext, event_callback_eip) == 5112);
    assert!(offset_of!(GuestContext, gs_base_kernel) == 5152);
};

/// Where a virtual CPU begins, and with what.
pub(crate) struct Launch {
    /// Address of an `extern "C"` function that doesn't return.
    pub(crate) entry: usize,
    /// Its arguments.
    pub(crate) arguments: [usize; 2],
    /// End of the stack, a multiple of 16.
    pub(crate) stack_end: usize,
    pub(crate) gs_base: usize,
}

/// Gives virtual CPU `index` the state in which it begins: in this address space, with the handlers
/// that the first virtual CPU has.
///
/// # Errors
/// What the hypervisor answered.
///
/// # Safety
/// The function that `launch` names can be called with these arguments, on a stack that nobody
/// else uses.
#[expect(unsafe_code, reason = "another virtual CPU begins as it says")]
pub(crate) unsafe fn initialise(index: usize, launch: &Launch) -> Result<(), i32> {
    let context = context(launch, paging::root(), upcall::entry());
    // SAFETY: `vcpu_guest_context` as declared in arch-x86/xen.h; the caller says the rest.
    unsafe { vcpu::initialise(index, &*context) }
}

/// Makes the state of a virtual CPU whose top-level page table is `root` and which gets upcalls at
/// address `upcall`; 0 if nowhere.
fn context(launch: &Launch, root: FrameNumber, upcall: u64) -> Box<GuestContext> {
    let mut trap_ctxt = [TrapInfo::default(); 256];
    // Here the place in the table is the vector.
    for (place, info) in trap_ctxt.iter_mut().zip(traps::table()) {
        *place = info;
    }
    let [rdi, rsi] = launch.arguments.map(|argument| argument as u64);
    let mut ctrlreg = [0; 8];
    ctrlreg[3] = root.physical_address();
    Box::new(GuestContext {
        fpu_ctxt: [0; 64],
        flags: VGCF_IN_KERNEL,
        user_regs: UserRegs {
            rdi,
            rsi,
            rip: launch.entry as u64,
            cs: KERNEL_CS,
            rflags: RFLAGS,
            // As after a call: a function expects its return address there.
            rsp: launch.stack_end as u64 - 8,
            ss: KERNEL_SS,
            ..UserRegs::default()
        },
        trap_ctxt,
        ldt_base: 0,
        ldt_ents: 0,
        gdt_frames: [0; 16],
        gdt_ents: 0,
        kernel_ss: KERNEL_SS,
        kernel_sp: launch.stack_end as u64,
        ctrlreg,
        debugreg: [0; 8],
        event_callback_eip: upcall,
        failsafe_callback_eip: 0,
        syscall_callback_eip: 0,
        vm_assist: 0,
        fs_base: 0,
        gs_base_kernel: launch.gs_base as u64,
        gs_base_user: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_cpu_begins_as_if_called() {
        let launch = Launch {
            entry: 0x20_1234,
            arguments: [3, 0x20_5678],
            stack_end: 0x80_0000,
            gs_base: 0x30_0000,
        };
        let context = context(&launch, FrameNumber(0x1_2345), 0x20_9abc);
        let regs = &context.user_regs;
        assert_eq!((regs.rip, regs.rdi, regs.rsi), (0x20_1234, 3, 0x20_5678));
        assert_eq!(regs.rsp % 16, 8);
        assert_eq!((regs.cs & 3, regs.ss & 3), (3, 3));
        assert_eq!(context.ctrlreg[3], 0x1234_5000);
        assert_eq!(context.gs_base_kernel, 0x30_0000);
        assert_eq!(context.event_callback_eip, 0x20_9abc);
        assert_eq!((context.gdt_ents, context.flags), (0, 4));
    }

    #[test]
    fn each_handler_is_at_its_vector() {
        let launch = Launch {
            entry: 0,
            arguments: [0; 2],
            stack_end: 4096,
            gs_base: 0,
        };
        let context = context(&launch, FrameNumber(0), 0);
        for (vector, info) in context.trap_ctxt.iter().enumerate() {
            let expected = if vector < traps::VECTORS { vector } else { 0 };
            assert_eq!(usize::from(info.vector), expected);
            assert_eq!(info.address != 0, vector < traps::VECTORS);
        }
    }
}
