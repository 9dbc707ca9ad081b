#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

extern crate alloc;

mod backoff;
mod device;
mod devices;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod frontend;
mod keys;
mod shutdown;
mod state;

pub use backoff::{MAX_BACKOFF_NS, MIN_BACKOFF_NS};
pub use device::{Device, DeviceError, OpenError};
pub use devices::{DeviceList, attach_devices, backends};
pub use frontend::{CLOSE_TIMEOUT_NS, Ended, Handler, run_device};
pub use keys::{KeyError, Keys};
pub use shutdown::{Shutdown, ShutdownRequest, advertise_shutdown};
pub use state::XenbusState;
