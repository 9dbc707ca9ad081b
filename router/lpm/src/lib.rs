#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod address;
mod cell;
pub mod epochs;
mod flat;
pub mod frozen;
mod lookup;
mod node;
mod nodes;
mod pool;
mod retired;
mod table;
mod value_interner;
mod view;

#[cfg(test)]
extern crate std;

pub use address::Address;
pub use table::{HIDDEN, Hiding, InsertError, Reader, Table, marked};
