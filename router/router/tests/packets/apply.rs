//! A new configuration changes what differs and nothing else.

use std::time::Duration;

use router::{Config, DropReason, FrameMeta, Instant, InterfaceId, Verdict, config, snapshot};
use testkit::bed::*;

const HOST: [u8; 4] = [10, 0, 0, 9];
const FAR: [u8; 4] = [20, 0, 0, 1];

const BASE: &str = r#"
[interface.wan]
vif = 0
address = ["10.0.0.1/24"]
[interface.lan]
vif = 1
address = ["10.0.1.1/24"]
[[route]]
prefix = "20.0.0.0/8"
via = ["10.0.1.254"]
"#;

const STATIC: &str = r#"
[[neighbor]]
interface = "lan"
address = "10.0.1.254"
mac = "02:00:00:00:00:fe"
"#;

fn parse(text: &str) -> Config {
    config::from_toml(text).unwrap()
}

fn bed() -> Bed {
    Bed::ready(&[BASE, STATIC].concat(), &[(WAN, HOST)])
}

fn verdict(bed: &mut Bed, to: [u8; 4]) -> Verdict {
    let frame = udp(WAN, HOST, to, 10);
    let verdicts = bed.offer(WAN, &[(&frame, FrameMeta::plain(frame.len()))]);
    bed.poll();
    verdicts[0]
}

/// What a change must leave alone: who is known, and what was counted.
fn known(bed: &Bed) -> (Vec<snapshot::NeighborSnapshot>, u64) {
    let counters = bed.router.counters(InterfaceId(WAN)).unwrap();
    (snapshot::neighbors(&bed.router), counters.rx_packets)
}

#[test]
fn an_interface_more_in_the_middle_leaves_the_others_alone() {
    let mut bed = bed();
    assert_eq!(verdict(&mut bed, FAR), Verdict::Forward(InterfaceId(LAN)));
    let before = known(&bed);
    let dmz = "[interface.dmz]\nvif = 2\naddress = [\"10.0.2.1/24\"]\n";
    let at = BASE.find("[interface.lan]").unwrap();
    let text = [&BASE[..at], dmz, &BASE[at..], STATIC].concat();
    bed.router.apply(bed.now, &parse(&text)).unwrap();
    assert_eq!(known(&bed), before);
    assert_eq!(verdict(&mut bed, FAR), Verdict::Forward(InterfaceId(LAN)));
    let dmz = bed.router.interface_id("dmz").unwrap();
    assert!(!bed.router.is_up(dmz) && dmz != InterfaceId(LAN));
    // And when it is gone again.
    bed.router
        .apply(bed.now, &parse(&[BASE, STATIC].concat()))
        .unwrap();
    assert_eq!(verdict(&mut bed, FAR), Verdict::Forward(InterfaceId(LAN)));
    assert_eq!(bed.router.interface_id("dmz"), None);
    bed.assert_balance();
}

#[test]
fn routes_that_were_added_stay_and_configured_ones_follow() {
    let mut bed = bed();
    let extra = parse(&BASE.replace("20.0.0.0/8", "30.0.0.0/8"));
    bed.router.insert_route(&extra.routes[0]).unwrap();
    let other = BASE.replace("20.0.0.0/8", "40.0.0.0/8");
    bed.router
        .apply(bed.now, &parse(&[&other, STATIC].concat()))
        .unwrap();
    assert_eq!(
        verdict(&mut bed, [30, 0, 0, 1]),
        Verdict::Forward(InterfaceId(LAN))
    );
    assert_eq!(
        verdict(&mut bed, [40, 0, 0, 1]),
        Verdict::Forward(InterfaceId(LAN))
    );
    assert_eq!(verdict(&mut bed, FAR), Verdict::Punt, "no route any more");
    assert_eq!(bed.dropped(WAN, DropReason::NoRoute), 1);
    assert_eq!(bed.router.route_counts(), (2, 0));
    bed.assert_balance();
}

