//! What a person asked the router to be.
//!
//! [`from_toml`], [`from_extra`] and [`from_ramdisk`] read the three forms it comes in.
//! Each first makes a draft, which remembers the lines things came from, and then checks
//! the draft as a whole: a [`Config`] that exists is one that can be applied.

mod advertise;
mod attach;
mod check;
mod draft;
mod extra;
mod file;
mod gateway;
mod model;
mod ramdisk;
mod route_file;
mod suggest;
mod tar;
mod vrf;

pub use extra::from_extra;
pub use file::from_toml;
pub use model::{
    AdvertiseConfig, Allowed, Attachment, Config, DEFAULT_VRF, InterfaceConfig, NeighborConfig,
    PrefixConfig, ReversePath, RouteConfig, RouteFile, RouteTarget, Via,
};
pub(crate) use ramdisk::file as ramdisk_file;
pub use ramdisk::{CONFIG_FILE, from_ramdisk};
pub(crate) use route_file::{RouteSink, read as read_route_file};
pub use tar::{Entry as TarEntry, TarError, entries as tar_entries};
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
