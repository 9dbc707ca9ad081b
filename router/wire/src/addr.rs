//! MAC addresses and IP prefixes, and their text forms.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The broadcast address, `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Returns `true` if this is a group address, that is, multicast or broadcast.
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Returns `true` if a single interface can have this address: it is neither a group address
    /// nor zero.
    pub fn is_unicast(self) -> bool {
        !self.is_group() && self.0 != [0; 6]
    }

    /// Returns the link-local IPv6 address derived from this MAC address (RFC 4291 appendix A, RFC
    /// 2464 4).
    pub fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        let identifier = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
        Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(identifier))
    }

    /// Returns the MAC address that an IPv6 multicast address maps to (RFC 2464 7).
    pub fn of_group(group: Ipv6Addr) -> Self {
        let [.., a, b, c, d] = group.octets();
        Self([0x33, 0x33, a, b, c, d])
    }
}

/// Returns the solicited-node multicast address of an IPv6 address (RFC 4291 2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xff02_0000_0000_0000_0000_0001_ff00_0000 | address.to_bits() & 0xff_ffff)
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Error returned when a text isn't a valid MAC address or network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAnAddress;

impl FromStr for Mac {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let mut mac = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut mac {
            let part = parts.next().ok_or(NotAnAddress)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(NotAnAddress);
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| NotAnAddress)?;
        }
        if parts.next().is_some() {
            Err(NotAnAddress)
        } else {
            Ok(Self(mac))
        }
    }
}

/// An IP address with a prefix length, such as `10.0.0.1/24`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Network {
    /// The address; for a route's prefix, all bits beyond `len` are 0.
    pub address: IpAddr,
    /// The prefix length, in bits.
    pub len: u8,
}

impl Network {
    /// Returns the address with all bits beyond the length cleared.
    #[must_use]
    pub fn masked(self) -> Self {
        let address = match self.address {
            IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & mask4(self.len))),
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & mask6(self.len))),
        };
        Self { address, ..self }
    }

    /// Returns `true` if `address` is in this network.
    pub fn contains(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && Self {
                address,
                len: self.len,
            }
            .masked()
                == self.masked()
    }

    /// Returns `true` if the two networks share an address.
    pub fn overlaps(self, other: Self) -> bool {
        let len = self.len.min(other.len);
        Self { len, ..self }.contains(other.address)
    }

    /// Returns the network if it is IPv4; `None` otherwise.
    pub fn v4(self) -> Option<Ipv4Network> {
        match self.address {
            IpAddr::V4(address) => Some(Ipv4Network {
                address,
                len: self.len,
            }),
            IpAddr::V6(_) => None,
        }
    }

    /// Returns the network if it is IPv6; `None` otherwise.
    pub fn v6(self) -> Option<Ipv6Network> {
        match self.address {
            IpAddr::V6(address) => Some(Ipv6Network {
                address,
                len: self.len,
            }),
            IpAddr::V4(_) => None,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

impl FromStr for Network {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let (address, len) = text.split_once('/').ok_or(NotAnAddress)?;
        let address: IpAddr = address.parse().map_err(|_| NotAnAddress)?;
        if len.len() > 3 || len.is_empty() || !len.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotAnAddress);
        }
        let len: u8 = len.parse().map_err(|_| NotAnAddress)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if len > most {
            Err(NotAnAddress)
        } else {
            Ok(Self { address, len })
        }
    }
}

/// Returns the network mask of an IPv4 prefix length.
pub fn mask4(len: u8) -> u32 {
    !u32::MAX.checked_shr(u32::from(len)).unwrap_or(0)
}

/// An IPv4 address with a prefix length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv4Network {
    /// The address.
    pub address: Ipv4Addr,
    /// The prefix length, 0 to 32.
    pub len: u8,
}

impl Ipv4Network {
    /// Returns the first address of the network.
    pub fn first(self) -> u32 {
        self.address.to_bits() & mask4(self.len)
    }

    /// Returns the last address of the network.
    pub fn last(self) -> u32 {
        self.address.to_bits() | !mask4(self.len)
    }