#[test]
fn a_static_neighbor_comes_goes_and_changes() {
    let mut bed = bed();
    let mac = |bed: &mut Bed| {
        let all = snapshot::neighbors(&bed.router);
        let gateway = all.iter().find(|n| n.address.to_string() == "10.0.1.254");
        gateway.and_then(|n| Some((n.state, n.mac?.0[5])))
    };
    let fixed = snapshot::NeighborState::Static;
    assert_eq!(mac(&mut bed), Some((fixed, 0xfe)));
    let changed = STATIC.replace("00:fe", "00:fd");
    bed.router
        .apply(bed.now, &parse(&[BASE, &changed].concat()))
        .unwrap();
    assert_eq!(mac(&mut bed), Some((fixed, 0xfd)));
    bed.router.apply(bed.now, &parse(BASE)).unwrap();
    assert_eq!(mac(&mut bed), None, "asked for from now on");
    assert_eq!(verdict(&mut bed, FAR), Verdict::Punt);
    bed.assert_balance();
}

#[test]
fn an_mtu_holds_for_neighbors_that_are_known() {
    let mut bed = bed();
    let small = BASE.replacen("vif = 1\n", "vif = 1\nmtu = 1280\n", 1);
    bed.router
        .apply(bed.now, &parse(&[&small, STATIC].concat()))
        .unwrap();
    let long = udp(WAN, HOST, FAR, 1400);
    let verdicts = bed.offer(WAN, &[(&long, FrameMeta::plain(long.len()))]);
    assert_eq!(verdicts, [Verdict::Punt]);
    assert_eq!(verdict(&mut bed, FAR), Verdict::Forward(InterfaceId(LAN)));
}

#[test]
fn an_address_that_goes_takes_only_its_network_along() {
    let two = BASE.replacen("10.0.1.1/24", "10.0.1.1/24\", \"10.0.7.1/24", 1);
    let mut bed = Bed::ready(&[&two, STATIC].concat(), &[(WAN, HOST)]);
    let host = [10, 0, 7, 9];
    bed.meet(LAN, host, [10, 0, 7, 1]);
    assert_eq!(verdict(&mut bed, host), Verdict::Forward(InterfaceId(LAN)));
    bed.router
        .apply(bed.now, &parse(&[BASE, STATIC].concat()))
        .unwrap();
    assert_eq!(verdict(&mut bed, host), Verdict::Punt);
    assert_eq!(verdict(&mut bed, FAR), Verdict::Forward(InterfaceId(LAN)));
    let all = snapshot::neighbors(&bed.router);
    assert!(all.iter().all(|n| n.address.to_string() != "10.0.7.9"));
}

#[test]
fn the_number_of_an_interface_that_routes_lead_to_is_not_given_away() {
    let mut bed = bed();
    let mut extra = parse(&BASE.replace("20.0.0.0/8", "30.0.0.0/8")).routes;
    bed.router.insert_route(&extra.remove(0)).unwrap();
    let lan = BASE.find("[interface.lan]").unwrap();
    bed.router.apply(bed.now, &parse(&BASE[..lan])).unwrap();
    let dmz = "[interface.dmz]\nvif = 2\naddress = [\"10.0.2.1/24\"]\n";
    bed.router
        .apply(bed.now, &parse(&[&BASE[..lan], dmz].concat()))
        .unwrap();
    let dmz = bed.router.interface_id("dmz").unwrap();
    assert_ne!(dmz, InterfaceId(LAN));
    bed.router.link_up(bed.now, dmz, router_mac(0, 2), 1500);
    assert_ne!(verdict(&mut bed, [30, 0, 0, 1]), Verdict::Forward(dmz));
    assert_eq!(bed.dropped(WAN, DropReason::NoRoute), 1);
}

#[test]
fn a_vrf_keeps_its_routes_when_others_come_before_it() {
    let vrf = |names: &str| {
        let text = BASE.replacen("vif = 1\n", "vif = 1\nvrf = \"blue\"\n", 1);
        let text = text.replacen("prefix =", "vrf = \"blue\"\nprefix =", 1);
        let mut more = String::new();
        for (at, name) in names.split_whitespace().enumerate() {
            more += &format!(
                "[vrf.{name}]\n[interface.{name}]\nvif = {}\nvrf = \"{name}\"\n",
                at + 2
            );
        }
        let blue = "[vrf.blue]\n";
        parse(&[&more, blue, &text, STATIC].concat())
    };
    let mut bed = Bed::with(&vrf(""), 0);
    let routes = |bed: &Bed| {
        let names = snapshot::vrfs(&bed.router);
        let blue = names.iter().position(|v| v.name == "blue").unwrap();
        snapshot::routes(&bed.router, blue).unwrap().ipv4.routes
    };
    assert_eq!(routes(&bed), 1);
    bed.router.apply(bed.now, &vrf("amber azure")).unwrap();
    assert_eq!((routes(&bed), bed.router.route_counts().0), (1, 1));
    bed.router.apply(bed.now, &vrf("")).unwrap();
    assert_eq!((routes(&bed), bed.router.route_counts().0), (1, 1));
}

