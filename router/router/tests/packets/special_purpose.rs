//! The ranges of IANA's special-purpose registries: what is forwarded from and to each.

use std::net::IpAddr;

use router::DropReason;
use testkit::bed::*;
use testkit::bed6::*;

/// Default routes of both families.
const BOTH: &str = r#"
[interface.wan]
vif = 0
address = ["10.0.0.1/24", "2001:db8::1/64"]
[interface.lan]
vif = 1
address = ["10.0.1.1/24", "2001:db8:1::1/64"]
[[route]]
prefix = "0.0.0.0/0"
via = ["10.0.0.254"]
[[route]]
prefix = "::/0"
via = ["2001:db8::fe"]
"#;

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Forwarded,
    Dropped,
    /// Its sender is told.
    Error,
}
use Fate::{Dropped, Error, Forwarded};

impl Fate {
    fn text(self) -> &'static str {
        match self {
            Forwarded => "forwarded",
            Dropped => "dropped",
            Error => "an error",
        }
    }
}

/// A range, its name, whether it may be a source, a destination, and be forwarded to ("yes", "no", "-"
/// where the registry doesn't say), an address in it, and what becomes of packets from there and to
/// there: here, and with Linux.
type Range = (
    &'static str,
    &'static str,
    [&'static str; 3],
    &'static str,
    [Fate; 2],
    [Fate; 2],
);

const YES: [&str; 3] = ["yes"; 3];
const NO: [&str; 3] = ["no"; 3];
const UNSAID: [&str; 3] = ["-"; 3];
const SOURCE: [&str; 3] = ["yes", "no", "no"];
const LINK: [&str; 3] = ["yes", "yes", "no"];
const PASS: [Fate; 2] = [Forwarded; 2];
const DROP: [Fate; 2] = [Dropped; 2];

#[rustfmt::skip]
const RANGES: [Range; 52] = [
    ("0.0.0.0/8", "this network", SOURCE, "0.1.2.3", DROP, PASS),
    ("0.0.0.0/32", "this host on this network", SOURCE, "0.0.0.0", DROP, DROP),
    ("10.0.0.0/8", "private use", YES, "10.9.0.1", PASS, PASS),
    ("100.64.0.0/10", "shared address space", YES, "100.64.0.1", PASS, PASS),
    ("127.0.0.0/8", "loopback", NO, "127.0.0.1", DROP, DROP),
    ("169.254.0.0/16", "link local", LINK, "169.254.1.2", DROP, PASS),
    ("172.16.0.0/12", "private use", YES, "172.16.0.1", PASS, PASS),
    ("192.0.0.0/24", "IETF protocol assignments", NO, "192.0.0.77", PASS, PASS),
    ("192.0.0.0/29", "IPv4 service continuity prefix", YES, "192.0.0.1", PASS, PASS),
    ("192.0.0.8/32", "IPv4 dummy address", SOURCE, "192.0.0.8", PASS, PASS),
    ("192.0.0.9/32", "Port Control Protocol anycast", YES, "192.0.0.9", PASS, PASS),
    ("192.0.0.10/32", "TURN anycast", YES, "192.0.0.10", PASS, PASS),
    ("192.0.0.170/32", "NAT64/DNS64 discovery", NO, "192.0.0.170", PASS, PASS),
    ("192.0.0.171/32", "NAT64/DNS64 discovery", NO, "192.0.0.171", PASS, PASS),
    ("192.0.2.0/24", "documentation (TEST-NET-1)", NO, "192.0.2.1", PASS, PASS),
    ("192.31.196.0/24", "AS112-v4", YES, "192.31.196.1", PASS, PASS),
    ("192.52.193.0/24", "AMT", YES, "192.52.193.1", PASS, PASS),
    ("192.88.99.0/24", "deprecated (6to4 relay anycast)", UNSAID, "192.88.99.1", PASS, PASS),
    ("192.88.99.2/32", "6a44 relay anycast", YES, "192.88.99.2", PASS, PASS),
    ("192.168.0.0/16", "private use", YES, "192.168.0.1", PASS, PASS),
    ("192.175.48.0/24", "direct delegation AS112 service", YES, "192.175.48.1", PASS, PASS),
    ("198.18.0.0/15", "benchmarking", YES, "198.18.0.1", PASS, PASS),
    ("198.51.100.0/24", "documentation (TEST-NET-2)", NO, "198.51.100.1", PASS, PASS),
    ("203.0.113.0/24", "documentation (TEST-NET-3)", NO, "203.0.113.1", PASS, PASS),
    ("240.0.0.0/4", "reserved", NO, "240.0.0.1", DROP, PASS),
    ("255.255.255.255/32", "limited broadcast", ["no", "yes", "no"], "255.255.255.255", DROP, DROP),
    ("::1/128", "loopback address", NO, "::1", DROP, DROP),
    ("::/128", "unspecified address", SOURCE, "::", DROP, [Dropped, Error]),
    ("::ffff:0:0/96", "IPv4-mapped addresses", NO, "::ffff:10.0.9.9", DROP, [Forwarded, Error]),
    ("64:ff9b::/96", "IPv4-IPv6 translation", YES, "64:ff9b::1", PASS, PASS),
    ("64:ff9b:1::/48", "IPv4-IPv6 translation, local use", YES, "64:ff9b:1::1", PASS, PASS),
    ("100::/64", "discard-only address block", YES, "100::1", PASS, PASS),
    ("100:0:0:1::/64", "dummy prefix", SOURCE, "100:0:0:1::1", PASS, PASS),
    ("2001::/23", "IETF protocol assignments", NO, "2001:100::1", PASS, PASS),
    ("2001::/32", "Teredo", YES, "2001::1", PASS, PASS),
    ("2001:1::1/128", "Port Control Protocol anycast", YES, "2001:1::1", PASS, PASS),
    ("2001:1::2/128", "TURN anycast", YES, "2001:1::2", PASS, PASS),
    ("2001:1::3/128", "DNS-SD Service Registration Protocol anycast", YES, "2001:1::3", PASS, PASS),
    ("2001:2::/48", "benchmarking", YES, "2001:2::1", PASS, PASS),
    ("2001:3::/32", "AMT", YES, "2001:3::1", PASS, PASS),
    ("2001:4:112::/48", "AS112-v6", YES, "2001:4:112::1", PASS, PASS),
    ("2001:10::/28", "deprecated (ORCHID)", UNSAID, "2001:10::1", PASS, PASS),
    ("2001:20::/28", "ORCHIDv2", YES, "2001:20::1", PASS, PASS),
    ("2001:30::/28", "drone remote ID protocol entity tags", YES, "2001:30::1", PASS, PASS),
    ("2001:db8::/32", "documentation", NO, "2001:db8:9::1", PASS, PASS),
    ("2002::/16", "6to4", YES, "2002::1", PASS, PASS),
    ("2620:4f:8000::/48", "direct delegation AS112 service", YES, "2620:4f:8000::1", PASS, PASS),
    ("3fff::/20", "documentation", NO, "3fff::1", PASS, PASS),
    ("5f00::/16", "segment routing (SRv6) SIDs", YES, "5f00::1", PASS, PASS),
    ("fc00::/7", "unique-local", YES, "fd00::1", PASS, PASS),
    ("fe80::/10", "link-local unicast", LINK, "fe80::99", [Error, Dropped], [Error, Error]),
    ("ff00::/8", "multicast, of another registry", UNSAID, "ff0e::1", DROP, DROP),
];

fn bed(config: &str) -> Bed {
    let mut bed = Bed::ready6(config, &[(WAN, "2001:db8::fe"), (LAN, "2001:db8:1::9")]);
    for (interface, host) in [(WAN, [10, 0, 0, 254]), (LAN, [10, 0, 1, 9])] {
        let target = [10, 0, interface, 1];
        bed.receive(interface, &arp(1, host_mac(host), host, [0; 6], target));
    }
    bed.take();
    bed
}

/// What becomes of a packet from one address to another, which arrives from the second interface.
fn fate(bed: &mut Bed, from: IpAddr, to: IpAddr) -> Fate {
    let frame = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => udp(LAN, from.octets(), to.octets(), 10),
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut frame = udp6(LAN, from, to, 10);
            frame[..6].copy_from_slice(&router_mac(0, LAN));
            frame
        }
        _ => panic!("of two families"),
    };
    bed.receive(LAN, &frame);
    let sent = bed.take();
    let is_arp = |f: &Frame| f[12..14] == [8, 6];
    match sent.iter().find(|(_, f)| !is_arp(f)) {
        Some((WAN, _)) => Forwarded,
        // An error, or a question who has the address that it goes to.
        Some(_) => Error,
        None => Dropped,
    }
}

