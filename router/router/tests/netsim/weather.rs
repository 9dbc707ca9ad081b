//! Bad weather: whatever links do, every frame is accounted for.

use std::collections::BTreeMap;

use router::DropReason;

use crate::link::Weather;
use crate::net::Net;
use crate::packet::{Datagram, FAMILIES, Packet, Said};
use crate::plan::Plan;
use crate::random::with_seeds;

/// The reasons for which a router may drop a good datagram here.
const REASONS: [DropReason; 2] = [
    DropReason::NeighborUnreachable,
    DropReason::NeighborQueueFull,
];

fn plans() -> [Plan; 3] {
    [
        Plan::line([1500; 7]),
        Plan::ring(),
        Plan::leaves_and_spines(),
    ]
}

/// Sends datagrams between random hosts at random times, and counts what arrives of each.
/// Returns what was sent and how often each arrived.
fn traffic(net: &mut Net, count: u32) -> BTreeMap<Datagram, (Packet, usize)> {
    let mut all: BTreeMap<Datagram, (Packet, usize)> = BTreeMap::new();
    let hosts = net.hosts.len() as u64;
    for number in 0..count {
        let from = net.random.below(hosts);
        let to = (from + 1 + net.random.below(hosts - 1)) % hosts;
        let datagram = Datagram {
            flow: net.random.below(50) as u16,
            number,
        };
        let len = 80 + net.random.below(1421) as usize;
        let family = FAMILIES[net.random.below(2) as usize];
        let sent = net.send_datagram(from as usize, to as usize, family, datagram, len);
        all.insert(datagram, (sent, 0));
        let pause = net.random.below(60);
        net.pass(pause);
    }
    net.come_to_rest();
    for host in 0..net.hosts.len() {
        for packet in net.take(host) {
            let Said::Datagram(datagram) = packet.said() else {
                assert_eq!(packet.said(), Said::HostUnreachable);
                continue;
            };
            let (sent, times) = all.get_mut(&datagram).expect("it was sent");
            *times += 1;
            assert!(packet.hops < 64);
            let hops = sent.hops;
            assert_eq!(Packet { hops, ..packet }, *sent, "it is unchanged");
        }
    }
    all
}

#[test]
fn delay_alone_loses_nothing() {
    with_seeds(3, |seed| {
        for plan in plans() {
            let mut net = Net::new(plan, seed);
            net.set_weather(Weather {
                jitter_us: 400,
                ..Weather::CALM
            });
            // Everybody gets to know everybody first.
            for (from, to) in [(0, 1), (1, 0)] {
                for family in FAMILIES {
                    let target = net.hosts[to].address(family);
                    assert!(net.ping(from, target).is_some());
                }
            }
            let all = traffic(&mut net, 400);
            assert!(all.values().all(|(_, times)| *times == 1));
        }
    });
}

#[test]
fn every_datagram_is_accounted_for() {
    with_seeds(4, |seed| {
        for plan in plans() {
            let mut net = Net::new(plan, seed);
            net.set_weather(Weather {
                delay_us: 100,
                jitter_us: 5000,
                lost: 30,
                questions_lost: 200,
                duplicated: 30,
            });
            let all = traffic(&mut net, 400);
            let arrived: usize = all.values().map(|(_, times)| times).sum();
            let tally = net.datagrams();
            // What was put on links beyond what hosts sent, routers had received before. The
            // difference is what they dropped: nothing that isn't counted.
            let forwarded = tally.sent - all.len() as u64;
            let received = tally.delivered - arrived as u64;
            let dropped: u64 = REASONS.iter().map(|&reason| net.dropped(reason)).sum();
            // Errors about these wait for neighbors too, and are dropped for the same reasons.
            assert!(
                received - forwarded <= dropped,
                "{received} - {forwarded}, {dropped}"
            );
            assert!(tally.lost > 20 && tally.duplicated > 20, "{tally:?}");
            assert!(arrived > 150, "{arrived} of 400");
        }
    });
}
