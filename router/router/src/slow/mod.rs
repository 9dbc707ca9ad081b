//! The slow path: packets that need more than the fast path does, one by one.

pub(crate) mod headroom;
pub(crate) mod icmp_error;
pub(crate) mod icmp_limits;
pub(crate) mod ipv4;
pub(crate) mod ipv4_options;
pub(crate) mod ipv6;
pub(crate) mod next_hop;
pub(crate) mod output;
pub(crate) mod poll;
pub(crate) mod redirect;
pub(crate) mod source_route;
