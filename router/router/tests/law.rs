//! The law of the counters: over all interfaces, every frame that came in or was made is one that was
//! sent, consumed or dropped, or that waits; once each, on every path there is.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use router::{DropReason, FrameFlags, FrameMeta, InterfaceId};
use testkit::bed::*;
use testkit::bed6::*;

const CONFIG: &str = r#"
[interface.wan]
vif = 0
address = ["10.0.0.1/24", "2001:db8::1/64"]
rpf = "loose"
[interface.lan]
vif = 1
address = ["10.0.1.1/24", "10.4.0.1/16", "2001:db8:1::1/64"]
mtu = 1400
neighbor_limit = 16
source_route = true
redirects = true
proxy_arp = true
[interface.blue]
vif = 2
vrf = "blue"
address = ["10.0.2.1/24"]
[interface.tagged]
parent = "lan"
vlan = 7
address = ["10.0.7.1/24", "2001:db8:7::1/64"]
[interface.lo]
type = "loopback"
address = ["10.255.0.1/32"]
[vrf.blue]
[vrf.red]
[[route]]
prefix = "0.0.0.0/0"
via = ["10.0.0.254", "10.0.1.254"]
[[route]]
prefix = "2001:db8:40::/48"
via = ["2001:db8::fe", "2001:db8:1::fe"]
[[route]]
prefix = "30.0.0.0/16"
action = "blackhole"
[[route]]
prefix = "30.1.0.0/16"
action = "unreachable"
[[route]]
prefix = "30.2.0.0/16"
action = "prohibit"
[[route]]
prefix = "31.0.0.0/8"
via = ["10.0.1.253"]
mtu = 600
[[route]]
vrf = "blue"
prefix = "0.0.0.0/0"
via_vrf = "red"
[[route]]
vrf = "red"
prefix = "10.0.2.0/24"
via_vrf = "blue"
[[route]]
vrf = "red"
prefix = "10.0.0.0/23"
via_vrf = "default"
"#;

const VIFS: u8 = 3;
const INTERFACES: u8 = 5;

/// Splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// Adds up what the counters of all interfaces have.
fn sum(bed: &Bed, of: fn(&router::Counters) -> u64) -> u64 {
    let all = (0..INTERFACES).map(|at| bed.router.counters(InterfaceId(at)).unwrap());
    all.map(|c| of(&c)).sum()
}

fn host4(random: &mut Random) -> [u8; 4] {
    match random.below(12) {
        0 => [10, 4, random.below(256) as u8, random.below(256) as u8],
        1 => [30, random.below(3) as u8, 0, 9],
        2 => [31, 0, 0, 9],
        3 => random.of(&[
            [224, 0, 0, 1],
            [255; 4],
            [127, 0, 0, 1],
            [0; 4],
            [10, 0, 1, 255],
        ]),
        4 => random.of(&[[10, 0, 0, 1], [10, 0, 1, 1], [10, 0, 7, 1], [10, 255, 0, 1]]),
        5 => [99, 0, 0, random.below(9) as u8],
        _ => [10, 0, random.of(&[0, 1, 2, 7]), 9 + random.below(3) as u8],
    }
}

fn host6(random: &mut Random) -> Ipv6Addr {
    let text = random.of(&[
        "2001:db8::1",
        "2001:db8:1::1",
        "2001:db8::9",
        "2001:db8:1::9",
        "2001:db8:1::a",
        "2001:db8:7::9",
        "2001:db8:40::9",
        "2a00::9",
        "fe80::9",
        "ff02::1",
        "ff05::2",
        "::",
        "::1",
    ]);
    a6(text)
}

