//! Fuzz targets of what is for the router itself: ARP, ICMP, Neighbor Discovery, and packets
//! to its addresses, whole and in fragments. As in `fuzz.rs`, plain `cargo test` runs the
//! corpus and a fixed number of inputs, and `make fuzz` looks for more with coverage.
//!
//! Whatever comes in, what goes out is well-formed, from an address of the router, and never
//! an error about an error.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bolero::{TypeGenerator, check};
use router::FrameMeta;
use testkit::bed::{Bed, checksum, router_mac, set_checksum};

const CONFIG: &str = r#"
[interface.wan]
vif = 0
mtu = 1280
source_route = true
address = ["10.0.0.1/24", "2001:db8::1/64"]
[interface.lan]
vif = 1
address = ["10.0.1.1/24", "10.0.11.1/31", "2001:db8:1::1/64"]
[interface.lan.advertise]
dns = ["2001:db8:1::53"]
[[route]]
prefix = "0.0.0.0/0"
via = ["10.0.0.254"]
[[route]]
prefix = "::/0"
via = ["fe80::fe%wan"]
[[neighbor]]
interface = "wan"
address = "10.0.0.254"
mac = "02:00:00:00:00:fe"
"#;

const MTUS: [usize; 2] = [1280, 1500];

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Addresses of the router, of neighbors, of others, and none.
const V4: [&str; 12] = [
    "10.0.0.1",
    "10.0.1.1",
    "10.0.11.1",
    "10.0.0.9",
    "10.0.1.9",
    "10.0.0.254",
    "192.0.2.1",
    "10.0.1.255",
    "255.255.255.255",
    "224.0.0.1",
    "0.0.0.0",
    "127.0.0.1",
];
const V6: [&str; 16] = [
    "2001:db8::1",
    "2001:db8:1::1",
    "fe80::ff:fe00:a0",
    "fe80::ff:fe00:a1",
    "2001:db8::9",
    "2001:db8:1::9",
    "fe80::9",
    "fe80::fe",
    "2001:db8:1::",
    "2a00::1",
    "::",
    "::1",
    "ff02::1",
    "ff02::2",
    "ff02::1:ff00:1",
    "ff02::16",
];

fn v4(at: u8) -> Ipv4Addr {
    V4[usize::from(at) % V4.len()].parse().expect("a good one")
}

fn v6(at: u8) -> Ipv6Addr {
    V6[usize::from(at) % V6.len()].parse().expect("a good one")
}

