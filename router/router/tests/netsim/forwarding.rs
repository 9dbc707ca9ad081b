//! From end to end through many routers: hop limits, traceroute, the routers' own addresses.

use std::net::IpAddr;

use router::DropReason;

use crate::link::Weather;
use crate::net::Net;
use crate::packet::{Datagram, FAMILIES, Family, Packet, Said};
use crate::plan::{Plan, address};
use crate::random::with_seeds;

const LAST: u32 = 1000;

/// The routers' addresses that a packet meets first: each on the link that it comes by.
/// `ways` are the links, that of the sender first, and the routers behind them.
fn hops(ways: &[(usize, usize)], family: Family) -> Vec<IpAddr> {
    let near = |&(link, router): &(usize, usize)| address(link, family, router);
    ways.iter().map(near).collect()
}

/// Sends datagrams from one host to another with more hops each time until one arrives.
/// Returns who reported the others.
fn traceroute(net: &mut Net, from: usize, to: usize, family: Family) -> Vec<IpAddr> {
    let mut reporters = vec![];
    for hops in 1..=32u8 {
        let [source, destination] = [from, to].map(|host| net.hosts[host].address(family));
        let datagram = Datagram {
            flow: 7,
            number: LAST + u32::from(hops),
        };
        let mut packet = Packet::datagram(source, destination, datagram, 100);
        packet.hops = hops;
        net.send(from, packet.clone());
        net.pass(1000);
        match &net.take(to)[..] {
            [] => {}
            [arrived] => {
                assert_eq!(
                    (arrived.said(), arrived.hops),
                    (
                        Said::Datagram(datagram),
                        1 + hops - 1 - reporters.len() as u8
                    )
                );
                assert!(net.take(from).is_empty());
                return reporters;
            }
            more => panic!("{more:?}"),
        }
        let answers = net.take(from);
        let [answer] = &answers[..] else {
            panic!("{hops} hops: {answers:?}");
        };
        assert_eq!(answer.said(), Said::HopsExceeded);
        assert!(answer.quotes(&packet));
        reporters.push(answer.source);
    }
    panic!("nothing arrives");
}

#[test]
fn a_line_carries_both_families_both_ways() {
    let mut net = Net::new(Plan::line([1500; 7]), 1);
    for family in FAMILIES {
        for (from, to) in [(0, 1), (1, 0)] {
            let target = net.hosts[to].address(family);
            assert_eq!(net.ping(from, target), Some(64 - 8));
            let datagram = Datagram { flow: 1, number: 1 };
            let sent = net.send_datagram(from, to, family, datagram, 1500);
            net.pass(100);
            let arrived = net.take(to);
            let expected = Packet {
                hops: 64 - 8,
                ..sent
            };
            assert_eq!(arrived, [expected]);
        }
    }
    net.come_to_rest();
}

#[test]
fn traceroute_shows_every_router_of_a_line() {
    let mut net = Net::new(Plan::line([1500; 7]), 2);
    let [(_, left), (_, right)] = net.plan.hosts[..] else {
        panic!("two hosts");
    };
    let there: Vec<(usize, usize)> = (0..8)
        .map(|r| (if r == 0 { left } else { r - 1 }, r))
        .collect();
    let back: Vec<(usize, usize)> = (0..8)
        .rev()
        .map(|r| (if r == 7 { right } else { r }, r))
        .collect();
    for family in FAMILIES {
        assert_eq!(traceroute(&mut net, 0, 1, family), hops(&there, family));
        assert_eq!(traceroute(&mut net, 1, 0, family), hops(&back, family));
    }
    assert_eq!(net.dropped(DropReason::TtlExpired), 4 * 8);
    net.come_to_rest();
}

/// The same with links that lose packets: each is sent until somebody answers it.
fn traceroute_in_a_storm(net: &mut Net, from: usize, to: usize, family: Family) -> Vec<IpAddr> {
    let mut reporters = vec![];
    let mut number = 0;
    for hops in 1..=32u8 {
        let reporter = (0..100).find_map(|_| {
            number += 1;
            let [source, destination] = [from, to].map(|host| net.hosts[host].address(family));
            let mut packet =
                Packet::datagram(source, destination, Datagram { flow: 7, number }, 100);
            packet.hops = hops;
            net.send(from, packet.clone());
            net.pass(200);
            let answers = net.take(from);
            // A host that can't be asked for in this weather is no hop.
            let expired = |a: &&Packet| a.quotes(&packet) && a.said() == Said::HopsExceeded;
            let mut answers = answers.iter().filter(expired);
            let reporter = answers.next().map(|answer| answer.source);
            assert!(
                answers.all(|answer| Some(answer.source) == reporter),
                "two copies, one router"
            );
            match net.take(to).is_empty() {
                true => reporter.map(Some),
                false => Some(None),
            }
        });
        match reporter.expect("an answer to one of a hundred") {
            Some(reporter) => reporters.push(reporter),
            None => return reporters,
        }
    }
    panic!("nothing arrives");
}

