//! Networks on paper: who is on which link, and the routes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::packet::{FAMILIES, Family};

/// A link as it is planned.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) routers: Vec<usize>,
    pub(crate) host: Option<usize>,
    pub(crate) mtu: u16,
}

/// Routers, links and hosts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) routers: usize,
    pub(crate) links: Vec<Line>,
    /// The router that each host is behind, and the link between.
    pub(crate) hosts: Vec<(usize, usize)>,
    /// Of each router, the prefixes with their gateways.
    routes: Vec<BTreeMap<String, Vec<String>>>,
}

/// The address on a link of router number `node`, or of a host whose number is 100 less.
pub(crate) fn address(link: usize, family: Family, node: usize) -> IpAddr {
    let text = match family {
        Family::V4 => format!("10.0.{link}.{}", node + 1),
        Family::V6 => format!("2001:db8:{link:x}::{:x}", node + 1),
    };
    text.parse().expect("a good address")
}

/// The number of a host as a node of its link.
pub(crate) fn host_number(host: usize) -> usize {
    100 + host
}

fn prefix(link: usize, family: Family) -> String {
    match family {
        Family::V4 => format!("10.0.{link}.0/24"),
        Family::V6 => format!("2001:db8:{link:x}::/64"),
    }
}

impl Plan {
    fn new(routers: usize) -> Self {
        Self {
            routers,
            routes: vec![BTreeMap::new(); routers],
            ..Self::default()
        }
    }

    fn link(&mut self, one: usize, other: usize, mtu: u16) {
        self.links.push(Line {
            routers: vec![one, other],
            host: None,
            mtu,
        });
    }

    fn host(&mut self, router: usize) {
        self.hosts.push((router, self.links.len()));
        self.links.push(Line {
            routers: vec![router],
            host: Some(self.hosts.len() - 1),
            mtu: 1500,
        });
    }

    /// Eight routers in a row, a host at each end. `mtus` are those of the seven links between
    /// the routers, from the left.
    pub(crate) fn line(mtus: [u16; 7]) -> Self {
        let mut plan = Self::new(8);
        for (at, mtu) in mtus.into_iter().enumerate() {
            plan.link(at, at + 1, mtu);
        }
        plan.host(0);
        plan.host(7);
        plan.shortest_paths()
    }

    fn circle(routers: usize) -> Self {
        let mut plan = Self::new(routers);
        for at in 0..routers {
            plan.link(at, (at + 1) % routers, 1500);
        }
        plan
    }

    /// Nine routers in a ring, with hosts at three of them. Each knows the shorter way.
    pub(crate) fn ring() -> Self {
        let mut plan = Self::circle(9);
        for router in [0, 3, 6] {
            plan.host(router);
        }
        plan.shortest_paths()
    }

    /// Eight routers in a ring that send everything to the next one: what nobody has goes
    /// round. Hosts at routers 0 and 5.
    pub(crate) fn roundabout() -> Self {
        let mut plan = Self::circle(8);
        plan.host(0);
        plan.host(5);
        for router in 0..8 {
            for (default, family) in ["0.0.0.0/0", "::/0"].into_iter().zip(FAMILIES) {
                let via = address(router, family, (router + 1) % 8).to_string();
                plan.routes[router].insert(default.to_owned(), vec![via]);
            }
        }
        plan
    }

    /// Four leaves (0 to 3) with a host each, joined by four spines (4 to 7): four equal ways
    /// from any leaf to any other.
    pub(crate) fn leaves_and_spines() -> Self {
        let mut plan = Self::new(8);
        for leaf in 0..4 {
            for spine in 4..8 {
                plan.link(leaf, spine, 1500);
            }
        }
        for leaf in 0..4 {
            plan.host(leaf);
        }
        plan.shortest_paths()
    }

    /// Router 0, a choice of 1, 2 and 3, router 4, a choice of 5 and 6, router 7. A host at
    /// each end.
    pub(crate) fn diamonds() -> Self {
        let mut plan = Self::new(8);
        for (ends, middle) in [([0, 4], vec![1, 2, 3]), ([4, 7], vec![5, 6])] {
            for router in middle {
                plan.link(ends[0], router, 1500);
                plan.link(router, ends[1], 1500);
            }
        }
        plan.host(0);
        plan.host(7);
        plan.shortest_paths()
    }

    /// The link between two routers.
    pub(crate) fn between(&self, one: usize, other: usize) -> usize {
        let joins = |l: &Line| l.routers.contains(&one) && l.routers.contains(&other);
        self.links.iter().position(joins).expect("they are joined")
    }

    /// Gives each router a route to each link by all gateways that are nearest to it.
    fn shortest_paths(mut self) -> Self {
        for (target, line) in self.links.iter().enumerate() {
            let mut distance = vec![usize::MAX; self.routers];
            for &router in &line.routers {
                distance[router] = 0;
            }
            for _ in 0..self.routers {
                for link in &self.links {
                    let least = link.routers.iter().map(|&r| distance[r]).min();
                    for &router in &link.routers {
                        let through = least.unwrap_or(usize::MAX).saturating_add(1);
                        distance[router] = distance[router].min(through);
                    }
                }
            }
            for (at, link) in self.links.iter().enumerate() {
                for &router in &link.routers {
                    for &next in &link.routers {
                        if distance[next].saturating_add(1) != distance[router] {
                            continue;
                        }
                        for family in FAMILIES {
                            let gateways = self.routes[router].entry(prefix(target, family));
                            let via = address(at, family, next).to_string();
                            gateways.or_default().push(via);
                        }
                    }
                }
            }
        }
        self
    }

    /// The interfaces of a router: links in the order of their numbers.
    pub(crate) fn interfaces(&self, router: usize) -> Vec<usize> {
        let here = |(at, line): (usize, &Line)| line.routers.contains(&router).then_some(at);
        self.links.iter().enumerate().filter_map(here).collect()
    }

    /// The configuration file of a router.
    pub(crate) fn config(&self, router: usize) -> String {
        let mut text = String::new();
        for (vif, link) in self.interfaces(router).into_iter().enumerate() {
            let [v4, v6] = FAMILIES.map(|family| address(link, family, router));
            let mtu = self.links[link].mtu;
            text += &format!(
                "[interface.link{link}]\nvif = {vif}\nmtu = {mtu}\n\
                 address = [\"{v4}/24\", \"{v6}/64\"]\n"
            );
        }
        for (prefix, gateways) in &self.routes[router] {
            text += &format!("[[route]]\nprefix = \"{prefix}\"\nvia = {gateways:?}\n");
        }
        text
    }
}
