//! What changes while lanes forward: routes, neighbors and links. Each frame goes by the state before a
//! change or after it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use config::{RouteConfig, RouteTarget, Via};
use router::addr::Network;
use router::{
    BURST, Egress, FrameMeta, Header, Instant, InterfaceId, Lane, NoRoom, Router, Verdict, View,
    snapshot,
};
use testkit::bed::*;
use testkit::bed6::*;

use crate::lanes::header;

const A: [u8; 4] = [10, 0, 0, 9];

/// Has a lane decide about frames from the WAN. Returns its verdicts, and the headers as they are then.
fn process<const N: usize>(
    (lane, view): &mut (Lane, View),
    now: Instant,
    frames: [&Frame; N],
) -> ([Verdict; N], [Header; N]) {
    let mut headers = frames.map(|frame| header(frame));
    let metas = frames.map(|frame| FrameMeta::plain(frame.len()));
    let mut verdicts = [Verdict::Drop; N];
    let tables = view.tables().expect("the router isn't publishing");
    lane.process(
        tables,
        now,
        InterfaceId(WAN),
        &mut headers,
        &metas,
        &mut verdicts,
    );
    (verdicts, headers)
}

/// Lanes that look at routes while they change.
const LANES: usize = 3;
const CHANGES: usize = 240;
/// Gateways on the LAN, 10.0.1.10 and 2001:db8:1::10 and so on, with MAC addresses 02:00:00:00:00:00
/// and so on.
const GATEWAYS: u8 = 4;
/// Where the first gateway always leads, and the networks in them whose routes change: shorter
/// and longer than, and as long as, what the index of a table decides (/6, then /18; in IPv6 /12,
/// then /24), nested and beside each other.
const NESTS: [(&str, [&str; 12]); 2] = [
    (
        "64.0.0.0/2",
        [
            "64.0.0.0/4",
            "64.0.0.0/6",
            "65.32.0.0/12",
            "65.43.0.0/16",
            "65.43.0.0/18",
            "65.43.16.0/20",
            "65.43.21.0/24",
            "65.43.22.0/24",
            "65.43.21.76/30",
            "65.43.21.77/32",
            "72.0.0.0/6",
            "72.1.2.0/25",
        ],
    ),
    (
        "2a00::/8",
        [
            "2a00::/10",
            "2a00::/12",
            "2a02:3000::/20",
            "2a02:3f00::/24",
            "2a02:3f40::/28",
            "2a02:3f45::/32",
            "2a02:3f45:6789::/48",
            "2a02:3f45:6789:abcd::/64",
            "2a02:3f45:6789:abcd::77/128",
            "2a02:3f45:678a::/48",
            "2a30::/12",
            "2a30:1:2::/47",
        ],
    ),
];

/// A route to one of the gateways, or to nowhere.
fn route(prefix: Network, gateway: Option<u8>) -> RouteConfig {
    let via = |gateway: u8| Via {
        address: match prefix.address {
            IpAddr::V4(_) => [10, 0, 1, 10 + gateway].into(),
            IpAddr::V6(_) => step(a6("2001:db8:1::10").into(), gateway.into()),
        },
        interface: usize::from(LAN),
        weight: 1,
    };
    RouteConfig {
        prefix,
        vrf: 0,
        target: gateway.map_or(RouteTarget::Blackhole, |gateway| {
            RouteTarget::Via(vec![via(gateway)])
        }),
        mtu: None,
    }
}

/// The address that far behind another.
fn step(address: IpAddr, by: u128) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            Ipv4Addr::from_bits(address.to_bits().wrapping_add(by as u32)).into()
        }
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits().wrapping_add(by)).into(),
    }
}

/// A router that knows all gateways.
fn bed_with_gateways() -> Bed {
    let mut text = CONFIG6.replace(
        "::1/64\"]\n[interface.lan]",
        "::1/64\", \"10.0.0.1/24\"]\n[interface.lan]",
    );
    for gateway in 0..GATEWAYS {
        for address in [
            format!("10.0.1.{}", 10 + gateway),
            format!("2001:db8:1::1{gateway}"),
        ] {
            text += &format!(
                "[[neighbor]]\ninterface = \"lan\"\naddress = \"{address}\"\n\
                 mac = \"02:00:00:00:00:0{gateway}\"\n"
            );
        }
    }
    Bed::ready6(&text, &[])
}

