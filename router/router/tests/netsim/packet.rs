//! Packets of both families as hosts make and read them. What is read is checked: a router
//! sends nothing malformed.

use std::net::IpAddr;

use testkit::bed::{checksum, set_checksum};

pub(crate) const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const DF: u16 = 0x4000;
const MF: u16 = 0x2000;

/// What a datagram of a test begins with.
const MARK: &[u8; 8] = b"datagram";

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Family {
    V4,
    V6,
}

pub(crate) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Family {
    pub(crate) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }

    /// Bytes of an IP header without options.
    pub(crate) fn header_len(self) -> usize {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }
}

/// Which datagram of a test it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Datagram {
    pub(crate) flow: u16,
    pub(crate) number: u32,
}

impl Datagram {
    fn read(data: &[u8]) -> Option<Self> {
        let rest = data.strip_prefix(MARK)?;
        Some(Self {
            flow: u16::from_be_bytes(*rest.first_chunk()?),
            number: u32::from_be_bytes(*rest.get(2..)?.first_chunk()?),
        })
    }

    /// Which datagram is in a frame, if any; the packet's checksums are not looked at.
    pub(crate) fn in_frame(frame: &[u8]) -> Option<Self> {
        let family = match frame[12..14] {
            [8, 0] => Family::V4,
            [0x86, 0xdd] => Family::V6,
            _ => return None,
        };
        Self::read(frame.get(14 + family.header_len() + 8..)?)
    }
}

/// An IP packet. The fields about fragments are for IPv4 only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Packet {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) hops: u8,
    pub(crate) protocol: u8,
    pub(crate) ident: u16,
    pub(crate) dont_fragment: bool,
    pub(crate) more: bool,
    /// In bytes.
    pub(crate) offset: usize,
    pub(crate) payload: Vec<u8>,
}

/// What a packet says to a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    Datagram(Datagram),
    EchoRequest,
    /// With its sequence number.
    EchoReply(u16),
    HopsExceeded,
    /// With the MTU that is told, in bytes.
    TooBig(u32),
    NoRoute,
    HostUnreachable,
    Other,
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

impl Packet {
    fn new(source: IpAddr, destination: IpAddr, protocol: u8, payload: Vec<u8>) -> Self {
        Self {
            source,
            destination,
            hops: 64,
            protocol,
            ident: 0,
            dont_fragment: true,
            more: false,
            offset: 0,
            payload,
        }
    }

    pub(crate) fn family(&self) -> Family {
        Family::of(self.source)
    }

