#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

extern crate alloc;

mod attachment;
mod check;
mod command_line;
mod draft;
mod gateway;
mod limits;
mod model;
mod ramdisk;
mod route_file;
mod router_advert;
mod suggest;
mod tar;
mod toml_file;
mod toml_value;
mod vrf;

#[cfg(test)]
extern crate std;

pub use command_line::from_extra;
pub use limits::{MAX_INTERFACES, MAX_VIFS};
pub use model::{
    AdvertiseConfig, Allowed, Attachment, Config, DEFAULT_VRF, InterfaceConfig, NeighborConfig,
    PrefixConfig, ReversePath, RouteConfig, RouteFile, RouteTarget, Via,
};
pub use ramdisk::{CONFIG_FILE, file as ramdisk_file, from_ramdisk};
pub use route_file::{RouteSink, read as read_route_file};
pub use tar::{Entry as TarEntry, TarError, entries as tar_entries};
pub use toml_file::from_toml;
pub use wire::ndp_router_advert::{Preference, RouteInformation};

use alloc::string::String;
use core::fmt;

/// Why a configuration can't be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The line, counted from 1, or 0 if no line is to blame.
    pub line: u32,
    /// What is wrong and, where possible, what would be right.
    pub text: String,
}

impl ConfigError {
    pub(crate) fn new(line: u32, text: impl Into<String>) -> Self {
        Self {
            line,
            text: text.into(),
        }
    }
}

/// `<line>: <text>`, or only the text when no line is to blame.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line != 0 {
            write!(f, "{}: ", self.line)?;
        }
        f.write_str(&self.text)
    }
}