/// The sum over a payload behind its pseudo header.
fn sum(source: &[u8], destination: &[u8], protocol: u8, payload: &[u8]) -> u16 {
    let mut all = [source, destination].concat();
    all.extend([0, protocol]);
    all.extend((payload.len() as u16).to_be_bytes());
    all.extend(payload);
    checksum(&all)
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// Where the checksum of a protocol is.
fn sum_at(protocol: u8) -> usize {
    match protocol {
        6 => 16,
        17 => 6,
        _ => 2,
    }
}

/// The MAC address that a frame to this address goes to.
fn mac_of(interface: u8, address: IpAddr) -> [u8; 6] {
    match address {
        IpAddr::V6(a) if a.is_multicast() => {
            let [.., a, b, c, d] = a.octets();
            [0x33, 0x33, a, b, c, d]
        }
        IpAddr::V4(a) if a.is_multicast() => [1, 0, 0x5e, 0, 0, 1],
        IpAddr::V4(a) if a.is_broadcast() || a.octets()[3] == 255 => [0xff; 6],
        _ => router_mac(0, interface),
    }
}

fn ethernet(interface: u8, destination: IpAddr, sender: u8, kind: u16) -> Vec<u8> {
    let mut f = mac_of(interface, destination).to_vec();
    f.extend([2, 0, 0, 0, 1, sender]);
    f.extend(kind.to_be_bytes());
    f
}

/// An IPv4 packet in a frame; `options` are cut to what a header holds.
fn frame4(
    interface: u8,
    [source, destination]: [Ipv4Addr; 2],
    [ttl, protocol]: [u8; 2],
    fragment: u16,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let options = &options[..options.len().min(40) & !3];
    let mut f = ethernet(interface, destination.into(), source.octets()[3], 0x0800);
    let total = 20 + options.len() + payload.len();
    f.extend([0x45 + (options.len() / 4) as u8, 0]);
    f.extend((total as u16).to_be_bytes());
    f.extend([0, 1]);
    f.extend(fragment.to_be_bytes());
    f.extend([ttl, protocol, 0, 0]);
    f.extend(source.octets());
    f.extend(destination.octets());
    f.extend(options);
    set_checksum(&mut f[14..], 10);
    f.extend(payload);
    f
}

fn frame6(
    interface: u8,
    [source, destination]: [Ipv6Addr; 2],
    [hops, next]: [u8; 2],
    payload: &[u8],
) -> Vec<u8> {
    let mut f = ethernet(interface, destination.into(), source.octets()[15], 0x86dd);
    f.extend([0x60, 0, 0, 0]);
    f.extend((payload.len() as u16).to_be_bytes());
    f.extend([next, hops]);
    f.extend(source.octets());
    f.extend(destination.octets());
    f.extend(payload);
    f
}

fn field(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Asserts what holds for every frame that the router sends.
fn assert_sound(out: u8, f: &[u8]) {
    assert_eq!(f[6..12], router_mac(0, out));
    assert!(f.len() <= 14 + MTUS[usize::from(out)]);
    let packet = &f[14..];
    match field(f, 12) {
        0x0806 => assert!(packet[..6] == [0, 1, 8, 0, 6, 4] && packet.len() >= 28),
        0x0800 => assert_sound4(packet),
        0x86dd => assert_sound6(packet),
        kind => panic!("type {kind:x}"),
    }
}

fn assert_sound4(packet: &[u8]) {
    let header_len = usize::from(packet[0] & 15) * 4;
    let total = usize::from(field(packet, 2));
    assert!(packet[0] >> 4 == 4 && header_len >= 20 && total <= packet.len());
    assert_eq!(checksum(&packet[..header_len]), 0);
    assert!(packet[8] > 0);
    let own = v4_is_own(&packet[12..16]);
    let whole = field(packet, 6) & 0x3fff == 0;
    let message = &packet[header_len..total];
    // By a source route of a packet's own, the option's last address is whom it is for.
    let to = match packet[20..header_len] {
        [131 | 137, len, 4, ..] => &packet[16 + usize::from(len)..][..4],
        _ => &packet[16..20],
    };
    if !own || !whole || packet[9] != ICMP {
        return;
    }
    assert_eq!(checksum(message), 0);
    if matches!(message[0], 3 | 5 | 11 | 12) {
        let quote = &message[8..];
        assert_eq!(quote[12..16], *to, "told to whom it concerns");
        assert_eq!(field(quote, 6) & 0x1fff, 0, "never about a later fragment");
        let quoted_len = usize::from(quote[0] & 15) * 4;
        let kind = quote.get(quoted_len).filter(|_| quote[9] == ICMP);
        assert!(
            kind.is_none_or(|k| !matches!(k, 3 | 4 | 5 | 11 | 12)),
            "{kind:?}"
        );
    }
}

fn v4_is_own(address: &[u8]) -> bool {
    V4[..3]
        .iter()
        .any(|own| own.parse::<Ipv4Addr>().unwrap().octets() == address)
}

fn assert_sound6(packet: &[u8]) {
    assert_eq!(packet[0] >> 4, 6);
    let payload = &packet[40..];
    assert_eq!(usize::from(field(packet, 4)), payload.len());
    assert!(packet[7] > 0);
    let (source, destination) = (&packet[8..24], &packet[24..40]);
    assert_ne!(source[0], 0xff);
    let own = V6[..4]
        .iter()
        .any(|own| own.parse::<Ipv6Addr>().unwrap().octets() == source);
    if !own || packet[6] != ICMPV6 {
        return;
    }
    assert_eq!(sum(source, destination, ICMPV6, payload), 0);
    match payload[0] {
        133..=137 => assert_eq!(packet[7], 255),
        0..=127 => {
            assert!(packet.len() <= 1280);
            let quote = &payload[8..];
            assert_eq!(&quote[8..24], destination, "told to whom it concerns");
            let kind = quote.get(40).filter(|_| quote[6] == ICMPV6);
            assert!(kind.is_none_or(|k| *k >= 128 && *k != 137), "{kind:?}");
        }
        _ => {}
    }
}

/// Gives a router one frame after another and asserts what holds in between.
fn run(frames: impl Iterator<Item = (bool, Vec<u8>, u8)>) {
    let mut bed = Bed::new(CONFIG, 0);
    bed.pass(0);
    bed.pass(1500);
    for (interface, frame, pause) in frames {
        bed.receive_as(interface.into(), &frame, FrameMeta::plain(frame.len()));
        bed.assert_balance();
        // A fraction of a second, or long enough for some timer.
        bed.pass(if pause < 200 {
            0
        } else {
            u64::from(pause - 199) * 300
        });
        bed.assert_balance();
        for (out, sent) in bed.take() {
            assert_sound(out, &sent);
        }
    }
}

/// An ARP packet, or an ICMP message of one family.
#[derive(Debug, TypeGenerator)]
struct Message {
    interface: bool,
    source: u8,
    destination: u8,
    family: u8,
    kind: u8,
    code: u8,
    flags: u8,
    target: u8,
    hops: u8,
    tail: Vec<u8>,
    sum: u8,
    pause: u8,
}

impl Message {
    fn frame(&self) -> Vec<u8> {
        match self.family % 8 {
            0 => self.arp(),
            1 | 2 => self.icmp(),
            _ => self.icmpv6(),
        }
    }

    fn arp(&self) -> Vec<u8> {
        let target = v4(self.target);
        let mut f = ethernet(
            self.interface.into(),
            v4(self.destination).into(),
            self.source,
            0x0806,
        );
        f.extend([0, 1, 8, 0, 6, 4, 0, 1 + self.kind % 3]);
        f.extend([2, 0, 0, 0, 1, self.flags]);
        f.extend(v4(self.source).octets());
        f.extend([0, 0, 0, 0, 0, self.code]);
        f.extend(target.octets());
        // What follows replaces the packet from its beginning on.
        for (to, from) in f[14..].iter_mut().zip(self.tail.iter().take(8)) {
            *to ^= from;
        }
        f
    }

    fn icmp(&self) -> Vec<u8> {
        let kinds = [8, 0, 3, 4, 5, 9, 10, 11, 12, 13, 15, 17, self.flags];
        let mut message = vec![kinds[usize::from(self.kind) % kinds.len()], self.code, 0, 0];
        message.extend(&self.tail);
        if !self.sum.is_multiple_of(16) {
            set_checksum(&mut message, 2);
        }
        let ends = [v4(self.source), v4(self.destination)];
        frame4(
            self.interface.into(),
            ends,
            [self.hops, ICMP],
            0,
            &[],
            &message,
        )
    }

    fn icmpv6(&self) -> Vec<u8> {
        let kinds = [
            128,
            133,
            134,
            135,
            136,
            137,
            1,
            2,
            3,
            4,
            129,
            130,
            131,
            143,
            138,
            self.target,
        ];
        let kind = kinds[usize::from(self.kind) % kinds.len()];
        let mut message = vec![kind, self.code, 0, 0, self.flags, 0, 0, 0];
        if matches!(kind, 135..=137) {
            message.extend(v6(self.target).octets());
        }
        message.extend(&self.tail);
        let ends = [v6(self.source), v6(self.destination)];
        if !self.sum.is_multiple_of(16) {
            let right = sum(&ends[0].octets(), &ends[1].octets(), ICMPV6, &message);
            put(&mut message, 2, right);
        }
        let hops = if self.hops.is_multiple_of(16) {
            self.hops
        } else {
            255
        };
        frame6(self.interface.into(), ends, [hops, ICMPV6], &message)
    }
}

#[test]
fn arp_icmp_and_neighbor_discovery() {
    check!()
        .with_iterations(500)
        .with_type::<Vec<Message>>()
        .for_each(|messages| run(messages.iter().map(|m| (m.interface, m.frame(), m.pause))));
}

/// A packet to the router, or a part of one.
#[derive(Debug, TypeGenerator)]
struct Part {
    interface: bool,
    six: bool,
    source: u8,
    destination: u8,
    protocol: u8,
    /// Which packet's fragment it is.
    ident: u8,
    fragment: u16,
    /// IPv4 options, or an IPv6 extension header's content.
    extra: Vec<u8>,
    extension: u8,
    payload: Vec<u8>,
    stretch: u16,
    sum: u8,
    pause: u8,
}

impl Part {
    fn frame(&self) -> Vec<u8> {
        let mut payload = self.payload.clone();
        if self.stretch.is_multiple_of(4) {
            payload.resize(
                payload.len() + usize::from(self.stretch / 4) % 1400,
                self.ident,
            );
        }
        if self.six {
            self.frame6(payload)
        } else {
            self.frame4(payload)
        }
    }

    fn frame4(&self, mut payload: Vec<u8>) -> Vec<u8> {
        let protocols = [ICMP, 17, 6, 2, 47, self.ident];
        let protocol = protocols[usize::from(self.protocol) % protocols.len()];
        let ends = [v4(self.source), v4(self.destination)];
        let fragment = if self.fragment.is_multiple_of(2) {
            (self.fragment / 2) & 0x3fff
        } else {
            0
        };
        if fragment & 0x1fff == 0 && !self.sum.is_multiple_of(16) {
            put(&mut payload, sum_at(protocol), 0);
            let right = match protocol {
                ICMP => checksum(&payload),
                _ => sum(&ends[0].octets(), &ends[1].octets(), protocol, &payload),
            };
            put(&mut payload, sum_at(protocol), right);
        }
        let options = match self.extension % 8 {
            0 => self.extra.clone(),
            4 => self.source_route(),
            _ => vec![],
        };
        let mut f = frame4(
            self.interface.into(),
            ends,
            [64, protocol],
            fragment,
            &options,
            &payload,
        );
        let header_len = usize::from(f[14] & 15) * 4;
        f[19] = self.ident;
        set_checksum(&mut f[14..14 + header_len], 10);
        f
    }

    /// An option that is nearly right: its addresses are some of those above.
    fn source_route(&self) -> Vec<u8> {
        let addresses: Vec<_> = self.extra.iter().take(9).map(|&at| v4(at)).collect();
        let kind = if self.extension < 128 { 131 } else { 137 };
        let pointer = match self.fragment.to_be_bytes() {
            [at, 0..200] => 4 + 4 * (at % 10),
            [at, _] => at,
        };
        let mut option = vec![1, kind, 3 + 4 * addresses.len() as u8, pointer];
        option.extend(addresses.iter().flat_map(|a| a.octets()));
        option
    }

    fn frame6(&self, mut payload: Vec<u8>) -> Vec<u8> {
        let protocols = [ICMPV6, 17, 6, 59, 50, self.ident];
        let protocol = protocols[usize::from(self.protocol) % protocols.len()];
        let ends = [v6(self.source), v6(self.destination)];
        if !self.sum.is_multiple_of(16) {
            put(&mut payload, sum_at(protocol), 0);
            let right = sum(&ends[0].octets(), &ends[1].octets(), protocol, &payload);
            put(&mut payload, sum_at(protocol), right);
        }
        let mut next = protocol;
        if self.fragment.is_multiple_of(2) {
            let [a, b] = (self.fragment / 2).to_be_bytes();
            payload.splice(..0, [next, 0, a, b, 0, 0, 0, self.ident]);
            next = 44;
        }
        let kinds = [0, 60, 43, 51, 135, 140];
        if let Some(&kind) = kinds.get(usize::from(self.extension % 16)) {
            let mut header = [&[next, 0], &self.extra[..]].concat();
            header.resize(header.len().next_multiple_of(8), 0);
            header[1] = (header.len() / 8 - 1) as u8;
            payload.splice(..0, header);
            next = kind;
        }
        frame6(self.interface.into(), ends, [64, next], &payload)
    }
}

#[test]
fn own_traffic() {
    check!()
        .with_iterations(500)
        .with_type::<Vec<Part>>()
        .for_each(|parts| run(parts.iter().map(|p| (p.interface, p.frame(), p.pause))));
}
