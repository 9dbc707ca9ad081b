//! Properties of whole routers: what holds for any packet, any routes, any order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use prefix_trie::PrefixMap;
use proptest::prelude::*;
use router::{Config, FrameMeta, InterfaceId, Verdict};
use testkit::bed::*;
use testkit::bed6::*;

const A: [u8; 4] = [10, 0, 0, 9];

/// Puts things into an order that follows from a number.
fn shuffled<T>(mut things: Vec<T>, mut order: u64) -> Vec<T> {
    for i in (1..things.len()).rev() {
        order = order
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        things.swap(i, (order >> 33) as usize % (i + 1));
    }
    things
}

/// A router with large links on both sides, the right one cut down to `mtu`, and a host it
/// knows on each.
fn narrow(mtu: usize) -> Bed {
    let text = format!(
        "[interface.left]\nvif = 0\naddress = [\"10.0.0.1/24\"]\nmtu = 9000\n\
         [interface.right]\nvif = 1\naddress = [\"10.0.1.1/24\"]\nmtu = {mtu}\n"
    );
    let mut bed = Bed::new(&text, 0);
    for at in 0..2 {
        bed.router
            .link_up(bed.now, InterfaceId(at), router_mac(0, at), 9000);
        let host = [10, 0, at, 9];
        bed.meet(at, host, [10, 0, at, 1]);
    }
    bed.take();
    bed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What one router cuts another puts together, in whatever order it comes: an echo request
    /// is answered as the whole that it was.
    #[test]
    fn fragmenting_then_reassembling_is_identity(
        data in prop::collection::vec(any::<u8>(), 1..8000),
        mtu in 1200usize..1600,
        order: u64,
    ) {
        let mut cutter = narrow(mtu);
        let mut request = echo(LEFT, A, [10, 0, 1, 9], 0);
        request.extend(&data);
        let total = (request.len() - 14) as u16;
        request[16..18].copy_from_slice(&total.to_be_bytes());
        set_checksum(&mut request[14..34], 10);
        set_checksum(&mut request[34..], 2);
        cutter.receive(LEFT, &request);
        cutter.assert_balance();
        let pieces = cutter.take();
        // Cut in multiples of 8 bytes, if it has to be cut at all.
        let (len, room) = (data.len() + 8, mtu - 20);
        let wanted = if len <= room { 1 } else { len.div_ceil(room & !7) };
        prop_assert_eq!(pieces.len(), wanted);
        prop_assert!(pieces.iter().all(|(out, f)| *out == RIGHT && f.len() <= 14 + mtu));

        // The other router has the address that they are for, and a link that takes the answer.
        let text = "[interface.left]\nvif = 0\naddress = [\"10.0.1.9/24\"]\nmtu = 9000\n\
                    [[neighbor]]\ninterface = \"left\"\naddress = \"10.0.1.1\"\nmac = \"02:00:00:00:00:01\"\n\
                    [[route]]\nprefix = \"0.0.0.0/0\"\nvia = [\"10.0.1.1\"]\n";
        let mut joiner = Bed::new(text, 1);
        joiner.router.link_up(joiner.now, InterfaceId(0), router_mac(1, 0), 9000);
        joiner.poll();
        joiner.take();
        for (_, mut piece) in shuffled(pieces, order) {
            piece[..6].copy_from_slice(&router_mac(1, 0));
            joiner.receive(LEFT, &piece);
        }
        joiner.assert_balance();
        let answers = joiner.take();
        prop_assert_eq!(answers.len(), 1);
        let answer = &answers[0].1;
        prop_assert_eq!(checksum(&answer[14..34]), 0);
        prop_assert_eq!(checksum(&answer[34..]), 0);
        prop_assert_eq!((answer[34], &answer[42..]), (0, &data[..]));
    }

    /// The same of IPv6, which hosts cut: what came in pieces of any length and order is answered
    /// as a whole, in pieces that make the same again.
    #[test]
    fn fragments_of_ipv6_are_answered_with_fragments_of_the_same(
        data in prop::collection::vec(any::<u8>(), 1..8000),
        lens in prop::collection::vec(20usize..180, 56),
        order: u64,
    ) {
        let (host, own) = (a6("2001:db8::9"), a6("2001:db8::1"));
        let mut bed = Bed::ready6(CONFIG6, &[(LEFT, "2001:db8::9")]);
        let mut request = vec![128, 0, 0, 0, 0, 7, 0, 1];
        request.extend(&data);
        let sum = sum6(host, own, 58, &request);
        request[2..4].copy_from_slice(&sum.to_be_bytes());
        let (mut pieces, mut at) = (vec![], 0);
        for len in lens {
            let end = request.len().min(at + len * 8);
            if at == end {
                break;
            }
            let place = at as u16 | u16::from(end < request.len());
            let mut piece = vec![58, 0, (place >> 8) as u8, place as u8, 0, 0, 0, 7];
            piece.extend(&request[at..end]);
            pieces.push(ip6(LEFT, host, own, 64, 44, &piece));
            at = end;
        }
        prop_assume!(at == request.len());
        for piece in shuffled(pieces, order) {
            bed.receive(LEFT, &piece);
        }
        let mut answer: Vec<u8> = vec![];
        for sent in bed.take6() {
            prop_assert!(sent.payload.len() + 40 <= 1500);
            if sent.next == 58 {
                answer = sent.payload;
                continue;
            }
            let place = u16::from_be_bytes([sent.payload[2], sent.payload[3]]);
            prop_assert_eq!((sent.next, usize::from(place & !7)), (44, answer.len()));
            answer.extend(&sent.payload[8..]);
            let more = answer.len() < request.len();
            prop_assert_eq!(place & 1, u16::from(more));
        }
        prop_assert_eq!(sum6(own, host, 58, &answer), 0);
        prop_assert_eq!((answer[0], &answer[4..]), (129, &request[4..]));
        bed.assert_balance();
    }

    /// The header that a router sends on is the one that it got with one hop less and the
    /// checksum that such a header has, whatever its fields and options are.
    #[test]
    fn the_corrected_checksum_is_the_computed_one(
        [tos, ident_high, ident_low, ttl, protocol, last] in any::<[u8; 6]>(),
        alerts in 0usize..4,
        near_wrap in 0u16..4,
        len in 0usize..100,
    ) {
        let mut bed = narrow(1500);
        let mut payload = vec![4, 0, 4, 1, 0, 8, 0, 0];
        payload.resize(8 + len, last);
        // Router alerts, which say nothing here, and make the packet take the slow path.
        let options = [148, 4, 0, 0].repeat(alerts);
        let mut frame = ip(LEFT, A, [10, 0, 1, 9], ttl.max(2), protocol, &[&options[..], &payload].concat());
        frame[14] += alerts as u8;
        frame[15] = tos;
        frame[18..20].copy_from_slice(&[ident_high, ident_low]);
        let header_len = 20 + 4 * alerts;
        set_checksum(&mut frame[14..14 + header_len], 10);
        if near_wrap > 0 {
            // The number makes the checksum come out where adding to it wraps around.
            let sum = u16::from_be_bytes([frame[24], frame[25]]);
            let ident = u16::from_be_bytes([frame[18], frame[19]]);
            let wanted = 0xfffb + near_wrap;
            let ident = u32::from(ident) + u32::from(sum) + u32::from(!wanted);
            let ident = (ident % 0xffff) as u16;
            frame[18..20].copy_from_slice(&ident.to_be_bytes());
            set_checksum(&mut frame[14..14 + header_len], 10);
        }
        bed.receive(LEFT, &frame);
        let sent = bed.take();
        prop_assert_eq!(sent.len(), 1);
        let (out, mut expected) = (sent[0].0, frame.clone());
        prop_assert_eq!(out, RIGHT);
        expected[..6].copy_from_slice(&host_mac([10, 0, 1, 9]));
        expected[6..12].copy_from_slice(&router_mac(0, RIGHT));
        expected[22] -= 1;
        set_checksum(&mut expected[14..14 + header_len], 10);
        prop_assert_eq!(&sent[0].1, &expected);
    }

    /// A source route leads nowhere that a packet sent there wouldn't go, and to no network as a
    /// whole; a loose one leads everywhere else.
    #[test]
    fn source_routes_lead_where_plain_packets_go(
        strict: bool,
        recorded in 0usize..3,
        addresses in prop::collection::vec(step(), 1..6),
    ) {
        let kind = if strict { 137 } else { 131 };
        let mut option = vec![1, kind, 3 + 4 * (recorded + addresses.len()) as u8, 4 + 4 * recorded as u8];
        option.extend([9, 9, 9, 9].repeat(recorded));
        option.extend(addresses.concat());
        let routed = with_options(udp(LEFT, A, [10, 0, 0, 1], 30), &option);
        let routed = reached(&routed);
        let Some(&next) = addresses.iter().find(|a| !STEPS_OURS.contains(a)) else {
            prop_assert_eq!(routed, vec![], "it ends here");
            return Ok(());
        };
        let mut plain = reached(&udp(LEFT, A, next, 30));
        if next[..3] == [10, 0, 1] && [0, 255].contains(&next[3]) {
            plain.clear();
        }
        if strict {
            prop_assert!(routed.is_empty() || routed == plain, "{:?}, {:?}", routed, plain);
        } else {
            prop_assert_eq!(routed, plain);
        }
    }

    /// Whatever routes come and go, a packet goes where the longest prefix says.
    #[test]
    fn packets_follow_the_longest_prefix(
        changes in prop::collection::vec(change(), 1..60),
        probes in prop::collection::vec(any::<(u32, u8)>(), 20),
    ) {
        let mut bed = Bed::new(FOUR, 0);
        bed.pass(3000);
        let empty = bed.router.config().clone();
        let mut routes = (PrefixMap::<(u32, u8), u8>::new(), PrefixMap::<(u128, u8), u8>::new());
        // Some routes are there from the start, and others come and go in four steps.
        for step in changes.chunks(changes.len().div_ceil(4)) {
            for &Change { remove, six, bits, len, way } in step {
                let prefix = prefix(six, bits, len);
                match (prefix, remove) {
                    ((IpAddr::V4(a), len), false) => { routes.0.insert((a.to_bits(), len), way); }
                    ((IpAddr::V4(a), len), true) => { routes.0.remove(&(a.to_bits(), len)); }
                    ((IpAddr::V6(a), len), false) => { routes.1.insert((a.to_bits(), len), way); }
                    ((IpAddr::V6(a), len), true) => { routes.1.remove(&(a.to_bits(), len)); }
                }
            }
            bed.router.apply(bed.now, &with_routes(&empty, &routes)).unwrap();
            bed.pass(3000);
            bed.take();
            let ends = step.iter().map(|c| (c.bits, c.len));
            for (bits, len) in ends.chain(probes.iter().copied()) {
                let (four, six) = (prefix(false, bits, 32).0, prefix(true, bits, len.max(100)).0);
                let (IpAddr::V4(four), IpAddr::V6(six)) = (four, six) else { unreachable!() };
                let wanted = routes.0.get_lpm(&(four.to_bits(), 32)).map(|(_, &way)| way);
                prop_assert_eq!(way(&mut bed, four.into()), wanted, "{}", four);
                let wanted = routes.1.get_lpm(&(six.to_bits(), 128)).map(|(_, &way)| way);
                prop_assert_eq!(way(&mut bed, six.into()), wanted, "{}", six);
            }
        }
        bed.assert_balance();
    }
}

