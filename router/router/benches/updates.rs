//! Routes that come and go in a router whose tables are as large as the Internet's, one by one
//! while lanes may look up, as `name,value,unit` lines.
//!
//! `tests/bench/run.py` runs it beside `table updates`, which has the table alone. An argument
//! picks one case by its name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant as Clock;

use config::{RouteConfig, RouteTarget, Via};
use router::addr::Network;
use router::{Instant, InterfaceId, Router, View};

mod cpu;
#[expect(dead_code, reason = "addresses to look up are for another benchmark")]
mod internet;
use internet::{NEXT_HOPS, Random, Route};

const V4_PREFIXES: usize = 1_000_000;
const V6_PREFIXES: usize = 230_000;
/// Changes of a full table.
const CHANGES: usize = 200_000;
const CONFIG: &str = "[interface.wan]\nvif = 0\naddress = [\"10.0.0.1/16\", \"2001:db8::1/64\"]\n\
                      [interface.lan]\nvif = 1\naddress = [\"10.1.0.1/24\"]\n";

/// A router whose tables two lanes read. They rest, so that what is measured is the change, not how long
/// others take for their turns.
struct Changing<A> {
    router: Router,
    /// What makes it change beside lanes.
    _views: [View; 2],
    /// For each next hop a route to fill a prefix in.
    routes: Vec<RouteConfig>,
    prefix: fn(A) -> IpAddr,
}

impl<A: Copy> Changing<A> {
    fn new(gateways: usize, hop: fn(usize) -> IpAddr, prefix: fn(A) -> IpAddr) -> Self {
        let config = config::from_toml(CONFIG).expect("it is good");
        let mut router = Router::new(&config, 1, Instant(0));
        for at in 0..2 {
            router.link_up(Instant(0), InterfaceId(at), [2, 0, 0, 0, 0, at], 1500);
        }
        let via = |address| Via {
            address,
            interface: 0,
            weight: 1,
        };
        let routes = (0..NEXT_HOPS).map(|first| RouteConfig {
            prefix: Network {
                address: hop(0),
                len: 0,
            },
            vrf: 0,
            target: RouteTarget::Via((first..first + gateways).map(hop).map(via).collect()),
            mtu: None,
        });
        let views = [router.new_view(), router.new_view()];
        Self {
            router,
            _views: views,
            routes: routes.collect(),
            prefix,
        }
    }

    fn network(&self, prefix: A, len: u8) -> Network {
        Network {
            address: (self.prefix)(prefix),
            len,
        }
    }

    /// Inserts a route by next hop `hop`, which begin at 1.
    fn insert(&mut self, (prefix, len, hop): Route<A>) {
        let network = self.network(prefix, len);
        let route = &mut self.routes[hop as usize - 1];
        route.prefix = network;
        self.router.insert_route(route).expect("there is room");
    }

    fn remove(&mut self, (prefix, len, _): Route<A>) {
        let network = self.network(prefix, len);
        assert!(self.router.remove_route(network));
    }

    /// Fills the tables with routes. How many changes a second that was.
    fn fill(&mut self, routes: &[Route<A>]) -> f64 {
        let start = cpu::nanos();
        for &route in routes {
            self.insert(route);
        }
        let rate = rate(routes.len(), start);
        let (four, six) = self.router.route_counts();
        assert_eq!(four + six, routes.len());
        rate
    }

    /// Routes change their next hop, go away, and come back. How many changes a second, and the
    /// nanoseconds within which 99 of 100 were done.
    fn churn(&mut self, routes: &[Route<A>]) -> (f64, u64) {
        let mut random = Random(8);
        let mut times = Vec::with_capacity(CHANGES * 2);
        let mut time = |change: &mut dyn FnMut()| {
            let before = Clock::now();
            change();
            times.push(before.elapsed().as_nanos() as u64);
        };
        let start = cpu::nanos();
        for _ in 0..CHANGES {
            let route @ (prefix, len, hop) = routes[random.below(routes.len())];
            if random.below(2) == 0 {
                time(&mut || self.insert((prefix, len, hop % 200 + 1)));
            } else {
                time(&mut || self.remove(route));
                time(&mut || self.insert(route));
            }
        }
        let rate = rate(times.len(), start);
        times.sort_unstable();
        (rate, times[times.len() - times.len() / 100])
    }
}

fn rate(count: usize, start: u64) -> f64 {
    count as f64 * 1e9 / (cpu::nanos() - start) as f64
}

fn measure<A: Copy>(
    name: &str,
    routes: &[Route<A>],
    hop: fn(usize) -> IpAddr,
    prefix: fn(A) -> IpAddr,
) {
    let mut shuffled = routes.to_vec();
    Random(7).shuffle(&mut shuffled);
    let sorted = Changing::new(1, hop, prefix).fill(routes);
    println!("router_{name}_fill_sorted,{sorted:.0},changes/s");
    for (kind, gateways) in [("", 1), ("_multipath", 2)] {
        let mut router = Changing::new(gateways, hop, prefix);
        let filled = router.fill(&shuffled);
        println!("router_{name}_fill_shuffled{kind},{filled:.0},changes/s");
        let (changes, late) = router.churn(&shuffled);
        println!("router_{name}_churn{kind},{changes:.0},changes/s");
        println!("router_{name}_change_99th_percentile{kind},{late},ns");
    }
}

fn main() {
    // Cargo passes --bench.
    let only: Option<String> = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let wanted = |name| only.as_ref().is_none_or(|only| only == name);
    println!("name,value,unit");
    if wanted("v4") {
        let hop = |hop| Ipv4Addr::from_bits(0x0a00_0100 + hop as u32).into();
        let routes = internet::v4(V4_PREFIXES, 4);
        measure("v4", &routes, hop, |prefix| {
            Ipv4Addr::from_bits(prefix).into()
        });
    }
    if wanted("v6") {
        let hop = |hop| Ipv6Addr::from_bits(0x2001_0db8 << 96 | 1 << 16 | hop as u128).into();
        let routes = internet::v6(V6_PREFIXES, 6);
        measure("v6", &routes, hop, |prefix| {
            Ipv6Addr::from_bits(prefix).into()
        });
    }
}