/// The routes that change, one at a time, and what each change makes of frames.
struct Plan {
    routes: Vec<Network>,
    /// Which of the routes changes, and to which gateway; it goes if there is none.
    changes: Vec<(usize, Option<u8>)>,
    /// A burst of each family.
    frames: [Vec<Frame>; 2],
    /// The gateways of these frames before the first change, and after each.
    answers: Vec<[[u8; BURST]; 2]>,
}

impl Plan {
    fn new() -> Self {
        let networks = NESTS.map(|(_, routes)| routes.map(|text| text.parse::<Network>().unwrap()));
        // What routes begin and end with, what is in between, and the neighbors of that.
        let probes = NESTS.map(|(covering, routes)| {
            let covering: Network = covering.parse().unwrap();
            let all = routes.iter().flat_map(|text| {
                let Network { address, len } = text.parse().unwrap();
                let bits = if address.is_ipv4() { 32 } else { 128 };
                let size = 1u128 << (bits - len);
                [u128::MAX, 0, size / 3, size - 1, size].map(|by| step(address, by))
            });
            let all: Vec<IpAddr> = all.filter(|&probe| covering.contains(probe)).collect();
            let burst: Vec<IpAddr> = all.iter().copied().cycle().take(BURST).collect();
            assert!(all.len() <= BURST);
            burst
        });
        let frames = probes.each_ref().map(|burst| {
            let frame = |&to: &IpAddr| match to {
                IpAddr::V4(to) => udp(WAN, A, to.octets(), 20),
                IpAddr::V6(to) => udp6(WAN, a6("2001:db8::9"), to, 20),
            };
            burst.iter().map(frame).collect()
        });
        let routes = networks.concat();
        let mut gateways = vec![None; routes.len()];
        let in_force = |gateways: &[Option<u8>]| {
            probes.each_ref().map(|burst| {
                std::array::from_fn(|at| {
                    let there = routes.iter().zip(gateways);
                    let there = there.filter_map(|(r, gateway)| Some((r, (*gateway)?)));
                    let matching = there.filter(|(route, _)| route.contains(burst[at]));
                    let longest = matching.max_by_key(|(route, _)| route.len);
                    longest.map_or(0, |(_, gateway)| gateway)
                })
            })
        };
        let mut answers = vec![in_force(&gateways)];
        let mut state = 1u64;
        let mut random = |below: u8| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 33) as usize % usize::from(below)
        };
        let mut changes = Vec::new();
        for _ in 0..CHANGES {
            let which = random(routes.len() as u8);
            let to = match gateways[which] {
                Some(_) if random(2) == 0 => None,
                Some(old) => Some((old + 1) % GATEWAYS),
                None => Some(random(GATEWAYS) as u8),
            };
            gateways[which] = to;
            changes.push((which, to));
            answers.push(in_force(&gateways));
        }
        Self {
            routes,
            changes,
            frames,
            answers,
        }
    }

    /// Makes a change, the first being number 1.
    fn make(&self, change: usize, routes: &mut impl Routes) {
        let (which, gateway) = self.changes[change - 1];
        let prefix = self.routes[which];
        match gateway {
            Some(_) => routes.insert(&route(prefix, gateway)),
            None => assert!(routes.remove(prefix)),
        }
    }
}

/// Where routes come and go.
trait Routes {
    fn insert(&mut self, route: &RouteConfig);
    fn remove(&mut self, prefix: Network) -> bool;
}

/// While nobody forwards.
impl Routes for Router {
    fn insert(&mut self, route: &RouteConfig) {
        self.insert_route(route).unwrap();
    }

    fn remove(&mut self, prefix: Network) -> bool {
        self.remove_route(prefix)
    }
}

/// While lanes do; what waits for these is waited for.
struct Beside<'a, F> {
    router: &'a mut Router,
    now: Instant,
    wait: F,
    /// After how many of the last changes too much waited.
    waits: u32,
}

impl<F: Fn()> Beside<'_, F> {
    fn changed(&mut self) {
        // Until all lanes were left what changed, if one was just looking.
        while self.router.poll(self.now, 1, &mut NoEgress).next == Some(soon(self.now)) {
            std::thread::yield_now();
        }
        if self.router.retired() <= RETIRED {
            self.waits = 0;
            return;
        }
        self.waits += 1;
        assert!(self.waits < 16, "lanes went on, and nothing is used again");
        (self.wait)();
    }
}