const LEFT: u8 = 0;
const RIGHT: u8 = 1;

/// Four interfaces, with a gateway of each family behind each that is always known.
const FOUR: &str = r#"
[interface.i0]
vif = 0
address = ["10.0.0.1/24", "2001:db8:0::1/64"]
[interface.i1]
vif = 1
address = ["10.0.1.1/24", "2001:db8:1::1/64"]
[interface.i2]
vif = 2
address = ["10.0.2.1/24", "2001:db8:2::1/64"]
[interface.i3]
vif = 3
address = ["10.0.3.1/24", "2001:db8:3::1/64"]
"#;

/// Tables of which one leads to another, and destinations of every kind.
const STEPS: &str = r#"
[vrf.blue]
[vrf.red]
[interface.left]
vif = 0
source_route = true
address = ["10.0.0.1/24"]
[interface.right]
vif = 1
directed_broadcast = true
address = ["10.0.1.1/24"]
[interface.blue]
vif = 2
vrf = "blue"
address = ["10.0.2.1/24"]
[interface.red]
vif = 3
vrf = "red"
address = ["10.0.3.1/24"]
[[route]]
prefix = "10.0.2.0/24"
via_vrf = "blue"
[[route]]
prefix = "20.0.0.0/8"
via = ["10.0.1.9"]
[[route]]
prefix = "22.0.0.0/8"
interface = "right"
[[route]]
prefix = "30.0.0.0/8"
action = "blackhole"
[[route]]
prefix = "31.0.0.0/8"
action = "prohibit"
"#;

