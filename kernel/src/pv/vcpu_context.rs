//! The state in which a virtual CPU begins (`struct vcpu_guest_context`, arch-x86/xen.h).

use alloc::boxed::Box;
use core::mem::offset_of;

use crate::pv::traps::{self, TrapInfo};

/// `VGCF_IN_KERNEL`
const IN_KERNEL: u64 = 1 << 2;
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

#[repr(C)]
pub(crate) struct GuestContext {
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
    pub(crate) run: u64,
    /// Its arguments.
    pub(crate) arguments: [u64; 2],
    /// End of the stack, a multiple of 16.
    pub(crate) stack: u64,
    /// Address that the GS base gets.
    pub(crate) block: u64,
    /// Machine frame of the top-level page table.
    pub(crate) root: u64,
    /// Where it gets upcalls; 0 if nowhere.
    pub(crate) upcall: u64,
}

/// Makes the state, with the handlers that the first virtual CPU has.
pub(crate) fn of(launch: &Launch) -> Box<GuestContext> {
    let mut trap_ctxt = [TrapInfo::default(); 256];
    // Here the place in the table is the vector.
    for (place, info) in trap_ctxt.iter_mut().zip(traps::table()) {
        *place = info;
    }
    let [rdi, rsi] = launch.arguments;
    let mut ctrlreg = [0; 8];
    ctrlreg[3] = launch.root << 12;
    Box::new(GuestContext {
        fpu_ctxt: [0; 64],
        flags: IN_KERNEL,
        user_regs: UserRegs {
            rdi,
            rsi,
            rip: launch.run,
            cs: KERNEL_CS,
            rflags: RFLAGS,
            // As after a call: a function expects its return address there.
            rsp: launch.stack - 8,
            ss: KERNEL_SS,
            ..UserRegs::default()
        },
        trap_ctxt,
        ldt_base: 0,
        ldt_ents: 0,
        gdt_frames: [0; 16],
        gdt_ents: 0,
        kernel_ss: KERNEL_SS,
        kernel_sp: launch.stack,
        ctrlreg,
        debugreg: [0; 8],
        event_callback_eip: launch.upcall,
        failsafe_callback_eip: 0,
        syscall_callback_eip: 0,
        vm_assist: 0,
        fs_base: 0,
        gs_base_kernel: launch.block,
        gs_base_user: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_cpu_begins_as_if_called() {
        let context = of(&Launch {
            run: 0x20_1234,
            arguments: [3, 0x20_5678],
            stack: 0x80_0000,
            block: 0x30_0000,
            root: 0x1_2345,
            upcall: 0x20_9abc,
        });
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
        let context = of(&Launch {
            run: 0,
            arguments: [0; 2],
            stack: 4096,
            block: 0,
            root: 0,
            upcall: 0,
        });
        for (vector, info) in context.trap_ctxt.iter().enumerate() {
            let expected = if vector < traps::VECTORS { vector } else { 0 };
            assert_eq!(usize::from(info.vector), expected);
            assert_eq!(info.address != 0, vector < traps::VECTORS);
        }
    }
}