/// A packet of IPv4, most often a good one.
fn four(random: &mut Random, at: u8) -> Frame {
    let near = [
        10,
        0,
        random.of(&[at, at, at, 7]),
        9 + random.below(3) as u8,
    ];
    let source = if random.one_in(6) {
        host4(random)
    } else {
        near
    };
    let to = host4(random);
    let len = random.of(&[0, 8, 100, 1300, 1472]);
    let mut frame = match random.below(8) {
        0 => echo(at, source, to, len),
        1 => ip(at, source, to, 64, 1, &[3, 1, 0, 0, 0, 0, 0, 0]),
        2 => ip(at, source, to, 64, 99, &vec![7; len]),
        3 => ip(
            at,
            source,
            to,
            64,
            6,
            &[
                &[3, 232, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2],
                &[0; 6][..],
            ]
            .concat(),
        ),
        4 => arp(
            1 + random.below(3) as u8,
            host_mac(source),
            // Sometimes the router's own.
            random.of(&[source, source, [10, 0, at, 1]]),
            random.of(&[[0; 6], router_mac(0, at)]),
            if random.one_in(2) { [10, 0, at, 1] } else { to },
        ),
        _ => udp(at, source, to, len),
    };
    if frame[12..14] != [8, 0] {
        return frame;
    }
    if random.one_in(4) {
        let options: &[u8] = random.of(&[
            &[1, 1, 1, 1][..],
            &[7, 7, 4, 0, 0, 0, 0, 0],
            &[131, 7, 4, 10, 0, 1, 9, 0],
            &[137, 7, 4, 10, 0, 1, 9, 0],
            &[68, 8, 5, 0, 0, 0, 0, 0],
            &[7, 9, 4, 0],
        ]);
        frame = with_options(frame, options);
    }
    let (ttl, place) = (random.of(&[64, 64, 64, 1, 0]), random.below(12));
    edit(frame, |ip| {
        ip[8] = ttl;
        match place {
            0 => ip[6] = 0x40,
            1 => ip[6] = 0x20,
            2 => ip[7] = 1,
            3 => ip[6..8].fill(0x1f),
            _ => {}
        }
    })
}

/// The same of IPv6.
fn six(random: &mut Random, at: u8) -> Frame {
    let near = a6(&format!("2001:db8:{at}::{:x}", 9 + random.below(3)));
    let near = if at == 0 { a6("2001:db8::9") } else { near };
    let source = if random.one_in(6) {
        host6(random)
    } else {
        near
    };
    let to = host6(random);
    let ours = local6(at);
    match random.below(10) {
        0 => echo6(at, source, to, 100),
        1 => ns(at, source, to, random.of(&[to, ours, a6("2001:db8::1")])),
        2 => na(
            at,
            host6(random),
            random.of(&[ours, a6("ff02::1")]),
            Some([2; 6]),
            0x60,
        ),
        3 => icmp6(at, source, to, 64, &[130, 0, 0, 0, 0, 0, 0, 0]),
        4 => ip6(
            at,
            source,
            to,
            64,
            0,
            &[
                17,
                0,
                random.of(&[1, 0x9e, 0xde]),
                4,
                0,
                0,
                0,
                0,
                3,
                232,
                0,
                9,
                0,
                8,
                0,
                0,
            ],
        ),
        5 => ip6(
            at,
            source,
            to,
            64,
            44,
            &[
                17,
                0,
                0,
                random.of(&[0, 1, 9]),
                0,
                0,
                0,
                1,
                3,
                232,
                0,
                9,
                0,
                8,
                0,
                0,
            ],
        ),
        6 => ip6(at, source, to, 64, 99, &[0; 40]),
        7 => icmp6(
            at,
            source,
            to,
            255,
            &[133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 9, 9, 9, 9, 9],
        ),
        8 => {
            let mut frame = udp6(at, source, to, 8);
            frame[21] = random.of(&[0, 1, 2]);
            frame
        }
        _ => udp6(at, source, to, random.of(&[8, 1232, 1452])),
    }
}

