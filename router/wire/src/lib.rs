#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

extern crate alloc;

pub mod addr;
pub mod arp;
pub mod checksum;
mod error;
pub mod ethernet;
#[cfg(any(test, feature = "fixtures"))]
pub mod fixtures;
pub mod icmp_error;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv4_fragment;
pub mod ipv4_options;
pub mod ipv6;
pub mod ipv6_extension;
pub mod ipv6_fragment;
pub mod mld;
pub mod ndp;
pub mod ndp_redirect;
pub mod ndp_router_advert;
pub mod offload;
pub mod vlan;

#[cfg(test)]
extern crate std;

pub use error::Error;

/// Returns the 16 bits at `at`, or 0 beyond the end.
#[inline]
pub fn be16(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..at + 2)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u16::from_be_bytes)
}

/// Returns the 32 bits at `at`, or 0 beyond the end.
#[inline]
pub fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}

/// Returns the 128 bits at `at`, or 0 beyond the end.
#[inline]
pub fn be128(bytes: &[u8], at: usize) -> u128 {
    bytes
        .get(at..at + 16)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u128::from_be_bytes)
}

/// Writes `field` at `at` if it fits.
#[inline]
pub fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    if let Some(to) = bytes.get_mut(at..at + field.len()) {
        to.copy_from_slice(field);
    }
}
