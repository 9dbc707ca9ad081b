#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod join;
mod signal;
mod tasks;
mod timers;

pub use join::{Either, join_all, select};
pub use signal::Signal;
pub use tasks::Tasks;
pub use timers::{Clock, Sleep, Timers};