/// The router's addresses, as seen from the left.
const STEPS_OURS: [[u8; 4]; 3] = [[10, 0, 0, 1], [10, 0, 1, 1], [10, 0, 2, 1]];

/// An address in a source route.
fn step() -> impl Strategy<Value = [u8; 4]> {
    let kinds = [
        [10, 0, 0, 9],
        [10, 0, 1, 9],
        [10, 0, 2, 9],
        [10, 0, 3, 1],
        [10, 0, 3, 9],
        [0, 0, 0, 0],
        [127, 0, 0, 1],
        [224, 0, 0, 9],
        [240, 0, 0, 1],
        [255, 255, 255, 255],
    ];
    prop_oneof![
        prop::sample::select(STEPS_OURS.to_vec()),
        prop::sample::select(kinds.to_vec()),
        (0u8..4, prop_oneof![Just(0), Just(255), any::<u8>()]).prop_map(|(n, h)| [10, 0, n, h]),
        (prop::sample::select(vec![20, 22, 30, 31]), any::<[u8; 3]>())
            .prop_map(|(a, [b, c, d])| [a, b, c, d]),
        any::<[u8; 4]>(),
    ]
}

/// Where a new router sends a datagram that came from the left: by which interface to which MAC address
/// and address, be it in a question for who has it.
fn reached(frame: &[u8]) -> Vec<(u8, [u8; 6], [u8; 4])> {
    let mut bed = Bed::new(STEPS, 0);
    bed.pass(3000);
    for at in 0..4 {
        let host = [10, 0, at, 9];
        bed.meet(at, host, [10, 0, at, 1]);
    }
    bed.take();
    bed.receive(LEFT, frame);
    bed.assert_balance();
    let sent = bed.take().into_iter().filter_map(|(out, f)| {
        let address = match (f[12..14] == [8, 6], f[23]) {
            (true, _) => &f[38..42],
            (false, 17) => &f[30..34],
            // An error.
            _ => return None,
        };
        Some((out, f[..6].try_into().unwrap(), address.try_into().unwrap()))
    });
    sent.collect()
}

