//! The first virtual CPU's stack, and the guard page below it.

use core::cell::UnsafeCell;

const PAGE: usize = 4096;

/// Bytes of stack that each virtual CPU runs on.
pub const STACK_SIZE: usize = 128 * 1024;

#[repr(C, align(4096))]
#[doc(hidden)]
#[derive(Debug)]
pub struct Stack {
    guard: UnsafeCell<[u8; PAGE]>,
    stack: UnsafeCell<[u8; STACK_SIZE]>,
}

#[expect(
    unsafe_code,
    reason = "the stack must be a static to have an address at link time"
)]
// SAFETY: Rust code never accesses the bytes; only the stack pointer points here.
unsafe impl Sync for Stack {}

#[doc(hidden)]
/// The stack that [`entry!`](crate::entry) switches to.
pub static BOOT_STACK: Stack = Stack {
    guard: UnsafeCell::new([0; PAGE]),
    stack: UnsafeCell::new([0; STACK_SIZE]),
};

/// The guard page and the stack, in bytes.
#[doc(hidden)]
pub const BOOT_STACK_BYTES: usize = size_of::<Stack>();

/// Address of the page below the stack, to be unmapped so that an overflow is a fault.
#[must_use]
pub fn stack_guard() -> usize {
    BOOT_STACK.guard.get() as usize
}