    /// Returns `true` if `address` is in the network.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask4(self.len) == self.first()
    }

    /// Returns the directed broadcast address; `None` for a /31 (RFC 3021) or /32.
    pub fn broadcast(self) -> Option<Ipv4Addr> {
        (self.len < 31).then(|| Ipv4Addr::from_bits(self.last()))
    }

    /// Returns the address of the network itself, which no host may have; `None` for a /31 or /32.
    pub fn network_address(self) -> Option<Ipv4Addr> {
        (self.len < 31).then(|| Ipv4Addr::from_bits(self.first()))
    }
}

/// Returns the network mask of an IPv6 prefix length.
pub fn mask6(len: u8) -> u128 {
    !u128::MAX.checked_shr(u32::from(len)).unwrap_or(0)
}

/// An IPv6 address with a prefix length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv6Network {
    /// The address.
    pub address: Ipv6Addr,
    /// The prefix length, 0 to 128.
    pub len: u8,
}

impl Ipv6Network {
    /// Returns the first address of the network.
    pub fn first(self) -> u128 {
        self.address.to_bits() & mask6(self.len)
    }

    /// Returns `true` if `address` is in the network.
    pub fn contains(self, address: Ipv6Addr) -> bool {
        address.to_bits() & mask6(self.len) == self.first()
    }

    /// Returns the Subnet-Router anycast address (RFC 4291 2.6.1); `None` on inter-router links,
    /// which don't use it (RFC 6164 5).
    pub fn anycast(self) -> Option<Ipv6Addr> {
        (self.len < 127).then(|| Ipv6Addr::from_bits(self.first()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn derived_addresses() {
        let mac: Mac = "00:16:3e:00:0a:ff".parse().unwrap();
        let local = mac.link_local();
        assert_eq!(local.to_string(), "fe80::216:3eff:fe00:aff");
        let group = solicited_node(local);
        assert_eq!(group.to_string(), "ff02::1:ff00:aff");
        assert_eq!(Mac::of_group(group).to_string(), "33:33:ff:00:0a:ff");
        let net = |t: &str| t.parse::<Network>().unwrap().v6().unwrap();
        assert_eq!(
            net("2001:db8::5/64").anycast().unwrap().to_string(),
            "2001:db8::"
        );
        assert_eq!(net("2001:db8::1/127").anycast(), None);
    }

    #[test]
    fn mac_text() {
        let mac: Mac = "00:16:3e:00:0a:ff".parse().unwrap();
        assert_eq!(mac.to_string(), "00:16:3e:00:0a:ff");
        for bad in [
            "",
            "00:16:3e:00:0a",
            "00:16:3e:00:0a:ff:00",
            "0:16:3e:00:0a:ff",
            "00:16:3e:00:0a:+f",
        ] {
            assert_eq!(bad.parse::<Mac>(), Err(NotAnAddress), "{bad}");
        }
    }

    #[test]
    fn network_text() {
        for good in [
            "0.0.0.0/0",
            "10.0.0.1/24",
            "10.0.0.1/32",
            "2001:db8::/64",
            "::/0",
            "::1/128",
        ] {
            assert_eq!(good.parse::<Network>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "10.0.0.1",
            "10.0.0.1/",
            "10.0.0.1/33",
            "10.0.0/8",
            "10.0.0.1/+8",
            "::/129",
        ] {
            assert_eq!(bad.parse::<Network>(), Err(NotAnAddress), "{bad}");
        }
    }

    #[test]
    fn networks_relate() {
        let net = |t: &str| t.parse::<Network>().unwrap();
        assert_eq!(net("10.1.2.3/8").masked(), net("10.0.0.0/8"));
        assert_eq!(net("ffff::1/0").masked(), net("::/0"));
        assert!(net("10.0.0.0/8").overlaps(net("10.2.0.0/16")));
        assert!(net("10.2.0.0/16").overlaps(net("10.0.0.0/8")));
        assert!(!net("10.2.0.0/16").overlaps(net("10.3.0.0/16")));
        assert!(!net("::/0").overlaps(net("0.0.0.0/0")));
        assert_eq!(net("10.0.0.0/31").v4().unwrap().broadcast(), None);
        assert_eq!(
            net("10.0.0.1/30").v4().unwrap().broadcast(),
            Some(Ipv4Addr::new(10, 0, 0, 3))
        );
    }
}
