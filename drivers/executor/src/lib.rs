#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod tasks;

pub use tasks::{Clock, Either, Signal, Sleep, Tasks, Timers, join_all, select};