    /// A datagram in a packet of `len` bytes. Each flow has ports of its own.
    pub(crate) fn datagram(
        source: IpAddr,
        destination: IpAddr,
        datagram: Datagram,
        len: usize,
    ) -> Self {
        let header_len = Family::of(source).header_len();
        let mut payload = vec![];
        payload.extend((1024 + datagram.flow % 50_000).to_be_bytes());
        payload.extend((9 + datagram.flow / 50_000).to_be_bytes());
        payload.extend(((len - header_len) as u16).to_be_bytes());
        payload.extend([0; 2]);
        payload.extend(MARK);
        payload.extend(datagram.flow.to_be_bytes());
        payload.extend(datagram.number.to_be_bytes());
        assert!(header_len + payload.len() <= len, "there is no room");
        let fill = (header_len + payload.len()..len).map(|i| (i as u32 ^ datagram.number) as u8);
        payload.extend(fill);
        let mut packet = Self::new(source, destination, UDP, payload);
        if packet.family() == Family::V4 {
            packet.ident = datagram.number as u16;
        }
        let sum = packet.sum();
        packet.payload[6..8].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    pub(crate) fn echo(source: IpAddr, destination: IpAddr, number: u16, data: &[u8]) -> Self {
        let (protocol, kind) = match Family::of(source) {
            Family::V4 => (ICMP, 8),
            Family::V6 => (ICMPV6, 128),
        };
        let mut message = vec![kind, 0, 0, 0, 0, 7];
        message.extend(number.to_be_bytes());
        message.extend(data);
        Self::icmp(source, destination, protocol, message)
    }

    fn icmp(source: IpAddr, destination: IpAddr, protocol: u8, message: Vec<u8>) -> Self {
        let mut packet = Self::new(source, destination, protocol, message);
        packet.payload[2..4].fill(0);
        let sum = packet.sum();
        packet.payload[2..4].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// An ICMPv6 message for the link only.
    pub(crate) fn on_link(source: IpAddr, destination: IpAddr, message: Vec<u8>) -> Self {
        let mut packet = Self::icmp(source, destination, ICMPV6, message);
        packet.hops = 255;
        packet
    }

    /// The answer to an echo request.
    pub(crate) fn echo_reply(&self) -> Self {
        let mut message = self.payload.clone();
        message[0] = match self.family() {
            Family::V4 => 0,
            Family::V6 => 129,
        };
        Self::icmp(self.destination, self.source, self.protocol, message)
    }

    /// The checksum over the payload, of ICMP without and else with the pseudo header: 0 if
    /// it is in there and right.
    fn sum(&self) -> u16 {
        let mut all = Vec::new();
        if self.protocol != ICMP {
            all.extend(octets(self.source));
            all.extend(octets(self.destination));
            all.extend([0, self.protocol]);
            all.extend((self.payload.len() as u16).to_be_bytes());
        }
        all.extend(&self.payload);
        checksum(&all)
    }

    /// The packet's bytes behind an Ethernet header.
    pub(crate) fn frame(&self, to: [u8; 6], from: [u8; 6]) -> Vec<u8> {
        let mut f = [to, from].concat();
        match self.family() {
            Family::V4 => {
                f.extend([8, 0, 0x45, 0]);
                f.extend((20 + self.payload.len() as u16).to_be_bytes());
                f.extend(self.ident.to_be_bytes());
                let flags =
                    if self.dont_fragment { DF } else { 0 } | if self.more { MF } else { 0 };
                f.extend((flags | (self.offset / 8) as u16).to_be_bytes());
                f.extend([self.hops, self.protocol, 0, 0]);
            }
            Family::V6 => {
                f.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                f.extend((self.payload.len() as u16).to_be_bytes());
                f.extend([self.protocol, self.hops]);
            }
        }
        f.extend(octets(self.source));
        f.extend(octets(self.destination));
        if self.family() == Family::V4 {
            set_checksum(&mut f[14..34], 10);
        }
        f.extend(&self.payload);
        f
    }

    /// Reads a frame if there is an IP packet in it.
    pub(crate) fn read(frame: &[u8]) -> Option<Self> {
        let mut packet = match frame[12..14] {
            [8, 0] => Self::read4(&frame[14..]),
            [0x86, 0xdd] => Self::read6(&frame[14..]),
            _ => return None,
        };
        if packet.offset == 0 && !packet.more {
            let checked = matches!(packet.protocol, ICMP | ICMPV6)
                || packet.protocol == UDP && packet.payload[6..8] != [0, 0];
            assert!(!checked || packet.sum() == 0, "a checksum is wrong");
        }
        packet.dont_fragment |= packet.family() == Family::V6;
        Some(packet)
    }

    fn read4(bytes: &[u8]) -> Self {
        assert_eq!(bytes[0], 0x45, "nobody here sends options");
        assert_eq!(checksum(&bytes[..20]), 0);
        let fragment = be16(bytes, 6);
        let address = |at: usize| IpAddr::from(*bytes[at..].first_chunk::<4>().unwrap());
        Self {
            source: address(12),
            destination: address(16),
            hops: bytes[8],
            protocol: bytes[9],
            ident: be16(bytes, 4),
            dont_fragment: fragment & DF != 0,
            more: fragment & MF != 0,
            offset: usize::from(fragment & 0x1fff) * 8,
            payload: bytes[20..usize::from(be16(bytes, 2))].to_vec(),
        }
    }

    fn read6(bytes: &[u8]) -> Self {
        assert_eq!(bytes[0] >> 4, 6);
        let address = |at: usize| IpAddr::from(*bytes[at..].first_chunk::<16>().unwrap());
        let payload = bytes[40..40 + usize::from(be16(bytes, 4))].to_vec();
        let mut packet = Self::new(address(8), address(24), bytes[6], payload);
        packet.hops = bytes[7];
        packet
    }

    pub(crate) fn said(&self) -> Said {
        if let Some(datagram) = self.read_datagram() {
            return Said::Datagram(datagram);
        }
        let whole = self.offset == 0 && !self.more && self.payload.len() >= 8;
        if !whole || !matches!(self.protocol, ICMP | ICMPV6) {
            return Said::Other;
        }
        match (self.family(), self.payload[0], self.payload[1]) {
            (Family::V4, 8, 0) | (Family::V6, 128, 0) => Said::EchoRequest,
            (Family::V4, 0, 0) | (Family::V6, 129, 0) => Said::EchoReply(be16(&self.payload, 6)),
            (Family::V4, 11, 0) | (Family::V6, 3, 0) => Said::HopsExceeded,
            (Family::V4, 3, 4) | (Family::V6, 2, 0) => Said::TooBig(u32::from_be_bytes(
                *self.payload[4..].first_chunk().unwrap(),
            )),
            (Family::V4, 3, 0) | (Family::V6, 1, 0) => Said::NoRoute,
            (Family::V4, 3, 1) | (Family::V6, 1, 3) => Said::HostUnreachable,
            _ => Said::Other,
        }
    }

    /// Returns `true` if an ICMP error quotes this packet, but for its hops and what changes with them.
    pub(crate) fn quotes(&self, about: &Self) -> bool {
        let quote = &self.payload[8..];
        let whole = &about.frame([0; 6], [0; 6])[14..];
        let header_len = about.family().header_len();
        let (addresses, len) = match about.family() {
            Family::V4 => (12, quote.len().min(whole.len())),
            Family::V6 => (8, quote.len()),
        };
        quote.len() >= header_len + 8 && quote[addresses..len] == whole[addresses..len]
    }

    fn read_datagram(&self) -> Option<Datagram> {
        let marked = self.protocol == UDP && self.offset == 0;
        Datagram::read(self.payload.get(8..).filter(|_| marked)?)
    }
}
