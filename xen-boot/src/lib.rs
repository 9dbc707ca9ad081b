//! From Xen's first jump into the image to a [`BootInfo`].
//!
//! [`entry!`] places the ELF notes that tell Xen's domain builder how to load the image,
//! and the instructions it jumps to. They lead to a Rust `main` that gets a [`BootInfo`]:
//! what a guest is told at birth, whatever the protocol that told it.

#![no_std]

mod frame;
#[cfg(feature = "freestanding")]
mod freestanding;
mod info;
mod pv;
mod ring;
mod stack;
mod start_info;

pub use frame::FrameNumber;
pub use info::{BootError, BootInfo, Module, Protocol, PvInfo};
#[doc(hidden)]
pub use pv::pv_enter;
pub use ring::RingInfo;
#[doc(hidden)]
pub use stack::{BOOT_STACK, BOOT_STACK_BYTES};
pub use stack::{STACK_SIZE, stack_guard};
pub use start_info::StartInfo;

/// Virtual address of the guest's first page (`XEN_ELFNOTE_VIRT_BASE`, elfnote.h).
///
/// The toolstack rounds the end of the initial mapping up to a multiple of 4 MiB of virtual
/// addresses and refuses a domain smaller than that. From 2 MiB on, an image that ends below
/// 4 MiB boots in 2 MiB of memory; and no page is ever mapped at address zero.
pub const VIRT_BASE: usize = 0x20_0000;
