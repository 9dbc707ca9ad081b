//! Limits that the configuration and the router share.

/// The most interfaces a router has.
pub const MAX_INTERFACES: usize = 64;

/// The most of these that are vifs.
pub const MAX_VIFS: usize = 16;

/// The most gateways, static neighbors and broadcast addresses of a family on an interface. The router
/// knows as many others there at a time.
pub const MAX_NEIGHBORS: usize = 1024;

/// The most groups of gateways: those of routes that have several, or an MTU of their own.
pub const MAX_GROUPS: usize = 4096;

/// The most gateways of a route: each gets its share of a group's 512.
pub(crate) const GATEWAYS_MAX: usize = 64;

/// The highest number of a vif.
pub(crate) const VIF_MAX: u8 = 15;

const _: () = assert!(VIF_MAX as usize + 1 == MAX_VIFS);

/// The most options of a kind in a router advertisement, so that it fits into the smallest MTU.
pub(crate) const ADVERTISED_MAX: usize = 8;
