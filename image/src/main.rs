//! The guest.
#![no_std]
#![no_main]

extern crate alloc;

use kernel::heap::KernelHeap;
use xen_boot::{BootError, BootInfo};
use core::fmt::Write;

#[global_allocator]
static HEAP: KernelHeap = KernelHeap::new();

xen_boot::entry!(main);

fn main(boot: Result<BootInfo, BootError>) -> ! {
    let boot = match kernel::start(boot) {
        Ok(boot) => boot,
        Err(error) => kernel::fault::die(format_args!("{error}")),
    };
    kernel::logger::init(log::LevelFilter::Info);
    let _ = writeln!(kernel::console::Console, "ringway: hello {} pages", boot.pages);
    log::info!("memory {:?}", kernel::memory::stats());
    let v = alloc::vec![1u8; 100000];
    log::info!("heap {:?} {}", HEAP.usage(), v.len());
    kernel::console::drain(1_000_000_000);
    panic!("test");
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    kernel::fault::panicked(info)
}
