//! IPv6 frames, and a router that has settled.

use crate::bed::{Bed, Frame, checksum, router_mac};
use std::net::Ipv6Addr;

/// The same kinds of routes as in [`CONFIG`](crate::bed::CONFIG), for IPv6.
pub const CONFIG6: &str = r#"
[interface.wan]
vif = 0
address = ["2001:db8::1/64"]
[interface.lan]
vif = 1
address = ["2001:db8:1::1/64", "10.0.1.1/24"]
[[route]]
prefix = "::/0"
via = ["fe80::fe%wan"]
[[route]]
prefix = "2001:db8:20::/48"
via = ["2001:db8:1::fd", "2001:db8:1::fe@2"]
[[route]]
prefix = "2001:db8:30::/48"
action = "blackhole"
[[route]]
prefix = "2001:db8:31::/48"
action = "unreachable"
[[route]]
prefix = "2001:db8:32::/48"
action = "prohibit"
"#;

/// The type of a neighbor solicitation.
pub const NS: u8 = 135;
/// The type of a neighbor advertisement.
pub const NA: u8 = 136;

/// An address from text.
///
/// # Panics
/// If it is none.
pub fn a6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// The router's link-local address on an interface.
pub fn local6(interface: u8) -> Ipv6Addr {
    let [a, b, c, d, e, f] = router_mac(0, interface);
    let id = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(id))
}

/// The MAC address of the host with this address.
pub fn mac6(host: Ipv6Addr) -> [u8; 6] {
    let [.., a, b, c, d] = host.octets();
    [2, 6, a, b, c, d]
}

/// The solicited-node group of an address (RFC 4291 2.7.1).
pub fn solicited(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(
        0xff02,
        0,
        0,
        0,
        0,
        1,
        0xff00 | u16::from(a),
        u16::from_be_bytes([b, c]),
    )
}

/// Where frames to an address go: its group, or the first router's interface.
fn mac_of(interface: u8, destination: Ipv6Addr) -> [u8; 6] {
    let [first, .., a, b, c, d] = destination.octets();
    match first {
        0xff => [0x33, 0x33, a, b, c, d],
        _ => router_mac(0, interface),
    }
}

/// An IPv6 packet in a frame from a host to the first router or a group.
pub fn ip6(
    interface: u8,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hops: u8,
    next: u8,
    payload: &[u8],
) -> Frame {
    let mut f = mac_of(interface, destination).to_vec();
    f.extend(mac6(source));
    f.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    f.extend((payload.len() as u16).to_be_bytes());
    f.extend([next, hops]);
    f.extend(source.octets());
    f.extend(destination.octets());
    f.extend(payload);
    f
}

/// The sum of the pseudo header and what it is about; 0 if its checksum is right.
pub fn sum6(source: Ipv6Addr, destination: Ipv6Addr, next: u8, payload: &[u8]) -> u16 {
    let mut all = [source.octets(), destination.octets()].concat();
    all.extend((payload.len() as u32).to_be_bytes());
    all.extend([0, 0, 0, next]);
    all.extend(payload);
    checksum(&all)
}

