//! The router's local addresses, which can't be the source of a received packet.

use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::DropReason;

const FILTER: usize = 1024;
/// The first octet of link-local addresses (RFC 3927). Other addresses that begin with it are fully
/// validated as well: that costs them about 200 instructions, whereas testing the second octet
/// would cost every packet one.
const LINK_LOCAL: u8 = 169;

/// The router's addresses and its networks' broadcast addresses.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct LocalAddresses {
    /// In ascending order.
    exact: Vec<(u32, DropReason)>,
    /// In ascending order.
    exact6: Vec<u128>,
    /// By hash: `true` if an address may be one of them.
    filter: [bool; FILTER],
    filter6: [bool; FILTER],
    /// By first octet: `true` if some of the addresses can't be a source.
    martian_octets: [bool; 256],
    multiplier: u32,
}

impl LocalAddresses {
    pub(crate) fn new(key: u64) -> Self {
        let mut martian_octets = [false; 256];
        for (octet, martian) in (0..=u8::MAX).zip(martian_octets.iter_mut()) {
            let address = Ipv4Addr::new(octet, 0, 0, 1);
            *martian = wire::ipv4::is_martian_source(address) || octet == LINK_LOCAL;
        }
        Self {
            exact: Vec::new(),
            exact6: Vec::new(),
            filter: [false; FILTER],
            filter6: [false; FILTER],
            martian_octets,
            multiplier: key as u32 | 1,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.exact.clear();
        self.exact6.clear();
        self.filter6.fill(false);
        self.filter.fill(false);
    }

    /// Adds an address, with the drop reason of packets from it.
    pub(crate) fn add(&mut self, address: Ipv4Addr, reason: DropReason) {
        match self.position(address) {
            Ok(at) => {
                if let Some(known) = self.exact.get_mut(at) {
                    known.1 = reason;
                }
            }
            Err(at) => self.exact.insert(at, (address.to_bits(), reason)),
        }
        let slot = self.slot(u32::from_ne_bytes(address.octets()));
        if let Some(slot) = self.filter.get_mut(slot) {
            *slot = true;
        }
    }

    /// Returns the position of an address, or where it would be inserted.
    fn position(&self, address: Ipv4Addr) -> Result<usize, usize> {
        let wanted = address.to_bits();
        self.exact
            .binary_search_by_key(&wanted, |&(address, _)| address)
    }

    pub(crate) fn reason(&self, address: Ipv4Addr) -> Option<DropReason> {
        let at = self.position(address).ok()?;
        self.exact.get(at).map(|&(_, reason)| reason)
    }

    /// Returns `true` if this is one of the router's IPv4 addresses.
    pub(crate) fn has(&self, address: Ipv4Addr) -> bool {
        self.reason(address) == Some(DropReason::OwnSource)
    }

    #[inline]
    fn slot(&self, address: u32) -> usize {
        (address.wrapping_mul(self.multiplier) >> (32 - FILTER.ilog2())) as usize
    }

    /// Returns `true` if packets from this address, in native byte order, need full validation.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "one for each octet")]
    pub(crate) fn may_be_local_or_martian(&self, address: u32) -> bool {
        let [octet, ..] = address.to_ne_bytes();
        self.martian_octets[usize::from(octet)]
            || self.filter.get(self.slot(address)).copied().unwrap_or(true)
    }

    /// Adds an IPv6 address.
    pub(crate) fn add6(&mut self, address: Ipv6Addr) {
        if let Err(at) = self.exact6.binary_search(&address.to_bits()) {
            self.exact6.insert(at, address.to_bits());
        }
        let slot = self.slot6(address.to_bits());
        if let Some(slot) = self.filter6.get_mut(slot) {
            *slot = true;
        }
    }

    pub(crate) fn has6(&self, address: Ipv6Addr) -> bool {
        self.exact6.binary_search(&address.to_bits()).is_ok()
    }

    #[inline(always)]
    fn slot6(&self, address: u128) -> usize {
        let folded = (address >> 64) as u64 ^ (address as u64).rotate_left(32);
        let folded = (folded >> 32) as u32 ^ folded as u32;
        self.slot(folded)
    }

    /// Returns `true` if packets from this IPv6 address need full validation.
    #[inline(always)]
    pub(crate) fn may_be_local_or_martian6(&self, address: u128) -> bool {
        wire::ipv6::may_be_martian_octet((address >> 120) as u8)
            || self
                .filter6
                .get(self.slot6(address))
                .copied()
                .unwrap_or(true)
    }
}
