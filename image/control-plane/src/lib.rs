#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod boot;
mod command_task;
pub mod console;
mod control_plane;
mod data_plane_control;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod platform;
mod publish;
mod queue_budget;
mod rss;
mod shared;
mod shutdown_task;
mod vif_connection;
mod vif_task;

pub use boot::{configured_router, log_level};
pub use control_plane::ControlPlane;
pub use data_plane_control::DataPlane;
pub use platform::{
    CpuTimes, CrashKind, EndReason, Hypercalls, MemoryUse, Platform, Rss, free_event_channels,
};
