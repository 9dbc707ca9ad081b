//! Limits that the configuration and the router share.

/// The most interfaces a router has.
pub const MAX_INTERFACES: usize = 64;

/// The most of these that are vifs.
pub const MAX_VIFS: usize = 16;
