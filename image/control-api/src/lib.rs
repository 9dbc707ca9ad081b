#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

mod key;
mod parts;
mod value;

pub use key::{Key, ROOT};
pub use parts::{MAX_PART_LEN, parts};
pub use value::{ConfigStatus, ParseError, State};
