//! Addresses that can't be the source of a received packet because they are ours.

use alloc::collections::BTreeMap;
use core::net::Ipv4Addr;

use crate::DropReason;

const FILTER: usize = 1024;

/// The router's addresses and its networks' broadcast addresses.
#[derive(Debug)]
pub(crate) struct Own {
    exact: BTreeMap<u32, DropReason>,
    /// By hash: whether an address could be one of them.
    filter: [bool; FILTER],
    /// By first octet: whether no host may send from there.
    martian_octets: [bool; 256],
    multiplier: u32,
}

impl Own {
    pub(crate) fn new(key: u64) -> Self {
        let mut martian_octets = [false; 256];
        for (octet, martian) in (0..=u8::MAX).zip(martian_octets.iter_mut()) {
            *martian = crate::wire::ipv4::is_martian_source(Ipv4Addr::new(octet, 0, 0, 1));
        }
        Self {
            exact: BTreeMap::new(),
            filter: [false; FILTER],
            martian_octets,
            multiplier: key as u32 | 1,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.exact.clear();
        self.filter.fill(false);
    }

    /// Adds an address, with the reason for which packets from it are dropped.
    pub(crate) fn add(&mut self, address: Ipv4Addr, reason: DropReason) {
        self.exact.insert(address.to_bits(), reason);
        let slot = self.slot(u32::from_ne_bytes(address.octets()));
        if let Some(slot) = self.filter.get_mut(slot) {
            *slot = true;
        }
    }

    pub(crate) fn reason(&self, address: Ipv4Addr) -> Option<DropReason> {
        self.exact.get(&address.to_bits()).copied()
    }

    fn slot(&self, address: u32) -> usize {
        (address.wrapping_mul(self.multiplier) >> (32 - FILTER.ilog2())) as usize
    }

    /// Whether packets from this address, its octets as they stand in memory, need a closer
    /// look.
    #[inline(always)]
    pub(crate) fn is_doubtful(&self, address: u32) -> bool {
        let [octet, ..] = address.to_ne_bytes();
        self.martian_octets[usize::from(octet)]
            || self.filter.get(self.slot(address)).copied().unwrap_or(true)
    }
}