/// A frame, sometimes for a VLAN, sometimes damaged.
fn frame(random: &mut Random, at: u8) -> Frame {
    let mut frame = match random.below(3) {
        0 => six(random, at),
        _ => four(random, at),
    };
    let damaged = frame.len();
    match random.below(30) {
        0 => frame.truncate(random.below(damaged)),
        1 | 2 => frame[random.below(damaged.min(60))] ^= 1 << random.below(8),
        3 => frame[..6].copy_from_slice(&random.of(&[[0xff; 6], [0x33, 0x33, 0, 0, 0, 1]])),
        4 => frame[12..14].copy_from_slice(&[9, 9]),
        5..8 if at == LAN => {
            let tag = random.of(&[[0x81, 0, 0, 7], [0x81, 0, 0, 8], [0x81, 0, 0, 0]]);
            frame.splice(12..12, tag);
        }
        _ => {}
    }
    frame
}

/// Offers a large frame as the data plane does: it passes as one, or its segments are punted.
fn large(bed: &mut Bed, random: &mut Random, at: u8) -> usize {
    let mut frame = match random.one_in(2) {
        true => {
            let near = [10, 0, at, 9];
            let tcp = [
                &[3, 232, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 16],
                &vec![0; 6 + 4000][..],
            ];
            let ttl = random.of(&[64, 64, 1]);
            ip(at, near, host4(random), ttl, 6, &tcp.concat())
        }
        false => {
            let tcp = [
                &[3, 232, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 16],
                &vec![0; 6 + 4000][..],
            ];
            let hops = random.of(&[64, 64, 1]);
            ip6(at, a6("2001:db8::9"), host6(random), hops, 6, &tcp.concat())
        }
    };
    // One in a few isn't TCP, and can't be cut.
    let cut = !random.one_in(8);
    if !cut {
        let protocol = if frame[12] == 0x86 { 20 } else { 23 };
        frame[protocol] = 17;
        if protocol == 23 {
            set_checksum(&mut frame[14..34], 10);
        }
    }
    let meta = FrameMeta {
        flags: random.of(&[
            FrameFlags::CSUM_BLANK | FrameFlags::DATA_VALIDATED,
            FrameFlags::DATA_VALIDATED,
        ]),
        ..testkit::bed::large(&frame, random.of(&[500, 1320, 1460]))
    };
    let input = InterfaceId(at);
    let mut headers = [router::Header::default()];
    headers[0].0.copy_from_slice(&frame[..64]);
    let mut verdicts = [router::Verdict::Drop];
    (bed.router).process(bed.now, input, &mut headers, &[meta], &mut verdicts);
    match verdicts[0] {
        router::Verdict::Forward(out) => bed.sent.push_back((out.0, frame, meta)),
        router::Verdict::Punt if !cut => {
            (bed.router).count_drop(input, DropReason::BadGso, 1);
        }
        router::Verdict::Punt => {
            // Each as long as the others.
            let six = frame[12] == 0x86;
            frame.truncate(14 + if six { 40 } else { 20 } + 20 + 500);
            let len = (frame.len() - 14) as u16;
            if six {
                frame[18..20].copy_from_slice(&(len - 40).to_be_bytes());
            } else {
                frame = edit(frame, |ip| ip[2..4].copy_from_slice(&len.to_be_bytes()));
            }
            for segment in 0..8 {
                let mut meta = FrameMeta::plain(frame.len());
                meta.flags = FrameFlags::DATA_VALIDATED;
                if segment > 0 {
                    meta.flags |= FrameFlags::LATER_SEGMENT;
                }
                bed.router
                    .punt(input, meta, |to| to.copy_from_slice(&frame));
            }
        }
        router::Verdict::Drop => {}
        router::Verdict::Tagged(_) => panic!("it has no tag"),
    }
    meta.len as usize
}

