#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod address;
mod flat;
pub mod frozen;
mod node;
mod nodes;
mod pool;
mod table;
mod value_interner;

#[cfg(test)]
extern crate std;

pub use address::Address;
pub use table::{HIDDEN, Table, marked};
