//! Symbols that compiled Rust expects of a C library, for an image that has none.
//!
//! The string instructions need no vector registers and are what current processors copy
//! fastest with; packet headers never come through here (the compiler copies those inline).

#![expect(unsafe_code, reason = "these are C's functions, with C's contracts")]
#![expect(unreachable_pub, reason = "the linker reaches them")]

use core::arch::asm;

/// `memcpy` of the C standard.
///
/// # Safety
/// As in C: both ranges are valid and don't overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the caller's contract; rdi, rsi and rcx are declared as changed.
    unsafe {
        asm!(
            "rep movsq",
            "mov ecx, {rest:e}",
            "rep movsb",
            rest = in(reg) len % 8,
            inout("rcx") len / 8 => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// `memmove` of the C standard.
///
/// # Safety
/// As in C: both ranges are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= len {
        // SAFETY: copying upwards never reads a byte that it already wrote.
        return unsafe { memcpy(to, from, len) };
    }
    // SAFETY: the caller's contract; copies downwards from the last byte, `len` is not zero.
    unsafe {
        asm!(
            "std",
            "rep movsb",
            "cld",
            inout("rcx") len => _,
            inout("rdi") to.wrapping_add(len).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(len).wrapping_sub(1) => _,
            options(nostack),
        );
    }
    to
}

/// `memset` of the C standard.
///
/// # Safety
/// As in C: the range is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    let word = u64::from(byte.to_le_bytes()[0]) * 0x0101_0101_0101_0101;
    // SAFETY: the caller's contract.
    unsafe {
        asm!(
            "rep stosq",
            "mov ecx, {rest:e}",
            "rep stosb",
            rest = in(reg) len % 8,
            in("rax") word,
            inout("rcx") len / 8 => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// `memcmp` of the C standard.
///
/// # Safety
/// As in C: both ranges are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    let mut at = 0;
    while at < len {
        // SAFETY: `at` is within the caller's first range.
        let x = unsafe { a.wrapping_add(at).read() };
        // SAFETY: `at` is within the caller's second range.
        let y = unsafe { b.wrapping_add(at).read() };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
        at += 1;
    }
    0
}

/// `bcmp` of the C library: not 0 if two ranges differ.
///
/// # Safety
/// As [`memcmp`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: the same contract.
    unsafe { memcmp(a, b, len) }
}

/// Named by the prebuilt `core`, never called: panics abort.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}

/// Named by the prebuilt `alloc`, never called: panics abort.
#[unsafe(no_mangle)]
pub extern "C" fn _Unwind_Resume() -> ! {
    loop {
        core::hint::spin_loop();
    }
}