/// Some way through all that happens to a router. Notes for which reasons it dropped frames.
fn walk(seed: u64, seen: &mut BTreeSet<&'static str>) {
    let random = &mut Random(seed);
    let configs = [
        CONFIG.to_owned(),
        CONFIG.replace("action = \"blackhole\"", "via = [\"10.0.1.9\"]"),
    ];
    let mut bed = Bed::new(&configs[0], 0);
    let (mut offered, mut bytes, mut sent, mut sent_bytes) = (0, 0, 0, 0);
    let mut tagged = 0;
    for _ in 0..400 {
        let at = random.of(&[0, 0, 1, 1, 2]);
        match random.below(24) {
            0 => bed.full = !bed.full,
            1 => bed
                .router
                .link_down(InterfaceId(random.below(VIFS.into()) as u8)),
            2 | 3 => {
                let at = random.below(VIFS.into()) as u8;
                let mtu = random.of(&[1500, 1300]);
                bed.router
                    .link_up(bed.now, InterfaceId(at), router_mac(0, at), mtu);
            }
            4 => {
                let config = config::from_toml(&configs[random.below(2)]).unwrap();
                bed.router.apply(bed.now, &config).unwrap();
            }
            5..9 => bed.pass(random.of(&[10, 400, 1000, 5000, 70_000])),
            9..12 => {
                offered += 1;
                bytes += large(&mut bed, random, at);
            }
            // What the data plane loses before it can offer it isn't among what was received.
            13 => {
                let reason = random.of(&[DropReason::NoBuffer, DropReason::RxError]);
                bed.router.count_drop(InterfaceId(at), reason, 1);
            }
            // Many at once: to hosts that nobody knows, and parts of packets for the router.
            12 => {
                let (polled, parts) = (random.one_in(2), random.one_in(2));
                for n in 0..300u16 {
                    let [high, low] = n.to_be_bytes();
                    let to = if parts {
                        [10, 0, 0, 1]
                    } else {
                        [10, 4, high, low]
                    };
                    let frame = edit(udp(WAN, [10, 0, 0, 9], to, 8), |ip| {
                        ip[4..6].copy_from_slice(&[high, low]);
                        ip[6] = if parts { 0x20 } else { 0 };
                    });
                    (offered, bytes) = (offered + 1, bytes + frame.len());
                    bed.offer(WAN, &[(&frame, FrameMeta::plain(frame.len()))]);
                    if polled {
                        bed.poll();
                    }
                }
            }
            _ => {
                for _ in 0..1 + random.below(4) {
                    let frame = frame(random, at);
                    tagged += usize::from(frame.len() > 14 && frame[12..14] == [0x81, 0]);
                    (offered, bytes) = (offered + 1, bytes + frame.len());
                    bed.offer(at, &[(&frame, FrameMeta::plain(frame.len()))]);
                }
            }
        }
        bed.assert_balance();
        if random.one_in(2) {
            bed.poll();
            bed.assert_balance();
        }
        for (_, frame) in bed.take() {
            (sent, sent_bytes) = (sent + 1, sent_bytes + frame.len());
        }
        assert_eq!(sum(&bed, |c| c.rx_packets), offered, "received");
        assert_eq!(sum(&bed, |c| c.tx_packets), sent, "sent");
        assert_eq!(sum(&bed, |c| c.tx_bytes), sent_bytes as u64, "bytes sent");
        // A tag that is taken off doesn't count.
        let received = sum(&bed, |c| c.rx_bytes) as usize;
        assert!(
            (bytes - 4 * tagged..=bytes).contains(&received),
            "bytes received"
        );
    }
    // In the end nothing waits.
    bed.full = false;
    for _ in 0..120 {
        bed.pass(1000);
    }
    bed.assert_balance();
    assert_eq!(bed.router.pending(), 0);
    for reason in DropReason::ALL {
        let dropped = (0..INTERFACES).any(|at| bed.dropped(at, reason) > 0);
        dropped.then(|| seen.insert(reason.name()));
    }
}

#[test]
fn every_frame_is_accounted_for_once_on_every_path() {
    let mut seen = BTreeSet::new();
    for seed in 0..30 {
        walk(seed, &mut seen);
    }
    let unseen: Vec<_> = DropReason::ALL
        .iter()
        .map(|r| r.name())
        .filter(|name| !seen.contains(name))
        .collect();
    assert!(unseen.is_empty(), "paths that weren't tried: {unseen:?}");
}
