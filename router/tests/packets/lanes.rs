//! Several lanes of one router, forwarding at the same time.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::bed::*;
use router::addr::Network;
use router::config::{RouteConfig, RouteTarget, Via};
use router::{BURST, DropReason, FrameMeta, HEADER_LEN, Header, InterfaceId, Lane, Verdict};
use xen_hal::lanes::Lanes;

const A: [u8; 4] = [10, 0, 0, 9];
const B: [u8; 4] = [10, 0, 1, 9];
const BURSTS: usize = 50;

fn header(frame: &[u8]) -> Header {
    let mut header = Header([0; HEADER_LEN]);
    let len = frame.len().min(HEADER_LEN);
    header.0[..len].copy_from_slice(&frame[..len]);
    header
}

/// Bursts of frames to forward, the first and the last of which are to be punted and dropped.
fn forward(bed: &Bed, lane: &mut Lane) {
    let good = udp(WAN, A, B, 100);
    let expiring = edit(good.clone(), |ip| ip[8] = 1);
    let mut bad = good.clone();
    bad[24] ^= 1;
    for _ in 0..BURSTS {
        let mut headers = [header(&good); BURST];
        headers[0] = header(&expiring);
        headers[BURST - 1] = header(&bad);
        let metas = [FrameMeta::plain(good.len()); BURST];
        let mut verdicts = [Verdict::Drop; BURST];
        let input = InterfaceId(WAN);
        lane.process(
            &bed.router,
            bed.now,
            input,
            &mut headers,
            &metas,
            &mut verdicts,
        );
        assert_eq!(verdicts[0], Verdict::Punt);
        assert_eq!(verdicts[1..63], [Verdict::Forward(InterfaceId(LAN)); 62]);
        assert_eq!(verdicts[63], Verdict::Drop);
        assert!(headers[1..63].iter().all(|h| h.0[..6] == host_mac(B)));
        lane.punt(&bed.router, input, metas[0], |to| {
            to.copy_from_slice(&expiring);
        });
    }
}

#[test]
fn lanes_forward_together_and_everything_is_counted_once() {
    let mut bed = Bed::ready(CONFIG, &[(WAN, A), (LAN, B)]);
    let before = [WAN, LAN].map(|at| bed.router.counters(InterfaceId(at)).unwrap());
    let mut lanes = [(); 4].map(|()| bed.router.new_lane());
    let shared = &bed;
    std::thread::scope(|scope| {
        for lane in &mut lanes {
            scope.spawn(|| forward(shared, lane));
        }
    });
    // Until they are asked, lanes keep what they have to themselves.
    assert_eq!(bed.router.pending(), 0);
    let mut icmp = 0;
    for lane in &mut lanes {
        assert!(lane.has_punts());
        bed.router.gather_counters(lane);
        bed.router.gather_punts(lane);
        bed.poll();
        icmp += bed.take().len();
        assert!(!lane.has_punts());
    }
    let [wan, lan] = [WAN, LAN].map(|at| bed.router.counters(InterfaceId(at)).unwrap());
    let all = (4 * BURSTS * BURST) as u64;
    assert_eq!(wan.rx_packets - before[0].rx_packets, all);
    assert_eq!(wan.dropped(DropReason::BadChecksum), 4 * BURSTS as u64);
    assert_eq!(
        lan.tx_packets - before[1].tx_packets,
        all / BURST as u64 * 62
    );
    // The rate of ICMP errors is limited; the rest was counted.
    let expired = wan.dropped(DropReason::TtlExpired) - before[0].dropped(DropReason::TtlExpired);
    assert_eq!(expired, 4 * BURSTS as u64);
    assert_eq!(wan.icmp_errors + wan.icmp_suppressed, expired);
    assert_eq!(wan.icmp_errors, icmp as u64);
    // Asked again, a lane has nothing more to tell.
    bed.router.gather_counters(&mut lanes[0]);
    let again = bed.router.counters(InterfaceId(WAN)).unwrap();
    assert_eq!(again.rx_packets, wan.rx_packets);
}

