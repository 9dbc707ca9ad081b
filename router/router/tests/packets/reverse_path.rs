//! Reverse-path filtering of IPv4 in small tables and in ones too large for a quick copy.

use config::{Config, RouteConfig};
use router::{DropReason, FrameMeta, InterfaceId, Verdict};
use testkit::bed::*;
use testkit::bed6::*;

/// More prefixes than a table with a quick copy may have.
const MANY: u32 = 17_000;
/// Sources, whether they lead back to where frames from them come in, and whether anywhere.
const SOURCES: [([u8; 4], bool, bool); 8] = [
    ([10, 0, 1, 9], true, true),
    ([10, 0, 1, 77], true, true),
    ([20, 0, 0, 1], true, true),
    ([50, 0, 7, 1], true, true),
    ([10, 0, 0, 9], false, true),
    ([10, 0, 0, 77], false, true),
    ([99, 0, 0, 1], false, true),
    ([30, 0, 0, 1], false, false),
];

fn bed(rule: &str, routes: u32) -> Bed {
    let text = CONFIG.replace("vif = 1", &format!("vif = 1\nrpf = \"{rule}\""));
    let mut config: Config = config::from_toml(&text).unwrap();
    let template = config.routes[1].clone();
    config.routes.extend((0..routes).map(|i| RouteConfig {
        prefix: format!("50.{}.{}.0/24", i >> 8, i & 255).parse().unwrap(),
        ..template.clone()
    }));
    let mut bed = Bed::with(&config, 0);
    bed.poll();
    bed.pass(2000);
    for host in [[10, 0, 1, 9], [10, 0, 1, 253], [10, 0, 1, 254]] {
        bed.meet(LAN, host, [10, 0, 1, 1]);
    }
    let a = [10, 0, 0, 9];
    bed.meet(WAN, a, [10, 0, 0, 1]);
    bed.sent.clear();
    bed
}

#[test]
fn each_frame_of_a_burst_has_a_source_of_its_own() {
    for (rule, routes) in [
        ("strict", 256),
        ("strict", MANY),
        ("loose", 256),
        ("loose", MANY),
    ] {
        let mut bed = bed(rule, routes);
        // In turns and in trains, and one that is nobody's but ours.
        let mut order: Vec<usize> = (0..32).map(|i| i * 5 % SOURCES.len()).collect();
        order.extend((0..24).map(|i| i / 3));
        let mut frames: Vec<Frame> = order
            .iter()
            .map(|&at| udp(LAN, SOURCES[at].0, [10, 0, 0, 9], 10))
            .collect();
        frames.push(udp(LAN, [10, 0, 1, 1], [10, 0, 0, 9], 10));
        let burst: Vec<_> = frames
            .iter()
            .map(|frame| (&frame[..], FrameMeta::plain(frame.len())))
            .collect();
        let verdicts = bed.offer(LAN, &burst);
        let mut refused = 0;
        for (verdict, &at) in verdicts.iter().zip(&order) {
            let (source, strict, loose) = SOURCES[at];
            let passes = if rule == "strict" { strict } else { loose };
            let wanted = if passes {
                Verdict::Forward(InterfaceId(WAN))
            } else {
                Verdict::Drop
            };
            assert_eq!(*verdict, wanted, "{rule}, {routes} routes, {source:?}");
            refused += u64::from(!passes);
        }
        assert_eq!(verdicts.last(), Some(&Verdict::Drop));
        assert_eq!(bed.dropped(LAN, DropReason::ReversePath), refused);
        assert_eq!(bed.dropped(LAN, DropReason::OwnSource), 1);
        bed.assert_balance();
    }
}

/// Two networks of a site with a link each, and a default route by the first; sources there have a
/// route by one of them, which the other one's covers.
const MULTIHOMED: &str = r#"
[interface.one]
vif = 0
address = ["10.0.0.1/24", "2001:db8::1/64"]
rpf = "RULE"
[interface.two]
vif = 1
address = ["10.0.1.1/24", "2001:db8:1::1/64"]
rpf = "RULE"
[interface.out]
vif = 2
address = ["10.0.2.1/24", "2001:db8:2::1/64"]
[[route]]
prefix = "0.0.0.0/0"
via = ["10.0.0.9"]
[[route]]
prefix = "20.0.0.0/8"
via = ["10.0.0.9"]
[[route]]
prefix = "20.1.0.0/16"
via = ["10.0.1.9"]
[[route]]
prefix = "20.2.0.0/16"
action = "blackhole"
[[route]]
prefix = "::/0"
via = ["2001:db8::9"]
[[route]]
prefix = "2001:db8:20::/44"
via = ["2001:db8::9"]
[[route]]
prefix = "2001:db8:21::/48"
via = ["2001:db8:1::9"]
[[route]]
prefix = "2001:db8:22::/48"
action = "blackhole"
"#;

#[test]
fn rules_of_rfc_3704() {
    // From which of the two links a source passes: IPv4, IPv6; under strict, feasible, loose, loose
    // without the default route.
    let one = [true, false];
    let two = [false, true];
    let (both, none) = ([true; 2], [false; 2]);
    let sources = [
        // By the default route.
        ([30, 0, 0, 1], "2001:db8:30::1", [one, one, both, none]),
        // By the first, though not by the second's more specific route.
        ([20, 0, 0, 1], "2001:db8:20::1", [one, one, both, both]),
        // By the second, which the first's route covers.
        ([20, 1, 0, 1], "2001:db8:21::1", [two, both, both, both]),
        ([20, 2, 0, 1], "2001:db8:22::1", [none, none, none, none]),
        // On the links themselves: the default route doesn't cover for them.
        ([10, 0, 0, 7], "2001:db8::7", [one, one, both, both]),
        ([10, 0, 1, 7], "2001:db8:1::7", [two, two, both, both]),
    ];
    let rules = ["strict", "feasible", "loose", "loose_ignoring_default"];
    for (at, rule) in rules.iter().enumerate() {
        let mut bed = Bed::new(&MULTIHOMED.replace("RULE", rule), 0);
        for _ in 0..30 {
            bed.pass(100);
        }
        for (input, four, six) in [
            (0, [10, 0, 0, 9], "2001:db8::9"),
            (1, [10, 0, 1, 9], "2001:db8:1::9"),
        ] {
            let target = [10, 0, input, 1];
            bed.receive(input, &arp(1, host_mac(four), four, [0; 6], target));
            bed.receive(input, &echo6(input, a6(six), a6(six), 4));
        }
        for (four, six, passes) in sources {
            for input in [0, 1] {
                let frames = [
                    udp(input, four, [10, 0, 2, 9], 10),
                    udp6(input, a6(six), a6("2001:db8:2::9"), 10),
                ];
                let before = bed.dropped(input, DropReason::ReversePath);
                let burst = frames.iter().map(|f| (&f[..], FrameMeta::plain(f.len())));
                bed.offer(input, &burst.collect::<Vec<_>>());
                bed.poll();
                let dropped = bed.dropped(input, DropReason::ReversePath) - before;
                let wanted = if passes[at][usize::from(input)] { 0 } else { 2 };
                assert_eq!(dropped, wanted, "{rule}: {four:?}, {six} from {input}");
            }
        }
        bed.assert_balance();
    }
}