#[derive(Clone, Copy, Debug)]
struct Change {
    remove: bool,
    six: bool,
    bits: u32,
    len: u8,
    way: u8,
}

fn change() -> impl Strategy<Value = Change> {
    let kinds = (prop::bool::weighted(0.3), any::<bool>());
    // Few bits, so that prefixes nest and come again.
    let bits = prop_oneof![
        any::<u32>(),
        (0u32..64).prop_map(|low| low << 3 | low << 26)
    ];
    (kinds, bits, any::<u8>(), 0u8..4).prop_map(|((remove, six), bits, len, way)| Change {
        remove,
        six,
        bits,
        len,
        way,
    })
}

/// A prefix of addresses that may be anybody's: of 64.0.0.0/2 or 2a00::/16.
fn prefix(six: bool, bits: u32, len: u8) -> (IpAddr, u8) {
    if six {
        let len = 16 + len % 113;
        let all = 0x2a00_u128 << 112 | u128::from(bits) << 80 | u128::from(bits);
        let masked = all & !u128::MAX.checked_shr(len.into()).unwrap_or(0);
        (Ipv6Addr::from_bits(masked).into(), len)
    } else {
        let len = 2 + len % 31;
        // 127.0.0.0/8 is nobody's.
        let all = match 0x4000_0000 | bits >> 2 {
            loopback @ 0x7f00_0000.. if len >= 8 => loopback ^ 0x0100_0000,
            all => all,
        };
        let masked = all & !u32::MAX.checked_shr(len.into()).unwrap_or(0);
        (Ipv4Addr::from_bits(masked).into(), len)
    }
}

type Routes = (PrefixMap<(u32, u8), u8>, PrefixMap<(u128, u8), u8>);

/// The configuration with these routes, and the neighbors that they lead to.
fn with_routes(empty: &Config, routes: &Routes) -> Config {
    let mut text = String::from(FOUR);
    for way in 0..4 {
        for gateway in [format!("10.0.{way}.9"), format!("2001:db8:{way}::9")] {
            text += &format!(
                "[[neighbor]]\ninterface = \"i{way}\"\naddress = \"{gateway}\"\nmac = \"02:00:00:00:09:0{way}\"\n"
            );
        }
    }
    let four = routes
        .0
        .iter()
        .map(|((bits, len), way)| (IpAddr::from(Ipv4Addr::from_bits(bits)), len, way));
    let six = routes
        .1
        .iter()
        .map(|((bits, len), way)| (IpAddr::from(Ipv6Addr::from_bits(bits)), len, way));
    for (first, len, way) in four.chain(six) {
        let via = match first {
            IpAddr::V4(_) => format!("10.0.{way}.9"),
            IpAddr::V6(_) => format!("2001:db8:{way}::9"),
        };
        text += &format!("[[route]]\nprefix = \"{first}/{len}\"\nvia = [\"{via}\"]\n");
    }
    let config = config::from_toml(&text).expect("a good configuration");
    assert_eq!(config.interfaces, empty.interfaces);
    config
}

/// The interface by which a packet to an address leaves, if it does.
fn way(bed: &mut Bed, destination: IpAddr) -> Option<u8> {
    let mut frame = ip(0, A, [0; 4], 64, 17, &[0; 40]);
    match destination {
        IpAddr::V4(destination) => {
            frame[30..34].copy_from_slice(&destination.octets());
            set_checksum(&mut frame[14..34], 10);
        }
        IpAddr::V6(destination) => {
            frame[12..22].copy_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 17, 64]);
            let source = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
            frame[22..38].copy_from_slice(&source.octets());
            frame[38..54].copy_from_slice(&destination.octets());
        }
    }
    let verdicts = bed.offer(0, &[(&frame, FrameMeta::plain(frame.len()))]);
    bed.poll();
    bed.take();
    match verdicts[0] {
        Verdict::Forward(out) => Some(out.0),
        Verdict::Punt | Verdict::Drop | Verdict::Tagged(_) => None,
    }
}
