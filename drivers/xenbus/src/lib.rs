#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

extern crate alloc;

mod device;
mod devices;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod frontend;
mod keys;
mod shutdown;
mod state;

pub use device::{Device, DeviceError, OpenError};
pub use devices::{DeviceList, attach_devices};
pub use frontend::{CLOSE_TIMEOUT_NS, Ended, Handler, MAX_BACKOFF_NS, MIN_BACKOFF_NS, run_device};
pub use keys::{KeyError, Keys};
pub use shutdown::{Shutdown, ShutdownRequest, advertise_shutdown};
pub use state::XenbusState;
