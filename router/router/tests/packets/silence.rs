//! When no ICMP error may be sent, clause by clause (RFC 1122 3.2.2, RFC 1812 4.3.2.7, RFC 4443 2.4
//! (e)), with options, extension headers and fragments in the way; beside each the nearest packet
//! that causes one.

use router::InterfaceId;
use std::net::Ipv6Addr;
use testkit::bed::*;
use testkit::bed6::*;

const A: [u8; 4] = [10, 0, 0, 9];
const B: [u8; 4] = [10, 0, 1, 9];
const ROUTER: [u8; 4] = [10, 0, 0, 1];
const MF: u16 = 0x2000;
const AH: u8 = 51;

const A6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
const B6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 9);
const ROUTER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// How many errors a frame from the left causes.
fn errors(bed: &mut Bed, frame: &[u8]) -> u64 {
    let count = |bed: &Bed| {
        let counters = bed.router.counters(InterfaceId(WAN)).unwrap();
        counters.icmp_errors + counters.icmp_suppressed
    };
    let before = count(bed);
    bed.receive(WAN, frame);
    bed.take();
    bed.assert_balance();
    count(bed) - before
}

/// A packet of IPv4 that could cause an error.
#[derive(Clone)]
struct Four {
    source: [u8; 4],
    destination: [u8; 4],
    fragment: u16,
    options: &'static [u8],
    protocol: u8,
    payload: Vec<u8>,
    /// The destination MAC address, if not the router's.
    mac: Option<[u8; 6]>,
}

impl Four {
    fn new(protocol: u8, payload: &[u8]) -> Self {
        Self {
            source: A,
            destination: B,
            fragment: 0,
            options: &[],
            protocol,
            payload: payload.to_vec(),
            mac: None,
        }
    }