impl<F> Beside<'_, F> {
    fn pass_ms(&mut self, ms: u64) {
        self.now = self.now.saturating_add(Duration::from_millis(ms));
        self.router.poll(self.now, 8, &mut NoEgress);
    }
}

/// When the router is to be polled to leave lanes what it couldn't.
fn soon(now: Instant) -> Instant {
    now.saturating_add(Duration::from_millis(1))
}

impl<F: Fn()> Routes for Beside<'_, F> {
    fn insert(&mut self, route: &RouteConfig) {
        self.router.insert(route);
        self.changed();
    }

    fn remove(&mut self, prefix: Network) -> bool {
        let removed = self.router.remove(prefix);
        self.changed();
        removed
    }
}

/// Routes to nowhere beside those that change, so that the tables take other forms: an index of
/// the block after a quarter of the changes, no quick copy after a half, then again as at first.
fn fill(change: usize, routes: &mut impl Routes) {
    let beside = |at: u16| {
        let [high, low] = at.to_be_bytes();
        let four = (IpAddr::from([66, high, low, 0]), 24);
        let six = (IpAddr::from([0x2a0f, at, 0, 0, 0, 0, 0, 0]), 32);
        let both = [four, six].map(|(address, len)| Network { address, len });
        // Only tables of IPv4 have a copy.
        both.into_iter().take(if at < 1500 { 2 } else { 1 })
    };
    let (from, to) = match change * 4 / CHANGES {
        1 => (0, 1500),
        2 => (1500, 17_000),
        _ => (0, 17_000),
    };
    for prefix in (from..to).flat_map(beside) {
        if change == CHANGES * 3 / 4 {
            assert!(routes.remove(prefix));
        } else {
            routes.insert(&route(prefix, None));
        }
    }
}

struct NoEgress;

impl Egress for NoEgress {
    fn room(&self, _: InterfaceId) -> usize {
        0
    }

    fn send(&mut self, _: InterfaceId, _: &[u8], _: FrameMeta) -> Result<(), NoRoom> {
        Err(NoRoom)
    }
}

/// Has others end, however this does.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// How often one route comes and goes.
const FLAPS: usize = 10_000;
/// Parts of the tables that may wait for lanes, before changes do.
const RETIRED: usize = 3_000;

/// Bytes of the tables of both families.
fn bytes(router: &Router) -> usize {
    let tables = snapshot::routes(router, 0).unwrap();
    tables.ipv4.bytes + tables.ipv6.bytes
}

