//! Limits that the configuration and the router have in common.

/// The maximum number of interfaces.
pub const MAX_INTERFACES: usize = 64;

/// The maximum number of vifs.
pub const MAX_VIFS: usize = 16;

/// The maximum number of gateways, static neighbors and broadcast addresses of each family on an
/// interface.
pub const MAX_NEIGHBORS: usize = 1024;

/// The maximum number of groups of gateways, which are used by routes with several gateways or an
/// MTU.
pub const MAX_GROUPS: usize = 4096;

/// The maximum number of gateways of a route; they share the 512 buckets of a group.
pub(crate) const GATEWAYS_MAX: usize = 64;

/// The highest number of a vif.
pub(crate) const VIF_MAX: u8 = 15;

const _: () = assert!(VIF_MAX as usize + 1 == MAX_VIFS);

/// The maximum number of options of each type in a router advertisement, so that it fits into the
/// minimum MTU.
pub(crate) const ADVERTISED_MAX: usize = 8;
