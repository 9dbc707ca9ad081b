//! Routes that come and go, and what becomes of them as links do.

use super::*;
use crate::route::routes::SETTLING;
use crate::route::target::Target;
use crate::snapshot::{self, RouteTableSnapshot};
use config::RouteTarget;
use config::{Via, from_toml};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::format;
use std::net::IpAddr;
use std::string::String;
use std::string::ToString;
use std::vec;
use std::vec::Vec;
use wire::addr::Network;

const CONFIG: &str = r#"
[interface.a]
vif = 0
address = ["10.0.0.1/24", "2001:db8:0::1/64"]
[interface.b]
vif = 1
address = ["10.0.1.1/24", "2001:db8:1::1/64"]
[[route]]
prefix = "10.0.1.1/32"
via = ["10.0.0.9"]
"#;

/// The files of a table that is shown, and how many routes each has.
fn files(shown: &RouteTableSnapshot) -> Vec<(&str, usize)> {
    let files = shown.files.iter();
    files.map(|it| (it.path.as_str(), it.routes)).collect()
}

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

fn route(prefix: &str, target: RouteTarget) -> RouteConfig {
    RouteConfig {
        prefix: network(prefix),
        vrf: 0,
        target,
        mtu: None,
    }
}

/// What happens to a router.
#[derive(Clone, Debug)]
enum Event {
    Insert(Network, RouteTarget, Option<u16>),
    Remove(Network),
    /// Interface `a` or `b` comes up or goes down.
    Link(u8, bool),
}

/// Prefixes that nest and meet: among them those of the links, of the router's addresses and of
/// everything.
fn prefix() -> impl Strategy<Value = Network> {
    let four = (
        0u32..4,
        0u32..4,
        prop::sample::select(&[0u8, 8, 15, 16, 23, 24, 31, 32][..]),
    )
        .prop_map(|(third, last, len)| Network {
            address: IpAddr::V4((0x0a00_0000 | third << 8 | last).into()),
            len,
        });
    let six = (
        0u128..4,
        0u128..4,
        prop::sample::select(&[0u8, 32, 46, 48, 63, 64, 127, 128][..]),
    )
        .prop_map(|(third, last, len)| Network {
            address: IpAddr::V6((0x2001_0db8 << 96 | third << 80 | last).into()),
            len,
        });
    prop_oneof![four, six].prop_map(Network::masked)
}

fn gateway(six: bool, interface: usize, host: u8) -> Via {
    let address = match six {
        false => IpAddr::V4([10, 0, interface as u8, host].into()),
        true => {
            IpAddr::V6((0x2001_0db8 << 96 | (interface as u128) << 80 | u128::from(host)).into())
        }
    };
    Via {
        address,
        interface,
        weight: 1 + host % 3,
    }
}

fn step() -> impl Strategy<Value = Event> {
    let gateways = prop::collection::vec((0usize..2, 10u8..13), 1..4);
    let mtu = prop::option::weighted(0.2, 1280u16..1282);
    let insert = (prefix(), gateways, 0u8..6, mtu).prop_map(|(prefix, gateways, kind, mtu)| {
        let target = match kind {
            0 => RouteTarget::Blackhole,
            1 => RouteTarget::Interface(gateways[0].0),
            _ => {
                let six = prefix.address.is_ipv6();
                let mut all: Vec<Via> = Vec::new();
                for (interface, host) in gateways {
                    let via = gateway(six, interface, host);
                    if !all.contains(&via) {
                        all.push(via);
                    }
                }
                RouteTarget::Via(all)
            }
        };
        Event::Insert(prefix, target, mtu)
    });
    prop_oneof![
        6 => insert,
        3 => prefix().prop_map(Event::Remove),
        1 => (0u8..2, any::<bool>()).prop_map(|(at, up)| Event::Link(at, up)),
    ]
}

/// A router and what it should know.
struct Model {
    router: Router,
    routes: BTreeMap<Network, RouteTarget>,
    up: [bool; 2],
}

impl Model {
    fn new() -> Self {
        let config = from_toml(CONFIG).unwrap();
        let routes = config.routes.iter().map(|r| (r.prefix, r.target.clone()));
        Self {
            router: Router::new(&config, 1, Instant(0)),
            routes: routes.collect(),
            up: [false; 2],
        }
    }