fn hosts(of: IpAddr) -> (IpAddr, IpAddr) {
    let [near, far] = match of {
        IpAddr::V4(_) => ["10.0.1.9", "20.0.0.1"],
        IpAddr::V6(_) => ["2001:db8:1::9", "2a00::1"],
    };
    (near.parse().unwrap(), far.parse().unwrap())
}

#[test]
fn each_range_fares_as_the_table_says() {
    let document = include_str!("../../../../docs/SPECIAL-PURPOSE.md");
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<&str> = rows.collect();
    assert_eq!(rows.len(), RANGES.len());
    for ((prefix, name, registry, sample, here, linux), row) in RANGES.into_iter().zip(rows) {
        let of: IpAddr = sample.parse().unwrap();
        let (near, far) = hosts(of);
        let mut bed = bed(BOTH);
        let found = [fate(&mut bed, of, far), fate(&mut bed, near, of)];
        assert_eq!(found, here, "{prefix}");
        bed.assert_balance();
        let [source, destination, forwardable] = registry;
        let [from, to] = here.map(Fate::text);
        let [linux_from, linux_to] = linux.map(Fate::text);
        let wanted = format!(
            "| `{prefix}` | {name} | {source} | {destination} | {forwardable} | {from} | {to} | {linux_from} | {linux_to} |"
        );
        assert_eq!(row, wanted);
    }
}

