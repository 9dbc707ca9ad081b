//! Formats on the wire: reading without judgement beyond what their RFCs call malformed.

pub(crate) mod arp;
pub(crate) mod checksum;
pub(crate) mod ethernet;
pub(crate) mod extension;
pub(crate) mod fragment;
pub(crate) mod fragment6;
pub(crate) mod icmp;
pub(crate) mod icmpv6;
pub(crate) mod ipv4;
pub(crate) mod ipv6;
pub(crate) mod mld;
pub(crate) mod nd;
pub(crate) mod options;
pub(crate) mod ra;
pub(crate) mod record;
pub(crate) mod redirect;
pub(crate) mod source_route;

/// The 16 bits at `at`, or 0 beyond the end.
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..at + 2)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u16::from_be_bytes)
}

/// The 32 bits at `at`, or 0 beyond the end.
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}

/// The 128 bits at `at`, or 0 beyond the end.
pub(crate) fn be128(bytes: &[u8], at: usize) -> u128 {
    bytes
        .get(at..at + 16)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u128::from_be_bytes)
}

/// Writes `field` at `at` if it fits.
pub(crate) fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    if let Some(to) = bytes.get_mut(at..at + field.len()) {
        to.copy_from_slice(field);
    }
}