    fn take(&mut self, step: &Event) {
        match step {
            Event::Insert(prefix, target, mtu) => {
                let route = RouteConfig {
                    prefix: *prefix,
                    vrf: 0,
                    target: target.clone(),
                    mtu: *mtu,
                };
                self.router.insert_route(&route).unwrap();
                self.routes.insert(*prefix, target.clone());
            }
            Event::Remove(prefix) => {
                let found = self.router.remove_route(*prefix);
                assert_eq!(found, self.routes.remove(prefix).is_some());
            }
            &Event::Link(at, up) => {
                let id = InterfaceId(at);
                if up {
                    self.router
                        .link_up(Instant(0), id, [2, 0, 0, 0, 0, at], 1500);
                } else {
                    self.router.link_down(id);
                }
                self.up[usize::from(at)] = up;
            }
        }
    }

    /// The interfaces and gateways that packets to an address use, by all that is known.
    fn wanted(&self, address: IpAddr) -> Vec<String> {
        let mut best: Option<(u8, Vec<String>)> = None;
        let mut offer = |network: Network, what: Vec<String>| {
            let longer = best.as_ref().is_none_or(|(len, _)| *len <= network.len);
            if network.contains(address) && longer && !what.is_empty() {
                best = Some((network.len, what));
            }
        };
        for (&prefix, target) in &self.routes {
            let what = match target {
                RouteTarget::Interface(at) if self.up[*at] => vec![format!("link {at}")],
                RouteTarget::Via(gateways) => {
                    let usable = gateways.iter().filter(|v| self.up[v.interface]);
                    usable.map(|v| v.address.to_string()).collect()
                }
                RouteTarget::Blackhole => vec!["blackhole".to_string()],
                _ => vec![],
            };
            offer(prefix, what);
        }
        // What the router has itself wins over routes with the same prefix.
        for (at, up) in self.up.into_iter().enumerate() {
            for own in [format!("10.0.{at}.1/24"), format!("2001:db8:{at}::1/64")] {
                let own = network(&own);
                if up {
                    offer(own.masked(), vec![format!("link {at}")]);
                }
                let len = if own.address.is_ipv4() { 32 } else { 128 };
                let host = Network { len, ..own };
                if own.address.is_ipv4() {
                    for end in ["0", "255"] {
                        let end = format!("10.0.{at}.{end}/32");
                        offer(network(&end), vec!["broadcast".to_string()]);
                    }
                    offer(host, vec!["local".to_string()]);
                } else {
                    offer(host, vec!["tentative".to_string()]);
                }
            }
        }
        let mut what = best.map_or(vec!["no route".to_string()], |(_, what)| what);
        what.sort();
        what
    }

    fn named(&self, target: Target) -> String {
        match target {
            Target::Neighbor(index) => {
                let entry = self.router.state.neighbors.entry(index as usize).unwrap();
                assert!(entry.pinned > 0 && self.up[entry.interface.index()]);
                entry.address.to_string()
            }
            Target::OnLink(at) => format!("link {at}"),
            Target::Local => "local".to_string(),
            Target::Drop(DropReason::Blackhole) => "blackhole".to_string(),
            Target::Drop(DropReason::Broadcast) => "broadcast".to_string(),
            Target::Drop(DropReason::TentativeAddress) => "tentative".to_string(),
            Target::Drop(DropReason::NoRoute) => "no route".to_string(),
            target => panic!("{target:?}"),
        }
    }