    fn udp() -> Self {
        Self::new(17, &[3, 232, 7, 208, 0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
    }

    fn icmp(kind: u8) -> Self {
        Self::new(1, &[kind, 0, 0, 0, 0, 0, 0, 0])
    }

    /// The same behind an authentication header (RFC 4302 2).
    fn authenticated(self) -> Self {
        let mut payload = vec![self.protocol, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
        payload.extend([7; 12]);
        payload.extend(self.payload);
        Self {
            protocol: AH,
            payload,
            ..self
        }
    }

    fn frame(&self, ttl: u8) -> Frame {
        let payload = &self.payload;
        let mut f = ip(
            WAN,
            self.source,
            self.destination,
            ttl,
            self.protocol,
            payload,
        );
        f.splice(34..34, self.options.iter().copied());
        let header = 20 + self.options.len();
        f[14] = 0x40 | (header / 4) as u8;
        let total = (header + payload.len()) as u16;
        f[16..18].copy_from_slice(&total.to_be_bytes());
        f[20..22].copy_from_slice(&self.fragment.to_be_bytes());
        set_checksum(&mut f[14..14 + header], 10);
        if let Some(mac) = self.mac {
            f[..6].copy_from_slice(&mac);
        }
        f
    }

    /// How many errors it causes by its TTL, and by where it goes: to where no route leads, or to a
    /// protocol or port that the router doesn't have.
    fn errors(&self) -> [u64; 3] {
        let text = CONFIG.replace("via = [\"10.0.0.254\"]", "action = \"unreachable\"");
        let mut bed = Bed::ready(&text, &[(WAN, A), (LAN, B)]);
        let to = |destination| Self {
            destination,
            ..self.clone()
        };
        let local = to(ROUTER).frame(64);
        [
            errors(&mut bed, &self.frame(1)),
            errors(&mut bed, &to([99, 0, 0, 9]).frame(64)),
            errors(&mut bed, &local),
        ]
    }
}

/// RFC 1122: an ICMP error message.
#[test]
fn no_error_about_an_error() {
    const NOPS: &[u8] = &[1; 4];
    for kind in 0..=u8::MAX {
        let query = matches!(kind, 0 | 8 | 9 | 10 | 13..=18 | 42 | 43);
        let wanted = u64::from(query);
        let plain = Four::icmp(kind);
        let with_options = Four {
            options: NOPS,
            ..plain.clone()
        };
        let first_fragment = Four {
            fragment: MF,
            ..plain.clone()
        };
        for (what, packet) in [
            ("plain", &plain),
            ("with options", &with_options),
            ("the first fragment", &first_fragment),
            ("authenticated", &plain.clone().authenticated()),
            (
                "authenticated, with options",
                &with_options.clone().authenticated(),
            ),
        ] {
            let [expired, unreachable, _] = packet.errors();
            assert_eq!([expired, unreachable], [wanted; 2], "type {kind}, {what}");
            let authenticated = packet.protocol == AH;
            // To the router itself an error is nothing, nor is the answer to what it never asked.
            if !query && !authenticated {
                assert_eq!(packet.errors()[2], 0, "type {kind}, {what}");
            }
        }
    }
    // Cut so short that it doesn't tell.
    assert_eq!(Four::new(1, &[]).errors(), [0; 3]);
    assert_eq!(Four::new(AH, &[1, 4, 0, 0]).errors()[..2], [0; 2]);
    assert_eq!(Four::udp().authenticated().errors()[..2], [1; 2]);
}

/// RFC 1122: a non-initial fragment.
#[test]
fn no_error_about_a_later_fragment() {
    for options in [&[][..], &[1; 8]] {
        for (fragment, wanted) in [(0, 1), (MF, 1), (1, 0), (MF | 1, 0), (0x1fff, 0)] {
            let packet = Four {
                fragment,
                options,
                ..Four::udp()
            };
            let [expired, unreachable, _] = packet.errors();
            assert_eq!(
                [expired, unreachable],
                [wanted; 2],
                "{fragment:x}, {options:?}"
            );
        }
    }
}

/// RFC 1122: a datagram destined to an IP broadcast or multicast address.
#[test]
fn no_error_about_what_was_for_more_than_one() {
    for destination in [
        [255; 4],
        [224, 0, 0, 1],
        [239, 1, 2, 3],
        [240, 0, 0, 1],
        // Of networks here, old form and new.
        [10, 0, 0, 255],
        [10, 0, 0, 0],
        [10, 0, 1, 255],
        [10, 0, 11, 255],
    ] {
        for mac in [None, Some([0xff; 6])] {
            let packet = Four {
                destination,
                mac,
                ..Four::udp()
            };
            let mut bed = Bed::ready(CONFIG, &[(WAN, A), (LAN, B)]);
            for ttl in [1, 64] {
                let found = errors(&mut bed, &packet.frame(ttl));
                assert_eq!(found, 0, "{destination:?}, {mac:?}, {ttl}");
            }
        }
    }
}

/// RFC 1122: a datagram sent as a link-layer broadcast.
#[test]
fn no_error_about_what_the_link_had_for_more_than_one() {
    for mac in [[0xff; 6], [1, 0, 0x5e, 0, 0, 1], [3, 0xbf, 10, 0, 0, 1]] {
        let packet = Four {
            mac: Some(mac),
            ..Four::udp()
        };
        assert_eq!(packet.errors(), [0; 3], "{mac:?}");
    }
    assert_eq!(Four::udp().errors(), [1; 3]);
}

/// RFC 1122, RFC 1812: a source that isn't one host: zero, loopback, broadcast, multicast, class E.
#[test]
fn no_error_to_nobody_or_many() {
    for source in [
        [0; 4],
        [0, 1, 2, 3],
        [127, 0, 0, 1],
        [224, 0, 0, 1],
        [239, 1, 2, 3],
        [240, 0, 0, 1],
        [255; 4],
        [10, 0, 0, 0],
        [10, 0, 0, 255],
        [10, 0, 1, 255],
        // The router itself.
        ROUTER,
        [10, 0, 1, 1],
    ] {
        let packet = Four {
            source,
            ..Four::udp()
        };
        assert_eq!(packet.errors(), [0; 3], "{source:?}");
    }
}

/// RFC 1812 5.2.2: a header that isn't sound.
#[test]
fn no_error_about_what_is_damaged() {
    type Damage = fn(&mut Frame);
    let cases: [(&str, Damage); 4] = [
        ("version", |f| f[14] = 0x55),
        ("header length", |f| f[14] = 0x44),
        ("checksum", |f| f[24] ^= 1),
        ("total length", |f| f[16] = 0xff),
    ];
    for (what, damage) in cases {
        let mut bed = Bed::ready(CONFIG, &[(WAN, A), (LAN, B)]);
        let mut frame = Four::udp().frame(1);
        damage(&mut frame);
        assert_eq!(errors(&mut bed, &frame), 0, "{what}");
    }
}

/// What stands between the IPv6 header and the rest.
const HEADERS: [(&str, &[u8], &[u8]); 7] = [
    ("nothing", &[], &[]),
    ("hop-by-hop options", &[0], &[0, 1, 4, 0, 0, 0, 0]),
    ("destination options", &[60], &[0, 1, 4, 0, 0, 0, 0]),
    ("a routing header", &[43], &[0, 4, 0, 0, 0, 0, 0]),
    ("an atomic fragment", &[44], &[0, 0, 0, 0, 0, 0, 1]),
    (
        "an authentication header",
        &[AH],
        &[
            4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
        ],
    ),
    ("a mobility header", &[135], &[0, 0, 0, 0, 0, 0, 0]),
];

/// A packet behind extension headers, in the order given: each by its number and what follows the
/// number of the next one.
fn six(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hops: u8,
    headers: &[(u8, &[u8])],
    (protocol, upper): (u8, &[u8]),
) -> Frame {
    let mut payload = Vec::new();
    for (at, (_, header)) in headers.iter().enumerate() {
        payload.push(headers.get(at + 1).map_or(protocol, |next| next.0));
        payload.extend(*header);
    }
    payload.extend(upper);
    let first = headers.first().map_or(protocol, |first| first.0);
    ip6(WAN, source, destination, hops, first, &payload)
}

fn bed6() -> Bed {
    let text = CONFIG6.replace("via = [\"fe80::fe%wan\"]", "action = \"unreachable\"");
    Bed::ready6(&text, &[(WAN, "2001:db8::9"), (LAN, "2001:db8:1::9")])
}

/// How many errors a packet causes by its hop limit, and because no route leads on.
fn errors6(headers: &[(u8, &[u8])], upper: (u8, &[u8])) -> [u64; 2] {
    let mut bed = bed6();
    let far = Ipv6Addr::new(0x2a00, 0, 0, 0, 0, 0, 0, 9);
    [
        errors(&mut bed, &six(A6, B6, 1, headers, upper)),
        errors(&mut bed, &six(A6, far, 64, headers, upper)),
    ]
}

/// RFC 4443 2.4 (e.1) and (e.2): an ICMPv6 error message, a redirect.
#[test]
fn no_error_about_an_error_of_icmpv6() {
    for (what, number, header) in HEADERS {
        let headers: Vec<_> = number.iter().map(|&number| (number, header)).collect();
        for kind in [0, 1, 2, 3, 4, 100, 127, 128, 129, 137, 138, 160, 255] {
            let message = [kind, 0, 0, 0, 0, 0, 0, 0];
            let wanted = u64::from(kind >= 128 && kind != 137);
            let found = errors6(&headers, (58, &message));
            assert_eq!(found, [wanted; 2], "type {kind} behind {what}");
        }
        assert_eq!(
            errors6(&headers, (17, &[0; 8])),
            [1; 2],
            "UDP behind {what}"
        );
        // It may be one: the headers don't end where the packet does.
        let cut = six(A6, B6, 1, &headers, (60, &[58]));
        assert_eq!(errors(&mut bed6(), &cut), 0, "options cut behind {what}");
    }
    // Behind all of them at once, and behind too many to look at.
    let options: (u8, &[u8]) = (60, &[0, 1, 4, 0, 0, 0, 0]);
    for count in [2, 7, 9, 30] {
        let headers = vec![options; count];
        assert_eq!(
            errors6(&headers, (58, &[1, 0, 0, 0, 0, 0, 0, 0])),
            [0; 2],
            "{count}"
        );
    }
    assert_eq!(errors6(&[options; 7], (17, &[0; 8])), [1; 2]);
}

/// A fragment that doesn't tell whether it is part of an error.
#[test]
fn no_error_about_a_later_fragment_of_icmpv6() {
    let fragment = |place: u8| [0, 0, place, 0, 0, 0, 1];
    for (place, wanted) in [(0, 1), (1, 1), (8, 0), (9, 0)] {
        let header = fragment(place);
        let headers: [(u8, &[u8]); 1] = [(44, &header)];
        let found = errors6(&headers, (58, &[128, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(found, [wanted; 2], "{place}");
    }
}

/// RFC 4443 2.4 (e.3) to (e.5): to groups, of IPv6 or the link, but for an option that wants it.
#[test]
fn no_error_about_what_groups_of_ipv6_got() {
    let all: Ipv6Addr = a6("ff02::1");
    let options = |kind: u8| [0, kind, 0, 1, 2, 0, 0];
    // What an unknown option wants its upper bits say: 2 an error even for groups, 3 for one only.
    for (kind, group, alone) in [(0x1e, 0, 1), (0x5e, 0, 0), (0x9e, 1, 1), (0xde, 0, 1)] {
        for protocol in [0, 60] {
            let header = options(kind);
            let headers: [(u8, &[u8]); 1] = [(protocol, &header)];
            // To a port that isn't served.
            let datagram = udp6(WAN, A6, ROUTER6, 4);
            let frame = |to| six(A6, to, 64, &headers, (17, &datagram[54..]));
            let found = errors(&mut bed6(), &frame(all));
            assert_eq!(found, group, "option {kind:x} of {protocol} to a group");
            let found = errors(&mut bed6(), &frame(ROUTER6));
            assert_eq!(found, alone, "option {kind:x} of {protocol}");
        }
    }
    for mac in [[0xff; 6], [0x33, 0x33, 0, 0, 0, 1]] {
        let mut frame = udp6(WAN, A6, B6, 4);
        frame[21] = 1;
        assert_eq!(errors(&mut bed6(), &frame), 1);
        frame[..6].copy_from_slice(&mac);
        assert_eq!(errors(&mut bed6(), &frame), 0, "{mac:?}");
    }
}

/// RFC 4443 2.4 (e.6): a source that doesn't name one node.
#[test]
fn no_error_to_nobody_or_many_of_ipv6() {
    for source in [
        "::",
        "::1",
        "ff02::1",
        "ff0e::1",
        "::ffff:10.0.0.9",
        // Any router of a network here, and the router itself.
        "2001:db8::",
        "2001:db8:1::",
        "2001:db8::1",
    ] {
        for (to, hops) in [(B6, 1), (ROUTER6, 64)] {
            let mut frame = udp6(WAN, a6(source), to, 4);
            frame[21] = hops;
            assert_eq!(errors(&mut bed6(), &frame), 0, "{source} to {to}");
        }
    }
}