/// Changes are numbered. What lanes know of them is a count of their beginnings and ends, so
/// that an odd one says that a change is under way, and one that stays the same that there was
/// none: then the route in force is to be found.
///
/// No lane stops: each frame goes where the route said that was in force before or after one of the
/// changes meanwhile, and the tables take no more memory the longer routes flap.
#[test]
fn routes_change_while_lanes_forward() {
    let plan = Plan::new();
    let mut bed = bed_with_gateways();
    for (covering, _) in NESTS {
        let covering = route(covering.parse().unwrap(), Some(0));
        bed.router.insert_route(&covering).unwrap();
    }
    // Time for a quick copy, which is old from the first change on.
    for _ in 0..2 {
        bed.now = bed.now.saturating_add(Duration::from_millis(200));
        bed.poll();
    }
    let mut lanes = [(); LANES].map(|()| (bed.router.new_lane(), bed.router.new_view()));
    let bursts = plan.frames.each_ref();
    let bursts = bursts.map(|frames| std::array::from_fn::<_, BURST, _>(|at| &frames[at]));
    let (edges, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let seen = [(); LANES].map(|()| AtomicUsize::new(0));
    let now = bed.now;
    // Forwards until all is done. How many bursts there were changes beside.
    let watch = |at: usize, lane: &mut (Lane, View)| {
        let mut overlapping = 0;
        while !done.load(Ordering::SeqCst) {
            for (family, frames) in bursts.into_iter().enumerate() {
                let before = edges.load(Ordering::SeqCst);
                let (verdicts, headers) = process(lane, now, frames);
                let after = edges.load(Ordering::SeqCst);
                assert_eq!(verdicts, [Verdict::Forward(InterfaceId(LAN)); BURST]);
                let possible = &plan.answers[before / 2..=after.div_ceil(2)];
                for (frame, found) in headers.iter().map(|header| header.0[5]).enumerate() {
                    assert!(
                        possible
                            .iter()
                            .any(|answers| answers[family][frame] == found),
                        "lane {at}, changes {before} to {after}, frame {frame} of {family}: {found}",
                    );
                }
                overlapping += usize::from(before != after || before % 2 == 1);
                seen[at].fetch_add(1, Ordering::SeqCst);
            }
        }
        overlapping
    };
    let router = &mut bed.router;
    std::thread::scope(|scope| {
        let watch = &watch;
        let ends = Ends(&done);
        let mut at = 0;
        let watchers = lanes.each_mut().map(|lane| {
            at += 1;
            let at = at - 1;
            scope.spawn(move || watch(at, lane))
        });
        let failed = || watchers.iter().any(|watcher| watcher.is_finished());
        // Until each lane has forwarded something more.
        let patiently = || {
            let before = seen.each_ref().map(|count| count.load(Ordering::SeqCst));
            while !failed() && (0..LANES).any(|at| seen[at].load(Ordering::SeqCst) == before[at]) {
                std::thread::yield_now();
            }
        };
        let wait = &patiently;
        let mut beside = Beside {
            router,
            now,
            wait,
            waits: 0,
        };
        for change in 1..=CHANGES {
            edges.store(2 * change - 1, Ordering::SeqCst);
            if change % (CHANGES / 4) == 0 && change < CHANGES {
                fill(change, &mut beside);
            }
            plan.make(change, &mut beside);
            if change % 3 == 0 {
                // Time for a quick copy; some routes change before it is due, some after.
                beside.pass_ms(60);
            }
            edges.store(2 * change, Ordering::SeqCst);
            if change % 4 == 0 {
                patiently();
            }
        }
        // Routes that no frame goes by, at full speed.
        let prefixes = ["67.1.2.0/24", "2a0e:1::/48"].map(|text| text.parse().unwrap());
        for flap in 0..FLAPS {
            for prefix in prefixes {
                beside.insert(&route(prefix, Some(flap as u8 % GATEWAYS)));
                assert!(beside.remove(prefix));
            }
            if failed() {
                break;
            }
        }
        drop(ends);
        for watcher in watchers {
            let overlapping = watcher.join().expect("the right routes");
            assert!(overlapping > CHANGES / 10, "{overlapping} during changes");
        }
    });
    // A router with as many routes at a time, but without lanes, takes as much, but for what had to wait.
    let mut other = bed_with_gateways();
    (1..CHANGES).for_each(|change| {
        if change % (CHANGES / 4) == 0 {
            fill(change, &mut other.router);
        }
    });
    let (most, found) = (bytes(&other.router) + (1 << 20), bytes(&bed.router));
    assert!(found < most, "{found} bytes, {most} at most");
}

/// Whether a source is let in by another way than the best one takes routes that change meanwhile: a
/// frame of which that can't be told just then is punted, and none is decided wrongly.
#[test]
fn feasible_ways_are_asked_for_while_routes_change() {
    let mut text = CONFIG6.replace(
        "::1/64\"]\n[interface.lan]",
        "::1/64\", \"10.0.0.1/24\"]\nrpf = \"feasible\"\n[interface.lan]",
    );
    for (interface, address, mac) in [
        ("wan", "10.0.0.10", 8),
        ("wan", "2001:db8::10", 8),
        ("lan", "10.0.1.10", 0),
        ("lan", "2001:db8:1::10", 0),
    ] {
        text += &format!(
            "[[neighbor]]\ninterface = \"{interface}\"\naddress = \"{address}\"\n\
             mac = \"02:00:00:00:00:0{mac}\"\n"
        );
    }
    for (prefix, via) in [
        ("64.0.0.0/2", "10.0.0.10"),
        ("64.1.0.0/16", "10.0.1.10"),
        ("2a00::/12", "2001:db8::10"),
        ("2a00:1::/32", "2001:db8:1::10"),
        ("203.0.113.0/24", "10.0.1.10"),
        ("2c00::/32", "2001:db8:1::10"),
    ] {
        text += &format!("[[route]]\nprefix = \"{prefix}\"\nvia = [\"{via}\"]\n");
    }
    let mut bed = Bed::ready6(&text, &[]);
    // The best way to the first of each family is another, to the second the only one.
    let frames = [
        udp(WAN, [64, 1, 2, 9], [10, 0, 1, 10], 20),
        udp(WAN, [203, 0, 113, 9], [10, 0, 1, 10], 20),
        udp6(WAN, a6("2a00:1::9"), a6("2001:db8:1::10"), 20),
        udp6(WAN, a6("2c00::9"), a6("2001:db8:1::10"), 20),
    ];
    let right = [true, false, true, false].map(|good| match good {
        true => Verdict::Forward(InterfaceId(LAN)),
        false => Verdict::Drop,
    });
    let changing = ["64.1.2.0/24", "2a00:1:2::/48"].map(|text| text.parse::<Network>().unwrap());
    let mut lanes = [(); LANES].map(|()| (bed.router.new_lane(), bed.router.new_view()));
    let (now, done) = (bed.now, AtomicBool::new(false));
    let watch = |lane: &mut (Lane, View)| {
        let (mut decided, mut bursts) = ([0usize; 4], 0);
        while !done.load(Ordering::SeqCst) || bursts == 0 {
            bursts += 1;
            let (verdicts, _) = process(lane, now, frames.each_ref());
            for (at, verdict) in verdicts.into_iter().enumerate() {
                assert!(
                    [right[at], Verdict::Punt].contains(&verdict),
                    "frame {at}: {verdict:?}"
                );
                decided[at] += usize::from(verdict == right[at]);
            }
        }
        decided
    };
    let router = &mut bed.router;
    std::thread::scope(|scope| {
        let watch = &watch;
        let ends = Ends(&done);
        let watchers = lanes
            .each_mut()
            .map(|lane| scope.spawn(move || watch(lane)));
        for _ in 0..FLAPS {
            for prefix in changing {
                if router.retired() > RETIRED {
                    std::thread::yield_now();
                }
                router.insert(&route(prefix, Some(0)));
                assert!(router.remove(prefix));
            }
        }
        drop(ends);
        for watcher in watchers {
            let decided = watcher.join().expect("right verdicts");
            assert!(decided.iter().all(|&count| count > 0), "{decided:?}");
        }
    });
}

/// A lane that sleeps, or that isn't run, keeps nobody waiting, and finds the newest tables when it goes on.
#[test]
fn a_lane_that_stands_still_holds_up_nothing_but_numbers() {
    let mut bed = bed_with_gateways();
    let prefix = |text: &str| text.parse::<Network>().unwrap();
    let to = |at: u8| {
        let mut route = route(prefix("192.0.2.0/24"), Some(0));
        if let RouteTarget::Via(gateways) = &mut route.target {
            gateways[0].address = [10, 0, 1, at].into();
        }
        route
    };
    let mut lane = (bed.router.new_lane(), bed.router.new_view());
    let frame = udp(WAN, A, [192, 0, 2, 1], 20);
    let found = |lane: &mut (Lane, View), now| {
        let ([verdict], [header]) = process(lane, now, [&frame]);
        (verdict, header.0[5])
    };
    let known = |gateway: u8| (Verdict::Forward(InterfaceId(LAN)), gateway);
    for gateway in 0..GATEWAYS {
        bed.router.insert_route(&to(10 + gateway)).unwrap();
        assert_eq!(found(&mut lane, bed.now), known(gateway));
    }
    // Gateways that nobody knows yet are the slow path's matter, whatever the lane has read.
    for at in 50..250 {
        bed.router.insert_route(&to(at)).unwrap();
    }
    assert_eq!(found(&mut lane, bed.now).0, Verdict::Punt);
    lane.1.rest();
    for at in 50..250 {
        bed.router.insert_route(&to(at)).unwrap();
    }
    bed.router.insert_route(&to(11)).unwrap();
    assert_eq!(found(&mut lane, bed.now), known(1));
}

/// Who has a neighbor's number in hand never sends to whoever gets that number later.
#[test]
fn neighbors_come_and_go_while_lanes_forward() {
    const HOSTS: u8 = 120;
    let text = CONFIG6.replace(
        "::1/64\"]\n[interface.lan]",
        "::1/64\", \"10.0.0.1/24\"]\n[interface.lan]\nneighbor_limit = 64",
    );
    let mut bed = Bed::ready6(&text, &[]);
    let mut lanes = [(); LANES].map(|()| (bed.router.new_lane(), bed.router.new_view()));
    let done = AtomicBool::new(false);
    let now = bed.now;
    let frames: Vec<Frame> = (1..=HOSTS)
        .map(|host| udp(WAN, A, [10, 0, 1, host + 1], 20))
        .collect();
    let watch = |lane: &mut (Lane, View)| {
        let (mut sent, mut turn) = (0u64, 0);
        while !done.load(Ordering::SeqCst) {
            turn += 1;
            let chosen: [usize; BURST] = std::array::from_fn(|at| (turn * 7 + at) % frames.len());
            let (verdicts, headers) = process(lane, now, chosen.map(|at| &frames[at]));
            for ((header, verdict), at) in headers.iter().zip(verdicts).zip(chosen) {
                if verdict == Verdict::Forward(InterfaceId(LAN)) {
                    assert_eq!(header.0[..6], host_mac([10, 0, 1, at as u8 + 2]));
                    sent += 1;
                } else {
                    assert_eq!(verdict, Verdict::Punt);
                }
            }
        }
        sent
    };
    std::thread::scope(|scope| {
        let (watch, ends) = (&watch, Ends(&done));
        let watchers = lanes
            .each_mut()
            .map(|lane| scope.spawn(move || watch(lane)));
        // Twice as many as there may be answer in turns: each displaces one that is stale by then.
        for round in 0..400u32 {
            for host in 0..8 {
                let host = [10, 0, 1, ((round * 8 + host) % u32::from(HOSTS)) as u8 + 2];
                bed.meet(LAN, host, [10, 0, 1, 1]);
            }
            bed.pass(5000);
            bed.take();
            if watchers.iter().any(|watcher| watcher.is_finished()) {
                break;
            }
        }
        drop(ends);
        let sent: u64 = watchers
            .into_iter()
            .map(|watcher| watcher.join().expect("right"))
            .sum();
        assert!(sent > 1000, "{sent} forwarded");
    });
}

/// A link that many routes need is followed part by part beside lanes, and what each finds in between is the
/// route of before or the one of after.
#[test]
fn a_link_change_is_followed_part_by_part() {
    let mut text = CONFIG6.replace(
        "::1/64\"]\n[interface.lan]",
        "::1/64\", \"10.0.0.1/24\"]\n[interface.lan]",
    );
    for (interface, address, mac) in [("wan", "10.0.0.10", 8), ("lan", "10.0.1.10", 9)] {
        text += &format!(
            "[[neighbor]]\ninterface = \"{interface}\"\naddress = \"{address}\"\n\
             mac = \"02:00:00:00:00:0{mac}\"\n"
        );
    }
    let mut bed = Bed::ready6(&text, &[]);
    let by = |prefix: Network, interface: u8| {
        let mut route = route(prefix, Some(0));
        if let RouteTarget::Via(gateways) = &mut route.target {
            gateways[0].address = [10, 0, interface, 10].into();
            gateways[0].interface = usize::from(interface);
        }
        route
    };
    // Everything by one link, and half of it rather by the other one.
    bed.router
        .insert_route(&by("64.0.0.0/2".parse().unwrap(), WAN))
        .unwrap();
    for at in 0..40_000u32 {
        let prefix = Network {
            address: Ipv4Addr::from_bits(0x4100_0000 + (at << 8)).into(),
            len: 24,
        };
        bed.router.insert_route(&by(prefix, LAN)).unwrap();
    }
    let mut lane = (bed.router.new_lane(), bed.router.new_view());
    let frames: [Frame; BURST] =
        std::array::from_fn(|at| udp(WAN, A, [65, at as u8 * 2, 7, 9], 20));
    let mut found = |now| process(&mut lane, now, frames.each_ref()).0;
    let is_all = |verdicts: [Verdict; BURST], out| {
        verdicts
            .iter()
            .all(|&it| it == Verdict::Forward(InterfaceId(out)))
    };
    assert!(is_all(found(bed.now), LAN));
    let mac = router_mac(0, LAN);
    for round in 0..3 {
        for (up, before, after) in [(false, LAN, WAN), (true, WAN, LAN)] {
            match up {
                true => bed.router.link_up(bed.now, InterfaceId(LAN), mac, 1500),
                false => bed.router.link_down(InterfaceId(LAN)),
            }
            let mut parts = 0;
            while bed.router.poll(bed.now, 8, &mut NoEgress).more {
                parts += 1;
                for verdict in found(bed.now) {
                    let possible = [before, after].map(|out| Verdict::Forward(InterfaceId(out)));
                    // The old way is closed, and the slow path knows.
                    assert!(possible.contains(&verdict) || verdict == Verdict::Punt);
                }
            }
            assert!(parts > 5, "round {round}: {parts} parts");
            assert!(is_all(found(bed.now), after), "round {round}, up {up}");
        }
    }
}
