//! Several equal ways: flows are spread over them, and each stays on one.

use std::collections::{BTreeMap, BTreeSet};

use crate::link::Weather;
use crate::net::Net;
use crate::packet::{Datagram, FAMILIES, Family, Said};
use crate::plan::Plan;
use crate::random::with_seeds;

const FLOWS: u16 = 240;

/// Sends `packets` of each flow from host 0 to host 1, all of which must arrive, and returns
/// the links that each flow took.
fn paths(net: &mut Net, family: Family, packets: u32) -> BTreeMap<u16, Vec<usize>> {
    net.paths.clear();
    for number in 0..packets {
        for flow in 0..FLOWS {
            net.send_datagram(0, 1, family, Datagram { flow, number }, 100);
            // More than a few packets would not be kept while a gateway is asked for.
            net.pass(2);
        }
    }
    net.pass(1000);
    let arrived = net.take(1);
    let all = arrived.iter().map(|packet| match packet.said() {
        Said::Datagram(datagram) => datagram,
        said => panic!("{said:?}"),
    });
    let mut all: Vec<Datagram> = all.collect();
    all.sort();
    assert!(all.iter().eq(net.paths.keys()), "each arrives once");
    assert_eq!(all.len(), usize::from(FLOWS) * packets as usize);
    let mut paths = BTreeMap::new();
    for (datagram, path) in &net.paths {
        let first = paths.entry(datagram.flow).or_insert_with(|| path.clone());
        assert_eq!(path, first, "flow {} is torn apart", datagram.flow);
    }
    paths
}

/// How many flows use a link.
fn users(paths: &BTreeMap<u16, Vec<usize>>, link: usize) -> usize {
    paths.values().filter(|path| path.contains(&link)).count()
}

#[test]
fn flows_are_spread_and_stay_on_their_way() {
    with_seeds(3, |seed| {
        let mut net = Net::new(Plan::leaves_and_spines(), seed);
        net.set_weather(Weather {
            jitter_us: 900,
            ..Weather::CALM
        });
        for family in FAMILIES {
            let paths = paths(&mut net, family, 3);
            for spine in 4..8 {
                let share = users(&paths, net.plan.between(0, spine));
                assert_eq!(users(&paths, net.plan.between(1, spine)), share);
                // A quarter of 240, give or take four standard deviations.
                assert!((33..=87).contains(&share), "{share} flows by spine {spine}");
            }
        }
        net.come_to_rest();
    });
}

#[test]
fn only_the_flows_of_a_way_that_fails_move() {
    with_seeds(3, |seed| {
        let mut net = Net::new(Plan::leaves_and_spines(), seed);
        for family in FAMILIES {
            let before = paths(&mut net, family, 1);
            let cut = net.plan.between(0, 4 + (seed % 4) as usize);
            net.set_up(cut, false);
            let during = paths(&mut net, family, 2);
            let mut moved = 0;
            for (flow, path) in &before {
                if path.contains(&cut) {
                    moved += 1;
                } else {
                    assert_eq!(&during[flow], path, "flow {flow} moved");
                }
            }
            assert_eq!(moved, users(&before, cut));
            assert_eq!(users(&during, cut), 0);
            // Those that moved went to all of the others.
            for spine in (4..8).filter(|&spine| net.plan.between(0, spine) != cut) {
                let link = net.plan.between(0, spine);
                assert!(users(&during, link) > users(&before, link));
            }
            net.set_up(cut, true);
            net.pass(5000);
            assert_eq!(paths(&mut net, family, 1), before, "they come back");
        }
        net.come_to_rest();
    });
}

/// Sends four packets of each flow, and returns the spines that each flow came by, of those of
/// which something came to one.
fn spines(net: &mut Net, family: Family) -> BTreeMap<u16, BTreeSet<usize>> {
    net.paths.clear();
    for number in 0..4 {
        for flow in 0..FLOWS {
            net.send_datagram(0, 1, family, Datagram { flow, number }, 100);
            net.pass(2);
        }
    }
    net.pass(5000);
    net.take(1);
    let mut spines: BTreeMap<u16, BTreeSet<usize>> = BTreeMap::new();
    for (datagram, path) in &net.paths {
        for spine in 4..8 {
            let ways = [0, 1].map(|leaf| net.plan.between(leaf, spine));
            if ways.iter().any(|way| path.contains(way)) {
                spines.entry(datagram.flow).or_default().insert(spine);
            }
        }
    }
    spines
}

#[test]
fn flows_stay_whole_whatever_links_do() {
    with_seeds(3, |seed| {
        let mut net = Net::new(Plan::leaves_and_spines(), seed);
        net.set_weather(Weather::STORM);
        for family in FAMILIES {
            let before = spines(&mut net, family);
            assert!(before.len() >= 200, "{} of {FLOWS} flows", before.len());
            assert!(
                before.values().all(|spines| spines.len() == 1),
                "{before:?}"
            );
            for spine in 4..8 {
                let share = before.values().filter(|s| s.contains(&spine)).count();
                assert!((25..=87).contains(&share), "{share} flows by spine {spine}");
            }
            let cut = 4 + (seed % 4) as usize;
            net.set_up(net.plan.between(0, cut), false);
            let during = spines(&mut net, family);
            assert!(
                during.values().all(|spines| spines.len() == 1),
                "{during:?}"
            );
            let (mut moved, mut stayed) = (0, 0);
            for (flow, spines) in &during {
                match before.get(flow) {
                    Some(old) if old.contains(&cut) => moved += 1,
                    Some(old) => {
                        assert_eq!(spines, old, "flow {flow} moved");
                        stayed += 1;
                    }
                    None => {}
                }
                assert!(!spines.contains(&cut));
            }
            assert!(
                moved >= 20 && stayed >= 120,
                "{moved} moved, {stayed} stayed"
            );
            net.set_up(net.plan.between(0, cut), true);
            net.pass(5000);
        }
        net.come_to_rest();
        assert!(net.datagrams().lost > 100 && net.datagrams().duplicated > 100);
    });
}

#[test]
fn one_choice_does_not_decide_the_next() {
    with_seeds(3, |seed| {
        let mut net = Net::new(Plan::diamonds(), seed);
        for family in FAMILIES {
            let paths = paths(&mut net, family, 1);
            for first in 1..4 {
                for second in 5..7 {
                    let links = [net.plan.between(0, first), net.plan.between(4, second)];
                    let both = |path: &&Vec<usize>| links.iter().all(|link| path.contains(link));
                    let share = paths.values().filter(both).count();
                    // A sixth of 240, give or take four standard deviations.
                    assert!(
                        (17..=63).contains(&share),
                        "{share} flows by {first} and {second}"
                    );
                }
            }
        }
        net.come_to_rest();
    });
}
