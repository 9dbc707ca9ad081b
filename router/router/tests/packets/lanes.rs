//! Several lanes of one router, forwarding at the same time.

use router::{BURST, DropReason, FrameMeta, HEADER_LEN, Header, InterfaceId, Lane, Verdict};
use testkit::bed::*;

const A: [u8; 4] = [10, 0, 0, 9];
const B: [u8; 4] = [10, 0, 1, 9];
const BURSTS: usize = 50;

/// The first bytes of a frame, as a lane gets them.
pub(crate) fn header(frame: &[u8]) -> Header {
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
            bed.router.tables(),
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
        lane.punt(bed.router.tables(), input, metas[0], |to| {
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
        assert!(lane.offer_punts() && !lane.has_punts());
        assert_eq!(bed.router.pending(), BURSTS);
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
    lane.offer_punts();
    let counted = bed.router.counters(InterfaceId(WAN)).unwrap().rx_packets;
    let config = bed.router.config().clone();
    bed.router.apply(bed.now, &config).unwrap();
    lane = bed.router.new_lane();
    forward(&bed, &mut lane);
    bed.router.gather_counters(&mut lane);
    let now = bed.router.counters(InterfaceId(WAN)).unwrap().rx_packets;
    assert_eq!(now - counted, (BURSTS * BURST) as u64);
}
