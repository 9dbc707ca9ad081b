#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

extern crate alloc;

mod check;
mod command_line;
mod draft;
mod error;
mod limits;
mod model;
mod notation;
mod ramdisk;
mod route_file;
mod suggest;
mod tar;
mod toml_file;
mod toml_table;

#[cfg(test)]
extern crate std;

pub use command_line::from_extra;
pub use error::{ConfigError, Warning};
pub use limits::{MAX_GROUPS, MAX_INTERFACES, MAX_NEIGHBORS, MAX_VIFS};
pub use model::{
    AdvertiseConfig, Allowed, Attachment, Config, DEFAULT_VRF, InterfaceConfig, NeighborConfig,
    PrefixConfig, ReversePath, RouteConfig, RouteFile, RouteTarget, Via,
};
pub use ramdisk::{CONFIG_FILE, file as ramdisk_file, from_ramdisk};
pub use route_file::{RouteSink, read as read_route_file};
pub use tar::{Entry as TarEntry, TarError, entries as tar_entries};
pub use toml_file::from_toml;
pub use wire::ndp_router_advert::{Preference, RouteInformation};
