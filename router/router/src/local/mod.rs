//! The router as a host: local delivery.

pub(crate) mod addresses;
pub(crate) mod ipv4;
pub(crate) mod ipv6;
pub(crate) mod reassembly;
pub(crate) mod services;
pub(crate) mod source_address;
