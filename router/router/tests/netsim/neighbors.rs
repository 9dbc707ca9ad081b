//! Neighbors that are hard to find, silent, or replaced.

use router::DropReason;

use crate::link::Weather;
use crate::net::Net;
use crate::packet::{Datagram, FAMILIES, Family, Said};
use crate::plan::Plan;
use crate::random::with_seeds;

/// Sends a datagram every `pause` ms and returns the numbers of those that arrived.
fn send_many(net: &mut Net, family: Family, numbers: std::ops::Range<u32>, pause: u64) -> Vec<u32> {
    for number in numbers {
        let flow = family as u16;
        net.send_datagram(0, 1, family, Datagram { flow, number }, 100);
        net.pass(pause);
    }
    let arrived = net.take(1);
    let number = |said| match said {
        Said::Datagram(datagram) => datagram.number,
        said => panic!("{said:?}"),
    };
    arrived.iter().map(|packet| number(packet.said())).collect()
}

#[test]
fn questions_that_get_lost_are_asked_again() {
    with_seeds(4, |seed| {
        let mut net = Net::new(Plan::line([1500; 7]), seed);
        // Links lose nothing but questions and answers, so what is missing in the end was
        // dropped by a router that didn't find its neighbor, and counted.
        net.set_weather(Weather {
            questions_lost: 300,
            jitter_us: 500,
            ..Weather::CALM
        });
        for family in FAMILIES {
            // Long enough for every neighbor to be asked again many times over.
            let arrived = send_many(&mut net, family, 0..300, 1000);
            net.pass(10_000);
            assert!(arrived.len() > 250, "{} of 300 arrived", arrived.len());
        }
        net.come_to_rest();
        let tally = net.datagrams();
        assert_eq!((tally.lost, tally.duplicated), (0, 0));
        // Once the weather is fine, nothing is lost any more.
        net.set_weather(Weather::CALM);
        for family in FAMILIES {
            send_many(&mut net, family, 1000..1020, 1000);
            let arrived = send_many(&mut net, family, 1020..1100, 1000);
            assert!(arrived.into_iter().eq(1020..1100), "{family:?}");
        }
        net.come_to_rest();
    });
}

#[test]
fn who_is_silent_is_reported_and_found_again() {
    let mut net = Net::new(Plan::line([1500; 7]), 1);
    for family in FAMILIES {
        net.hosts[1].silent = true;
        assert!(send_many(&mut net, family, 0..5, 10).is_empty());
        // Three questions a second apart, then everybody who waits is told.
        net.pass(2900);
        assert!(net.take(0).is_empty());
        net.pass(200);
        let told = net.take(0);
        assert_eq!(told.len(), 5);
        for answer in told {
            assert_eq!(answer.said(), Said::HostUnreachable);
        }
        net.hosts[1].silent = false;
        net.pass(4000);
        let arrived = send_many(&mut net, family, 5..10, 10);
        assert_eq!(arrived, [5, 6, 7, 8, 9]);
        net.pass(200_000);
    }
    assert_eq!(net.dropped(DropReason::NeighborUnreachable), 2 * 5);
    net.come_to_rest();
}

#[test]
fn who_is_replaced_is_found_again() {
    let mut net = Net::new(Plan::line([1500; 7]), 1);
    for family in FAMILIES {
        assert_eq!(send_many(&mut net, family, 0..5, 1000).len(), 5);
        // Another machine with the same address, which tells nobody.
        net.hosts[1].mac[5] += 1;
        // What is believed for a minute is doubted, asked thrice, and asked again by all.
        let arrived = send_many(&mut net, family, 5..125, 1000);
        let first = arrived.first().copied().expect("it is found");
        assert!((10..80).contains(&first), "found after {first} s");
        assert!(arrived.into_iter().eq(first..125), "and not lost again");
    }
    net.come_to_rest();
}
