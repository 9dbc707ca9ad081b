//! Limits that the configuration and the router share.

/// The most interfaces a router has.
pub const MAX_INTERFACES: usize = 64;

/// The most of these that are vifs.
pub const MAX_VIFS: usize = 16;

/// The highest number of a vif.
pub(crate) const VIF_MAX: u8 = 15;

const _: () = assert!(VIF_MAX as usize + 1 == MAX_VIFS);

/// The most options of a kind in a router advertisement, so that it fits into the smallest MTU.
pub(crate) const ADVERTISED_MAX: usize = 8;
