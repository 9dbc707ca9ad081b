#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod loop_clock;
mod workers;

pub use loop_clock::LoopClock;
pub use workers::{Crash, MAX_PORTS, Workers};