/// RFC 3927 2.7, but where somebody says otherwise.
#[test]
fn addresses_of_one_link_pass_where_they_have_a_network_or_a_route() {
    let [link, other] = ["169.254.7.9", "169.254.200.9"].map(|a| a.parse().unwrap());
    let (near, far) = hosts(link);
    let network = BOTH.replace("\"10.0.1.1/24\"", "\"10.0.1.1/24\", \"169.254.7.1/24\"");
    let whole = BOTH.replace("\"10.0.1.1/24\"", "\"10.0.1.1/24\", \"169.254.7.1/16\"");
    let route = format!("{BOTH}[[route]]\nprefix = \"169.254.7.0/24\"\nvia = [\"10.0.0.254\"]\n");
    for (config, passes) in [
        (BOTH, [false, false]),
        (&network, [true, false]),
        (&whole, [true, true]),
        (&route, [true, false]),
    ] {
        for (source, passes) in [link, other].into_iter().zip(passes) {
            let mut bed = bed(config);
            let wanted = if passes { Forwarded } else { Dropped };
            assert_eq!(fate(&mut bed, source, far), wanted, "{config}");
            let martian = bed.dropped(LAN, DropReason::MartianSource);
            assert_eq!(martian, u64::from(!passes));
            fate(&mut bed, near, source);
            let martian = bed.dropped(LAN, DropReason::MartianDestination);
            assert_eq!(martian, u64::from(!passes), "{config}");
        }
    }
    // Others that begin so are anybody's.
    let mut bed = bed(BOTH);
    assert_eq!(
        fate(&mut bed, "169.253.0.1".parse().unwrap(), far),
        Forwarded
    );
    assert_eq!(
        fate(&mut bed, near, "169.255.0.1".parse().unwrap()),
        Forwarded
    );
    let all = BOTH.to_owned() + "[[route]]\nprefix = \"169.254.0.0/16\"\nvia = [\"10.0.0.254\"]\n";
    let error = config::from_toml(&all).unwrap_err();
    assert!(error.text.contains("of one link"), "{error}");
}