    /// What the router's tables say, in all their ways.
    fn found(&self, address: IpAddr) -> Vec<String> {
        let router = &self.router;
        let target = match address {
            IpAddr::V4(address) => {
                let address = address.to_bits();
                let target = router.tables.vrfs.get(0).fib.lookup(address);
                let mut burst = [address, !address, !address, address];
                router
                    .tables
                    .vrfs
                    .get(0)
                    .fib
                    .answer(&mut burst, |target, _| target);
                assert_eq!((burst[0], burst[3]), (target.number(), target.number()));
                target
            }
            IpAddr::V6(address) => {
                Target::from_number(router.tables.vrfs.get(0).fib6.lookup(address.to_bits()))
            }
        };
        let Target::Group(group) = target else {
            return vec![self.named(target)];
        };
        let group = router.tables.vrfs.groups.get(group).unwrap();
        let picks = (0..200u32).map(|i| group.pick(i.wrapping_mul(0x9e37_79b9)).unwrap());
        let mut names: Vec<_> = picks.map(|t| self.named(Target::from_number(t))).collect();
        names.sort();
        names.dedup();
        names
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn tables_agree_with_a_model(steps in prop::collection::vec((step(), any::<bool>()), 1..60)) {
        let mut model = Model::new();
        for (step, settled) in steps {
            model.take(&step);
            if settled {
                model.router.tables.vrfs.get_mut(0).settle();
            }
            for third in 0..4u16 {
                for last in [0u8, 1, 2, 3, 255] {
                    let four = IpAddr::V4([10, 0, third as u8, last].into());
                    let six = [0x2001, 0xdb8, third, 0, 0, 0, 0, last.into()];
                    for address in [four, IpAddr::V6(six.into())] {
                        prop_assert_eq!(model.found(address), model.wanted(address), "{}", address);
                    }
                }
            }
            let four = model.routes.keys().filter(|n| n.address.is_ipv4()).count();
            prop_assert_eq!(model.router.route_counts(), (four, model.routes.len() - four));
        }
        let all: Vec<Network> = model.routes.keys().copied().collect();
        for prefix in all {
            model.take(&Event::Remove(prefix));
        }
        // Nothing is held any more.
        prop_assert!(model.router.state.neighbors.iter().all(|(_, e)| e.pinned == 0));
        prop_assert!(model.router.state.groups.is_empty());
    }
}

fn is_settled(router: &mut Router) -> bool {
    router.tables.vrfs.get_mut(0).is_settled()
}

#[test]
fn single_changes_are_copied_when_they_had_time_to_gather() {
    let mut router = Model::new().router;
    let blackhole = |router: &mut Router, text| {
        let target = RouteTarget::Blackhole;
        router.insert_route(&route(text, target)).unwrap();
    };
    let start = Instant(5);
    assert!(is_settled(&mut router));
    blackhole(&mut router, "192.0.2.0/24");
    assert!(!is_settled(&mut router));
    let due = router.step(start).settle_routes().unwrap();
    assert_eq!(due, start.saturating_add(SETTLING));
    blackhole(&mut router, "198.51.100.0/24");
    assert_eq!(router.step(start).settle_routes(), Some(due));
    assert_eq!(router.step(due).settle_routes(), None);
    assert!(is_settled(&mut router));
    let found = router.tables.vrfs.get(0).fib.lookup(0xc633_6407);
    assert_eq!(found, Target::Drop(DropReason::Blackhole));
}

#[test]
fn gateways_are_limited() {
    let mut router = Model::new().router;
    let via = |host: u32| {
        RouteTarget::Via(vec![Via {
            address: IpAddr::V4((0x0a00_0000 + host).into()),
            interface: 0,
            weight: 1,
        }])
    };
    let insert =
        |router: &mut Router, text: &str, host: u32| router.insert_route(&route(text, via(host)));
    let most = (0..5000u32).find(|&host| {
        let prefix = format!("20.{}.{}.0/24", host >> 8, host & 255);
        insert(&mut router, &prefix, host).is_err()
    });
    assert_eq!(most, Some(1024));
    let another = "192.0.2.0/24";
    assert_eq!(
        insert(&mut router, another, 5000),
        Err(RouteError::TooManyGateways)
    );
    assert!(!router.remove_route(network(another)));
    assert!(router.remove_route(network("20.0.7.0/24")));
    assert_eq!(insert(&mut router, another, 5000), Ok(()));
}

/// A tar archive of files, as far as it is read.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, data) in files {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..262].copy_from_slice(b"ustar");
        let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(data.as_bytes());
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive
}

#[test]
fn routes_of_files_are_routes() {
    let toml = format!("{CONFIG}[[route_file]]\npath = \"a\"\n[[route_file]]\npath = \"b\"\n");
    let with = |b: &str| {
        let a = "192.0.2.0/24 10.0.0.9 10.0.1.9\n192.0.2.0/25 10.0.1.9\n::/0 2001:db8:1::9\n";
        archive(&[("ringway.toml", &toml), ("a", a), ("b", b)])
    };
    let ramdisk = with("198.51.100.0/24 a\n");
    let config = config::from_ramdisk(&ramdisk).unwrap();
    let mut router = Router::new(&config, 1, Instant(0));
    router.read_route_files(&ramdisk).unwrap();
    assert_eq!(router.route_counts(), (4, 1));
    router.link_up(Instant(0), InterfaceId(0), [2, 0, 0, 0, 0, 1], 1500);
    let lookup = |router: &Router, address| router.tables.vrfs.get(0).fib.lookup(address);
    // What needs the other link is hidden, and what is shorter serves.
    let whole = lookup(&router, 0xc000_0201);
    assert!(matches!(whole, Target::Group(_)), "{whole:?}");
    assert_eq!(lookup(&router, 0xc633_6401), Target::OnLink(0));
    router.link_up(Instant(0), InterfaceId(1), [2, 0, 0, 0, 0, 2], 1500);
    let half = lookup(&router, 0xc000_0201);
    assert!(matches!(half, Target::Neighbor(_)), "{half:?}");
    assert_eq!(lookup(&router, 0xc000_0281), whole);
    let shown = snapshot::routes(&router, 0).unwrap();
    assert_eq!(files(&shown), [("a", 3), ("b", 1)]);
    assert_eq!((shown.ipv4.routes, shown.ipv6.routes), (4, 1));

    // Another file, or the configuration itself, may have the prefix already.
    for (line, wanted) in [
        (
            "192.0.2.0/25 blackhole",
            "b:2: there is another route 192.0.2.0/25",
        ),
        (
            "10.0.1.1/32 blackhole",
            "b:2: there is another route 10.0.1.1/32",
        ),
        ("192.0.2.0/26 c", "b:2: \"c\" is no gateway"),
    ] {
        let ramdisk = with(&format!("\n{line}\n"));
        let mut router = Router::new(&config, 1, Instant(0));
        let error = router.read_route_files(&ramdisk).unwrap_err();
        assert!(error.text.starts_with(wanted), "{error}");
    }
    // A configuration without files takes the place of all.
    router
        .apply(Instant(0), &from_toml(CONFIG).unwrap())
        .unwrap();
    assert_eq!(router.route_counts(), (1, 0));
}

