//! Reverse-path filtering of IPv4 in small tables and in ones too large for a quick copy.

use config::{Config, RouteConfig};
use router::{DropReason, FrameMeta, InterfaceId, Verdict};
use testkit::bed::*;

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
        bed.receive(LAN, &arp(1, host_mac(host), host, [0; 6], [10, 0, 1, 1]));
    }
    let a = [10, 0, 0, 9];
    bed.receive(WAN, &arp(1, host_mac(a), a, [0; 6], [10, 0, 0, 1]));
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
