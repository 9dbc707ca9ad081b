//! A packet's bytes and what is known of them agree.

use super::*;
use proptest::prelude::*;
use wire::fixtures::{ipv4_packet, ipv6_packet};
use wire::ipv4::UDP;
use wire::ipv4_options::source_route::SourceRoute;

const LAN: InterfaceId = InterfaceId(1);
const ETHERNET: [u8; ETHERNET_LEN] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0];

/// A packet behind an Ethernet header.
fn frame(packet: &[u8]) -> Vec<u8> {
    [&ETHERNET[..], packet].concat()
}

fn both() -> [Vec<u8>; 2] {
    [ipv4_packet(UDP, 64, &[7; 8]), ipv6_packet(UDP, 64, &[7; 8])]
}

/// What holds for every packet.
fn check(packet: &Packet) {
    let len = packet.ip.total_len();
    assert_eq!(packet.frame().len(), ETHERNET_LEN + len);
    assert_eq!(packet.ip_bytes(), &packet.frame()[ETHERNET_LEN..]);
    assert_eq!(packet.meta.len as usize, packet.frame().len());
    assert!(packet.ip_bytes().starts_with(packet.header()));
    let least = match packet.ip() {
        Ip::V4(ip) => {
            assert_eq!(packet.header().len(), ip.header_len);
            20
        }
        Ip::V6(_) => 40,
    };
    assert!(packet.header().len() >= least);
    assert_eq!(packet.source().is_ipv4(), packet.destination().is_ipv4());
    assert_eq!(packet.ethernet(), packet.frame()[..ETHERNET_LEN]);
    assert_eq!(packet.source_mac(), packet.frame()[6..12]);
    assert_eq!(packet.is_link_group(), packet.frame()[0] % 2 == 1);
    assert_eq!(packet.clone().into_frame(), packet.frame());
}

#[test]
fn what_a_frame_says_of_its_packet() {
    let [v4, v6] = both().map(|packet| Packet::own(frame(&packet), LAN).unwrap());
    assert_eq!(v4.source(), IpAddr::from([10, 0, 0, 9]));
    assert_eq!(v4.destination(), IpAddr::from([10, 0, 1, 9]));
    assert_eq!(v6.source(), "2001:db8::9".parse::<IpAddr>().unwrap());
    assert_eq!(v6.destination(), "2001:db8:1::9".parse::<IpAddr>().unwrap());
    assert_eq!((v4.header().len(), v6.header().len()), (20, 40));
    for packet in [v4, v6] {
        check(&packet);
        assert_eq!(packet.source_mac(), [2, 0, 0, 0, 0, 9]);
        assert!(packet.originated && !packet.is_link_group());
    }
}

#[test]
fn padding_is_taken_off() {
    for packet in both() {
        let mut padded = frame(&packet);
        padded.extend([0xaa; 18]);
        let own = Packet::own(padded.clone(), LAN).unwrap();
        let meta = FrameMeta {
            flags: FrameFlags::DATA_VALIDATED,
            ..FrameMeta::plain(padded.len())
        };
        let received = Packet::received(padded, meta, LAN, own.ip());
        for taken in [&own, &received] {
            check(taken);
            assert_eq!(taken.ip_bytes(), packet);
        }
        assert!(own.originated && !received.originated);
        assert_eq!(received.meta.flags, FrameFlags::DATA_VALIDATED);
    }
}

#[test]
fn what_is_wrong_with_a_header_is_told() {
    type Break = fn(&mut Vec<u8>);
    let cases: [(&str, Break, DropReason); 6] = [
        ("nothing", Vec::clear, DropReason::Truncated),
        ("no packet", |f| f.truncate(14), DropReason::Truncated),
        ("version", |f| f[14] = 0x25, DropReason::BadVersion),
        (
            "header length",
            |f| f[14] = 0x41,
            DropReason::BadHeaderLength,
        ),
        ("cut", |f| f.truncate(41), DropReason::BadTotalLength),
        ("checksum", |f| f[24] ^= 1, DropReason::BadChecksum),
    ];
    for (what, damage, reason) in cases {
        let mut bad = frame(&both()[0]);
        damage(&mut bad);
        assert_eq!(Packet::own(bad, LAN).unwrap_err(), reason, "{what}");
    }
    let mut cut = frame(&both()[1]);
    cut.pop();
    assert_eq!(
        Packet::own(cut, LAN).unwrap_err(),
        DropReason::BadTotalLength
    );
}