#[test]
fn the_same_configuration_changes_nothing() {
    let mut bed = bed();
    let waiting = udp(WAN, HOST, [10, 0, 1, 77], 10);
    bed.offer(WAN, &[(&waiting, FrameMeta::plain(waiting.len()))]);
    bed.poll();
    let before = known(&bed);
    for _ in 0..100 {
        bed.router
            .apply(bed.now, &parse(&[BASE, STATIC].concat()))
            .unwrap();
    }
    assert_eq!(known(&bed), before);
    bed.now = Instant(bed.now.0 + Duration::from_millis(10).as_nanos() as u64);
    bed.sent.clear();
    bed.poll();
    assert!(bed.take().is_empty(), "nothing is announced or asked again");
    bed.assert_balance();
}

/// A router with that many interfaces, each with 500 static neighbors, and its configuration.
fn with_neighbors(interfaces: u32) -> (Bed, Config) {
    let mut text = String::from("[interface.a]\nvif = 0\naddress = [\"10.0.0.1/24\"]\n");
    for n in 1..=interfaces {
        text += &format!(
            "[interface.v{n}]\nparent = \"a\"\nvlan = {n}\naddress = [\"10.{n}.0.1/16\"]\n"
        );
    }
    for n in 1..=interfaces {
        for host in 0..500 {
            let (high, low) = (1 + host / 250, 1 + host % 250);
            text += &format!(
                "[[neighbor]]\ninterface = \"v{n}\"\naddress = \"10.{n}.{high}.{low}\"\n\
                 mac = \"02:00:00:00:00:09\"\n"
            );
        }
    }
    let config = config::from_toml(&text).unwrap();
    (Bed::new(&text, 0), config)
}

/// What this thread has had of a processor, to which others on the machine add nothing
/// (/proc/thread-self/schedstat, which is brought up to date every few milliseconds).
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos = text.split_whitespace().next().unwrap();
    Duration::from_nanos(nanos.parse().unwrap())
}

#[test]
fn a_change_takes_no_square_of_time() {
    let took = [4, 40].map(|interfaces| {
        let (mut bed, config) = with_neighbors(interfaces);
        let begin = processor_time();
        for _ in 0..10 {
            bed.router.apply(bed.now, &config).unwrap();
        }
        processor_time() - begin
    });
    let [few, many] = took;
    assert!(many < few * 40, "{few:?}, {many:?}");
}

/// One that has no link yet, and one whose link has no IPv6.
#[test]
fn static_neighbors_that_go_leave_nothing() {
    let neighbor = |address: &str| {
        format!(
            "[[neighbor]]\ninterface = \"wan\"\naddress = \"{address}\"\nmac = \"02:00:00:00:00:09\"\n"
        )
    };
    let interface = "[interface.wan]\nvif = 0\naddress = [\"10.0.0.1/24\", \"2001:db8::1/64\"]\n";
    let with = |addresses: &[&str]| {
        let all: String = addresses.iter().map(|a| neighbor(a)).collect();
        config::from_toml(&(interface.to_owned() + &all)).unwrap()
    };
    for up in [true, false] {
        let mut bed = Bed::new(interface, 0);
        let wan = InterfaceId(0);
        if up {
            bed.router.link_up(bed.now, wan, router_mac(0, 0), 1000);
        } else {
            bed.router.link_down(wan);
        }
        bed.router
            .apply(bed.now, &with(&["10.0.0.9", "2001:db8::9"]))
            .unwrap();
        bed.router
            .apply(bed.now, &with(&["10.0.0.9", "2001:db8::9"]))
            .unwrap();
        let known = |bed: &Bed| snapshot::neighbors(&bed.router).len();
        assert_eq!(known(&bed), 2, "{up}");
        bed.router.apply(bed.now, &with(&["10.0.0.9"])).unwrap();
        assert_eq!(known(&bed), 1, "{up}");
        bed.router.apply(bed.now, &with(&[])).unwrap();
        assert_eq!(known(&bed), 0, "{up}");
    }
}