#[test]
fn traceroute_shows_every_router_whatever_links_do() {
    with_seeds(3, |seed| {
        let mut net = Net::new(Plan::line([1500; 7]), seed);
        net.set_weather(Weather::STORM);
        let left = net.plan.hosts[0].1;
        let ways: Vec<(usize, usize)> = (0..8)
            .map(|r| (if r == 0 { left } else { r - 1 }, r))
            .collect();
        for family in FAMILIES {
            let expected = hops(&ways, family);
            assert_eq!(traceroute_in_a_storm(&mut net, 0, 1, family), expected);
        }
        net.come_to_rest();
        assert!(net.datagrams().lost > 0 && net.datagrams().duplicated > 0);
    });
}

#[test]
fn a_ring_takes_the_shorter_way() {
    let mut net = Net::new(Plan::ring(), 3);
    let [(_, first), (_, second), (_, third)] = net.plan.hosts[..] else {
        panic!("three hosts");
    };
    for family in FAMILIES {
        // Hosts are at routers 0, 3 and 6; link n joins routers n and n + 1.
        let expected = hops(&[(first, 0), (0, 1), (1, 2), (2, 3)], family);
        assert_eq!(traceroute(&mut net, 0, 1, family), expected);
        let expected = hops(&[(first, 0), (8, 8), (7, 7), (6, 6)], family);
        assert_eq!(traceroute(&mut net, 0, 2, family), expected);
        let expected = hops(&[(third, 6), (5, 5), (4, 4), (3, 3)], family);
        assert_eq!(traceroute(&mut net, 2, 1, family), expected);
        let expected = hops(&[(second, 3), (2, 2), (1, 1), (0, 0)], family);
        assert_eq!(traceroute(&mut net, 1, 0, family), expected);
    }
    net.come_to_rest();
}

#[test]
fn every_address_of_every_router_answers() {
    for plan in [
        Plan::line([1500; 7]),
        Plan::roundabout(),
        Plan::leaves_and_spines(),
    ] {
        let mut net = Net::new(plan, 4);
        for link in 0..net.plan.links.len() {
            for router in net.plan.links[link].routers.clone() {
                for family in FAMILIES {
                    let target = address(link, family, router);
                    let reply = net.ping(0, target);
                    assert!(reply.is_some(), "{target} of router {router}");
                }
            }
        }
        net.come_to_rest();
    }
}

#[test]
fn what_goes_round_ends_with_its_hops() {
    let mut net = Net::new(Plan::roundabout(), 5);
    for (family, nowhere) in FAMILIES.into_iter().zip(["203.0.113.1", "2a00::1"]) {
        let (nowhere, own) = (nowhere.parse().unwrap(), net.hosts[0].address(family));
        for (number, hops) in (0..).zip([1, 2, 8, 9, 64, 255]) {
            let datagram = Datagram {
                flow: family as u16,
                number,
            };
            let mut packet = Packet::datagram(own, nowhere, datagram, 200);
            packet.hops = hops;
            net.send(0, packet.clone());
            net.pass(1000);
            let last = usize::from(hops - 1) % 8;
            let arrived_by = match hops {
                1 => net.plan.hosts[0].1,
                _ => (last + 7) % 8,
            };
            let answers = net.take(0);
            let [answer] = &answers[..] else {
                panic!("{hops} hops: {answers:?}");
            };
            assert_eq!(answer.said(), Said::HopsExceeded);
            assert_eq!(answer.source, address(arrived_by, family, last));
            assert!(answer.quotes(&packet));
            assert_eq!(net.paths[&datagram].len(), usize::from(hops));
        }
        // Those who are there are reached, by way of routers that only pass it on.
        let target = net.hosts[1].address(family);
        assert_eq!(net.ping(0, target), Some(64 - 4));
    }
    net.come_to_rest();
}
