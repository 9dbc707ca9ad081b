//! Small links in the middle: who sends too much is told what fits, and that fits.

use std::collections::BTreeSet;
use std::net::IpAddr;

use router::DropReason;

use crate::link::Weather;
use crate::net::Net;
use crate::packet::{Datagram, FAMILIES, Family, Packet, Said};
use crate::plan::{Plan, address};
use crate::random::with_seeds;

/// Links 2 and 5 are small, the second one more.
const MTUS: [u16; 7] = [1500, 1500, 1400, 1500, 1500, 1300, 1500];

#[test]
fn what_fits_is_told_and_gets_through() {
    let mut net = Net::new(Plan::line(MTUS), 1);
    let mut number = 0;
    for family in FAMILIES {
        // The routers before the small links, and the links that packets come to them by.
        for (from, to, reporters) in [
            (0, 1, vec![(1, 2, 1400), (4, 5, 1300)]),
            (1, 0, vec![(6, 6, 1300)]),
        ] {
            let mut len = 1500;
            for (link, router, mtu) in reporters {
                number += 1;
                let datagram = Datagram { flow: 1, number };
                let sent = net.send_datagram(from, to, family, datagram, len);
                net.pass(1000);
                assert!(net.take(to).is_empty());
                let answers = net.take(from);
                let [answer] = &answers[..] else {
                    panic!("{len} bytes: {answers:?}");
                };
                assert_eq!(answer.said(), Said::TooBig(mtu));
                assert_eq!(answer.source, address(link, family, router));
                assert!(answer.quotes(&sent));
                len = mtu as usize;
            }
            number += 1;
            let datagram = Datagram { flow: 1, number };
            net.send_datagram(from, to, family, datagram, len);
            net.pass(1000);
            let arrived = net.take(to);
            let lens: Vec<usize> = arrived.iter().map(|p| p.payload.len()).collect();
            assert_eq!(lens, [len - family.header_len()]);
            assert!(net.take(from).is_empty());
            // One byte more doesn't.
            number += 1;
            let datagram = Datagram { flow: 1, number };
            net.send_datagram(from, to, family, datagram, len + 1);
            net.pass(1000);
            assert!(net.take(to).is_empty());
            assert_eq!(net.take(from).len(), 1);
        }
    }
    assert_eq!(net.dropped(DropReason::TooBig), 2 * 5);
    net.come_to_rest();
}

/// Sends packets until one arrives, each as large as the errors so far allow (RFC 1191, RFC 8201),
/// and returns how large that one is, with who told what.
fn discover(
    net: &mut Net,
    (from, to): (usize, usize),
    family: Family,
) -> (usize, BTreeSet<(u32, IpAddr)>) {
    let (mut len, mut told) = (1500, BTreeSet::new());
    let mut sent = vec![];
    for number in 0..200 {
        let datagram = Datagram { flow: 1, number };
        sent.push(net.send_datagram(from, to, family, datagram, len));
        net.pass(500);
        if let Some(arrived) = net.take(to).first() {
            return (arrived.payload.len() + family.header_len(), told);
        }
        for answer in net.take(from) {
            if let Said::TooBig(mtu) = answer.said() {
                assert!(sent.iter().any(|packet| answer.quotes(packet)));
                told.insert((mtu, answer.source));
                len = len.min(mtu as usize);
            }
        }
    }
    panic!("nothing of {len} bytes arrives");
}

#[test]
fn what_fits_is_found_whatever_links_do() {
    with_seeds(4, |seed| {
        let mut net = Net::new(Plan::line(MTUS), seed);
        net.set_weather(Weather::STORM);
        for family in FAMILIES {
            for (ways, reporters) in [
                ((0, 1), vec![(1, 2, 1400), (4, 5, 1300)]),
                ((1, 0), vec![(6, 6, 1300)]),
            ] {
                let (len, told) = discover(&mut net, ways, family);
                assert_eq!(len, 1300);
                let reporters = reporters
                    .into_iter()
                    .map(|(link, router, mtu)| (mtu, address(link, family, router)));
                assert_eq!(told, reporters.collect());
            }
        }
        net.come_to_rest();
        assert!(net.datagrams().lost > 0 && net.datagrams().duplicated > 0);
    });
}

/// Puts fragments together that came in any order; those of whole packets only.
fn reassembled(fragments: Vec<Packet>) -> Vec<Packet> {
    let mut packets: Vec<(Vec<Packet>, usize)> = vec![];
    for fragment in fragments {
        let same = |(pieces, _): &&mut (Vec<Packet>, usize)| pieces[0].ident == fragment.ident;
        match packets.iter_mut().find(same) {
            Some((pieces, bytes)) => {
                *bytes += fragment.payload.len();
                pieces.push(fragment);
            }
            None => packets.push((vec![fragment.clone()], fragment.payload.len())),
        }
    }
    let whole = packets.into_iter().map(|(mut pieces, bytes)| {
        pieces.sort_by_key(|piece| piece.offset);
        let mut packet = pieces[0].clone();
        packet.payload.clear();
        for piece in &pieces {
            assert_eq!(piece.offset, packet.payload.len(), "no gap, no overlap");
            packet.payload.extend(&piece.payload);
        }
        assert_eq!(packet.payload.len(), bytes);
        assert!(pieces.iter().rev().skip(1).all(|piece| piece.more));
        packet.more = pieces.last().is_some_and(|piece| piece.more);
        packet
    });
    whole.collect()
}

#[test]
fn fragments_of_fragments_make_the_packet_again() {
    with_seeds(4, |seed| {
        let mut net = Net::new(Plan::line(MTUS), seed);
        let far = net.hosts[1].address(Family::V4);
        assert!(net.ping(0, far).is_some());
        net.set_weather(Weather {
            jitter_us: 3000,
            ..Weather::CALM
        });
        let own = net.hosts[0].address(Family::V4);
        let sent: Vec<Packet> = (0..40)
            .map(|number| {
                let len = 1300 + net.random.below(201) as usize;
                let datagram = Datagram { flow: 1, number };
                let mut packet = Packet::datagram(own, far, datagram, len);
                packet.dont_fragment = false;
                net.send(0, packet.clone());
                packet
            })
            .collect();
        net.pass(1000);
        let arrived = net.take(1);
        assert!(arrived.len() > 40 && arrived.iter().all(|p| p.payload.len() <= 1280));
        let mut packets = reassembled(arrived);
        packets.sort_by_key(|packet| packet.ident);
        let expected = sent.into_iter().map(|packet| Packet {
            hops: 64 - 8,
            ..packet
        });
        assert!(packets.into_iter().eq(expected));
        net.come_to_rest();
    });
}