#[test]
fn lanes_outlive_a_change_of_the_configuration() {
    let mut bed = Bed::ready(CONFIG, &[(WAN, A), (LAN, B)]);
    let mut lane = bed.router.new_lane();
    forward(&bed, &mut lane);
    bed.router.gather_counters(&mut lane);
    bed.router.gather_punts(&mut lane);
    let counted = bed.router.counters(InterfaceId(WAN)).unwrap().rx_packets;
    let config = bed.router.config().clone();
    bed.router.apply(bed.now, &config);
    lane = bed.router.new_lane();
    forward(&bed, &mut lane);
    bed.router.gather_counters(&mut lane);
    let now = bed.router.counters(InterfaceId(WAN)).unwrap().rx_packets;
    assert_eq!(now - counted, (BURSTS * BURST) as u64);
}

/// Lets whoever holds the lock run.
struct Patient;

impl spin::RelaxStrategy for Patient {
    fn relax() {
        std::thread::yield_now();
    }
}

/// A route by a gateway on the LAN.
fn route(prefix: [u8; 4], len: u8, gateway: [u8; 4]) -> RouteConfig {
    let address = gateway.into();
    RouteConfig {
        prefix: Network {
            address: std::net::IpAddr::from(prefix),
            len,
        },
        vrf: 0,
        target: RouteTarget::Via(vec![Via {
            address,
            interface: usize::from(LAN),
            weight: 1,
        }]),
        mtu: None,
    }
}

#[test]
fn lanes_see_the_old_route_or_the_new_one_while_routes_change() {
    const CHANGES: u32 = 800;
    const LANES: usize = 3;
    const C: [u8; 4] = [10, 0, 1, 8];
    const NET: [u8; 4] = [198, 51, 100, 0];
    let mut bed = Bed::ready(CONFIG, &[(WAN, A), (LAN, B), (LAN, C)]);
    // What is left when there is no longer prefix, so that there is always one of the two.
    let covering = route([198, 51, 0, 0], 16, B);
    bed.router.insert_route(&covering).unwrap();
    let (now, input) = (bed.now, InterfaceId(WAN));
    let lane = || (bed.router.new_lane(), [0u64; 2]);
    let (first, others) = (lane(), [lane(), lane()]);
    let lanes = Lanes::<_, _, Patient>::new(first, others, bed.router);
    let done = AtomicBool::new(false);
    let frame = udp(WAN, A, [198, 51, 100, 7], 100);
    let metas = [FrameMeta::plain(frame.len()); BURST];
    // One burst: which of the two gateways its frames went to.
    let burst = |at: usize| {
        let mut headers = [header(&frame); BURST];
        let mut verdicts = [Verdict::Drop; BURST];
        let mut entered = lanes.enter(at).unwrap();
        let ((lane, seen), router) = entered.parts();
        lane.process(router, now, input, &mut headers, &metas, &mut verdicts);
        assert_eq!(verdicts, [Verdict::Forward(InterfaceId(LAN)); BURST]);
        let to_c = headers[0].0[..6] == host_mac(C);
        let wanted = host_mac(if to_c { C } else { B });
        assert!(headers.iter().all(|header| header.0[..6] == wanted));
        seen[usize::from(to_c)] += 1;
        to_c
    };
    std::thread::scope(|scope| {
        for at in 0..LANES {
            let (burst, done) = (&burst, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Acquire) {
                    burst(at);
                }
                assert!(burst(at), "the last change");
            });
        }
        for change in 0..CHANGES {
            let mut stopped = lanes.stop_all();
            let (router, _) = stopped.parts();
            match change % 4 {
                1 => router.insert_route(&route(NET, 24, B)).unwrap(),
                3 if change + 1 < CHANGES => {
                    let Network { address, len } = route(NET, 24, B).prefix;
                    assert!(router.remove_route(Network { address, len }));
                }
                _ => router.insert_route(&route(NET, 24, C)).unwrap(),
            }
            // The table grows and is laid out anew meanwhile.
            for low in 0..20 {
                let [.., high, middle] = change.to_be_bytes();
                let other = route([60 + high, middle, low, 0], 24, B);
                router.insert_route(&other).unwrap();
            }
        }
        done.store(true, Ordering::Release);
    });
    for (_, seen) in lanes.stop_all().parts().1 {
        assert!(seen.iter().all(|&bursts| bursts > 20), "{seen:?}");
    }
}