const VRFS: &str = r#"
[vrf.blue]
[interface.a]
vif = 0
address = ["10.0.0.1/24"]
[interface.b]
vif = 1
vrf = "blue"
address = ["10.0.0.1/24"]
[interface.c]
vif = 2
vrf = "blue"
address = ["10.0.2.1/24"]
"#;

/// What a table answers, and where that leads in the end.
fn answers(router: &Router, vrf: u8, address: [u8; 4]) -> (Target, Target) {
    let address = std::net::Ipv4Addr::from(address);
    let fib = &router.tables.vrfs.get(vrf).fib;
    let mut burst = [address.to_bits()];
    fib.answer(&mut burst, |target, _| target);
    assert_eq!(Target::from_number(burst[0]), fib.lookup(address.to_bits()));
    let (_, target) = router.tables.vrfs.find(vrf, address.into());
    (Target::from_number(burst[0]), target)
}

/// The gateway and the interface of a neighbor.
fn gateway_of(router: &Router, target: Target) -> Option<(IpAddr, u8)> {
    let Target::Neighbor(index) = target else {
        return None;
    };
    let entry = router.state.neighbors.entry(index as usize)?;
    Some((entry.address, entry.interface.0))
}

#[test]
fn routes_come_and_go_in_each_table() {
    let mut router = Router::new(&from_toml(VRFS).unwrap(), 1, Instant(0));
    for at in 0..3 {
        router.link_up(Instant(0), InterfaceId(at), [2, 0, 0, 0, 0, at], 1500);
    }
    let address = IpAddr::V4([10, 0, 0, 9].into());
    let via = |interface| Via {
        address,
        interface,
        weight: 1,
    };
    let far = IpAddr::V4([10, 0, 2, 9].into());
    let both = RouteTarget::Via(vec![
        via(1),
        Via {
            address: far,
            ..via(2)
        },
    ]);
    // The same prefix and the same gateway's address, on different links.
    let prefix = network("192.0.2.0/24");
    let there = [192, 0, 2, 7];
    let one = RouteTarget::Via(vec![via(0)]);
    let in_table = |vrf, prefix, target: &RouteTarget| RouteConfig {
        prefix,
        vrf,
        target: target.clone(),
        mtu: None,
    };
    router.insert_route(&in_table(0, prefix, &one)).unwrap();
    router.insert_route(&in_table(1, prefix, &both)).unwrap();
    assert_eq!(router.route_counts(), (2, 0));
    let (first, _) = answers(&router, 0, there);
    assert_eq!(gateway_of(&router, first), Some((address, 0)));
    let (group, _) = answers(&router, 1, there);
    assert!(matches!(group, Target::Group(_)), "{group:?}");
    assert!(!router.state.groups.is_empty());

    // From one table into the other, to the same group.
    let leak = network("192.0.2.0/25");
    router
        .insert_route(&in_table(0, leak, &RouteTarget::Vrf(1)))
        .expect("there is one");
    assert_eq!(answers(&router, 0, there), (Target::Vrf(1), group));
    // Each table hides what can't be used, and shows it again.
    router.link_down(InterfaceId(2));
    let members = |router: &Router, group| match group {
        Target::Group(group) => {
            let group = router.tables.vrfs.groups.get(group).unwrap();
            let all: Vec<u32> = (0..200u32)
                .map(|i| group.pick(i.wrapping_mul(0x9e37_79b9)).unwrap())
                .collect();
            let mut gateways: Vec<_> = all
                .iter()
                .map(|&t| gateway_of(router, Target::from_number(t)).unwrap())
                .collect();
            gateways.sort();
            gateways.dedup();
            gateways
        }
        target => panic!("{target:?}"),
    };
    assert_eq!(members(&router, group), [(address, 1)]);
    router.link_down(InterfaceId(1));
    let nowhere = Target::Drop(DropReason::NoRoute);
    assert_eq!(answers(&router, 0, there), (Target::Vrf(1), nowhere));
    assert_eq!(answers(&router, 1, there), (nowhere, nowhere));
    assert_eq!(answers(&router, 0, [192, 0, 2, 200]).0, first);
    for at in [1, 2] {
        router.link_up(Instant(0), InterfaceId(at), [2, 0, 0, 0, 0, at], 1500);
    }
    assert_eq!(answers(&router, 0, there), (Target::Vrf(1), group));
    assert_eq!(members(&router, group), [(address, 1), (far, 2)]);

    // Round in a circle, which is noticed; and tables that aren't there.
    router
        .insert_route(&in_table(1, leak, &RouteTarget::Vrf(0)))
        .expect("there is one");
    let circle = Target::Drop(DropReason::VrfLoop);
    assert_eq!(answers(&router, 0, there).1, circle);
    let none = Err(RouteError::NoVrf);
    assert_eq!(router.insert_route(&in_table(2, leak, &one)), none);
    assert_eq!(
        router.insert_route(&in_table(0, leak, &RouteTarget::Vrf(2))),
        none
    );
    assert!(!router.remove_route_in(2, leak));

    // A route leaves its own table only.
    assert!(router.remove_route_in(1, leak) && !router.remove_route_in(1, leak));
    assert!(router.remove_route(prefix));
    assert_eq!(answers(&router, 0, [192, 0, 2, 200]).0, nowhere);
    assert_eq!(answers(&router, 1, [192, 0, 2, 200]).0, group);
    assert!(router.remove_route_in(1, prefix) && router.remove_route(leak));
    assert_eq!(router.route_counts(), (0, 0));
    assert!(router.state.groups.is_empty());
    assert!(router.state.neighbors.iter().all(|(_, e)| e.pinned == 0));
}