/// An ICMPv6 message in a frame; `message` has no checksum yet.
pub fn icmp6(
    interface: u8,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hops: u8,
    message: &[u8],
) -> Frame {
    let mut message = message.to_vec();
    let sum = sum6(source, destination, 58, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ip6(interface, source, destination, hops, 58, &message)
}

/// An echo request.
pub fn echo6(interface: u8, source: Ipv6Addr, destination: Ipv6Addr, len: usize) -> Frame {
    let mut message = vec![128, 0, 0, 0, 0, 7, 0, 1];
    message.extend((0..len).map(|i| i as u8));
    icmp6(interface, source, destination, 64, &message)
}

/// Ports 1000 and 2000.
pub fn udp6(interface: u8, source: Ipv6Addr, destination: Ipv6Addr, len: usize) -> Frame {
    let mut payload = vec![3, 232, 7, 208, 0, 0, 0, 0];
    payload[4..6].copy_from_slice(&(8 + len as u16).to_be_bytes());
    payload.extend((0..len).map(|i| i as u8));
    let sum = sum6(source, destination, 17, &payload);
    payload[6..8].copy_from_slice(&sum.to_be_bytes());
    ip6(interface, source, destination, 64, 17, &payload)
}

/// A solicitation with the sender's link-layer address.
pub fn ns(interface: u8, source: Ipv6Addr, to: Ipv6Addr, target: Ipv6Addr) -> Frame {
    let mut message = vec![NS, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    if !source.is_unspecified() {
        message.extend([1, 1]);
        message.extend(mac6(source));
    }
    icmp6(interface, source, to, 255, &message)
}

/// An advertisement of `target` by `mac`; flags are R 0x80, S 0x40, O 0x20.
pub fn na(interface: u8, target: Ipv6Addr, to: Ipv6Addr, mac: Option<[u8; 6]>, flags: u8) -> Frame {
    let mut message = vec![NA, 0, 0, 0, flags, 0, 0, 0];
    message.extend(target.octets());
    if let Some(mac) = mac {
        message.extend([2, 1]);
        message.extend(mac);
    }
    icmp6(interface, target, to, 255, &message)
}

/// An IPv6 frame as it was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The interface.
    pub out: u8,
    /// The destination MAC address.
    pub to: [u8; 6],
    /// The hop limit.
    pub hops: u8,
    /// The next header.
    pub next: u8,
    /// The source address.
    pub source: Ipv6Addr,
    /// The destination address.
    pub destination: Ipv6Addr,
    /// What follows the IPv6 header.
    pub payload: Vec<u8>,
}

impl Sent {
    /// Reads a frame and checks its lengths, and checksum if it is ICMPv6.
    ///
    /// # Panics
    /// If it is no IPv6 frame or something of it is wrong.
    pub fn read((out, f): &(u8, Frame)) -> Self {
        assert_eq!(f[12..15], [0x86, 0xdd, 0x60], "{f:?}");
        assert_eq!(f[6..12], router_mac(0, *out));
        let address = |at: usize| {
            let octets: [u8; 16] = f[at..at + 16].try_into().unwrap();
            Ipv6Addr::from(octets)
        };
        let sent = Self {
            out: *out,
            to: f[..6].try_into().unwrap(),
            hops: f[21],
            next: f[20],
            source: address(22),
            destination: address(38),
            payload: f[54..].to_vec(),
        };
        assert_eq!(
            u16::from_be_bytes([f[18], f[19]]) as usize,
            sent.payload.len()
        );
        if sent.next == 58 {
            let sum = sum6(sent.source, sent.destination, 58, &sent.payload);
            assert_eq!(sum, 0, "checksum of {sent:?}");
        }
        sent
    }

    /// The type of an ICMPv6 message.
    pub fn kind(&self) -> u8 {
        self.payload[0]
    }

    /// Type, code, the 32 bits behind the checksum, and the quoted packet of an error.
    ///
    /// # Panics
    /// If it is no ICMPv6 message.
    pub fn error(&self) -> (u8, u8, u32, &[u8]) {
        assert_eq!(self.next, 58);
        let detail = u32::from_be_bytes(self.payload[4..8].try_into().unwrap());
        (self.payload[0], self.payload[1], detail, &self.payload[8..])
    }

    /// The target address of a message of Neighbor Discovery.
    ///
    /// # Panics
    /// If it has none.
    pub fn target(&self) -> Ipv6Addr {
        let octets: [u8; 16] = self.payload[8..24].try_into().unwrap();
        Ipv6Addr::from(octets)
    }
}

/// The ICMPv6 messages of a kind that were sent on an interface.
pub fn of_kind(sent: &[Sent], out: u8, kind: u8) -> Vec<Sent> {
    let wanted = |s: &&Sent| s.out == out && s.next == 58 && s.kind() == kind;
    sent.iter().filter(wanted).cloned().collect()
}

impl Bed {
    /// A router whose addresses are its own, and which knows these neighbors, reachable.
    pub fn ready6(text: &str, hosts: &[(u8, &str)]) -> Self {
        let mut bed = Self::new(text, 0);
        bed.poll();
        for _ in 0..380 {
            bed.pass(100);
        }
        bed.sent.clear();
        for &(interface, host) in hosts {
            bed.introduce(interface, a6(host));
        }
        bed.sent.clear();
        bed
    }

    /// Makes a host known as reachable: it is stale after asking, and confirmed.
    pub fn introduce(&mut self, interface: u8, host: Ipv6Addr) {
        let to = local6(interface);
        self.receive(interface, &ns(interface, host, to, to));
        self.receive(interface, &na(interface, host, to, Some(mac6(host)), 0x60));
    }

    /// Takes what was sent, all of it IPv6.
    pub fn take6(&mut self) -> Vec<Sent> {
        self.take().iter().map(Sent::read).collect()
    }
}