#[test]
fn a_reassembled_packet_is_a_received_one() {
    for packet in both() {
        let whole = Packet::reassembled(&ETHERNET, &packet, LAN).unwrap();
        check(&whole);
        assert_eq!((whole.ethernet(), whole.input), (ETHERNET, LAN));
        assert!(!whole.originated);
        assert!(Packet::reassembled(&ETHERNET, &packet[1..], LAN).is_err());
    }
}

#[test]
fn a_fragment_goes_the_way_of_the_whole() {
    // A loose source route by 10.0.2.1, from the beginning.
    let mut routed = ipv4_packet(UDP, 64, &[0; 16]);
    routed[0] = 0x47;
    routed[20..28].copy_from_slice(&[131, 7, 4, 10, 0, 2, 1, 0]);
    wire::checksum::fill(&mut routed[..28], 10);
    let mut whole = Packet::reassembled(&ETHERNET, &routed, LAN).unwrap();
    let hop = SourceRoute::of(whole.header()).and_then(|route| route.steps().next());
    assert!(hop.is_some());
    whole.hop = hop;
    let part = frame(&both()[0]);
    for originated in [false, true] {
        whole.originated = originated;
        let fragment = whole.fragment(part.clone()).unwrap();
        check(&fragment);
        assert_eq!((fragment.originated, fragment.hop), (originated, hop));
        assert_eq!(fragment.input, LAN);
    }
    assert!(whole.fragment(part[..20].to_vec()).is_err());
}

#[test]
fn a_changed_header_is_read_again() {
    let mut packet = Packet::own(frame(&both()[0]), LAN).unwrap();
    let shorter = packet.edit(|bytes| {
        bytes[3] = 24;
        bytes[19] = 77;
        wire::checksum::fill(&mut bytes[..20], 10);
    });
    assert_eq!(shorter, Ok(()));
    check(&packet);
    assert_eq!(packet.ip_bytes().len(), 24);
    assert_eq!(packet.destination(), IpAddr::from([10, 0, 1, 77]));
    let broken = packet.edit(|bytes| bytes[19] = 78);
    assert_eq!(broken, Err(DropReason::BadChecksum));
}

#[test]
fn a_checksum_is_completed_once_and_only_if_it_was_left() {
    for flags in [FrameFlags::empty(), FrameFlags::CSUM_BLANK] {
        let mut packet = Packet::own(frame(&both()[0]), LAN).unwrap();
        let before = packet.frame().to_vec();
        packet.meta.flags = flags;
        packet.complete_checksum();
        assert_eq!(packet.frame() != before, !flags.is_empty());
        assert!(packet.meta.flags.is_empty());
        let once = packet.frame().to_vec();
        packet.complete_checksum();
        assert_eq!(packet.frame(), once);
    }
}

/// Frames that are nearly packets: fixtures with some bytes changed, cut or padded.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((0..60usize, any::<u8>()), 0..4);
    (any::<bool>(), changes, 0..80usize, any::<bool>()).prop_map(|(v6, changes, len, sum)| {
        let mut packet = both()[usize::from(v6)].clone();
        for (at, value) in changes {
            wire::put(&mut packet, at, &[value]);
        }
        if sum && !v6 {
            let header = usize::from(packet[0] & 15) * 4;
            let end = header.clamp(20, packet.len());
            wire::checksum::fill(&mut packet[..end], 10);
        }
        packet.resize(len, 0);
        frame(&packet)
    })
}

proptest! {
    #[test]
    fn no_bytes_make_a_packet_panic(
        bytes in prop_oneof![nearly(), prop::collection::vec(any::<u8>(), 0..100)],
        other in prop_oneof![nearly(), prop::collection::vec(any::<u8>(), 0..100)],
    ) {
        let Ok(mut packet) = Packet::own(bytes, LAN) else {
            return Ok(());
        };
        check(&packet);
        if let Ok(fragment) = packet.fragment(other.clone()) {
            check(&fragment);
        }
        packet.meta.flags = FrameFlags::CSUM_BLANK;
        packet.complete_checksum();
        let edited = packet.edit(|bytes| wire::put(bytes, 0, other.get(ETHERNET_LEN..).unwrap_or(&[])));
        if edited.is_ok() {
            check(&packet);
        }
        // Whatever became of it, it can still be looked at.
        let lens = [packet.header().len(), packet.ip_bytes().len(), packet.frame().len()];
        prop_assert!(lens[0] <= lens[2] && lens[1] <= lens[2]);
    }
}