#[test]
fn routes_of_a_file_are_in_its_table() {
    let toml = format!(
        "{VRFS}[[route_file]]\npath = \"a\"\n[[route_file]]\npath = \"a\"\nvrf = \"blue\"\n\
         [[route_file]]\npath = \"b\"\nvrf = \"blue\"\n"
    );
    let with = |b: &str| {
        let a = "192.0.2.0/24 10.0.0.9\n::/0 blackhole\n";
        archive(&[("ringway.toml", &toml), ("a", a), ("b", b)])
    };
    let ramdisk = with("198.51.100.0/24 10.0.2.9\n203.0.113.0/24 c\n");
    let config = config::from_ramdisk(&ramdisk).unwrap();
    let mut router = Router::new(&config, 1, Instant(0));
    router.read_route_files(&ramdisk).unwrap();
    assert_eq!(router.route_counts(), (4, 2));
    for at in 0..3 {
        router.link_up(Instant(0), InterfaceId(at), [2, 0, 0, 0, 0, at], 1500);
    }
    let address = IpAddr::V4([10, 0, 0, 9].into());
    for vrf in [0, 1] {
        let (target, _) = answers(&router, vrf, [192, 0, 2, 1]);
        assert_eq!(gateway_of(&router, target), Some((address, vrf)));
    }
    let nowhere = Target::Drop(DropReason::NoRoute);
    assert_eq!(answers(&router, 0, [203, 0, 113, 1]).0, nowhere);
    assert_eq!(answers(&router, 1, [203, 0, 113, 1]).0, Target::OnLink(2));
    for (vrf, wanted, routes) in [(0, &[("a", 2)][..], 1), (1, &[("a", 2), ("b", 2)][..], 3)] {
        let shown = snapshot::routes(&router, vrf).unwrap();
        assert_eq!(files(&shown), wanted);
        assert_eq!(shown.ipv4.routes, routes);
    }

    for (line, wanted) in [
        ("192.0.2.0/24 c", "b:1: there is another route 192.0.2.0/24"),
        (
            "192.0.2.0/25 a",
            "b:1: interface a is in vrf default, not in blue",
        ),
        (
            "10.0.2.0/24 c",
            "b:1: route 10.0.2.0/24 is the network of interface c",
        ),
    ] {
        let mut router = Router::new(&config, 1, Instant(0));
        let error = router.read_route_files(&with(line)).unwrap_err();
        assert!(error.text.starts_with(wanted), "{error}");
    }
}
