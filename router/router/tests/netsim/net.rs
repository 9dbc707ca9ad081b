//! A network that runs: events in the order of their time, and an account of every frame.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::IpAddr;

use router::{DropReason, Instant, InterfaceId};

use crate::host::Host;
use crate::link::{Link, Node, Tally, Weather, is_question};
use crate::packet::{Datagram, FAMILIES, Family, Packet, Said};
use crate::plan::{Plan, address, host_number};
use crate::random::Random;
use testkit::bed::{Bed, router_mac};

/// A frame on its way: when it arrives, its number, the link, who it is for.
type Flight = Reverse<(u64, u64, usize, Node, Vec<u8>)>;

pub(crate) struct Net {
    pub(crate) plan: Plan,
    pub(crate) random: Random,
    pub(crate) hosts: Vec<Host>,
    pub(crate) links: Vec<Link>,
    routers: Vec<Bed>,
    /// Of each router, the frames that it got and that it put on links.
    traffic: Vec<(u64, u64)>,
    now: u64,
    flights: BinaryHeap<Flight>,
    flown: u64,
    /// The links that each datagram was put on, in order.
    pub(crate) paths: BTreeMap<Datagram, Vec<usize>>,
}

impl Net {
    /// A network in calm weather whose routers have settled.
    pub(crate) fn new(plan: Plan, seed: u64) -> Self {
        let routers: Vec<Bed> = (0..plan.routers)
            .map(|router| {
                let config = config::from_toml(&plan.config(router));
                let mut config = config.expect("a good configuration");
                config.hostname = format!("router{router}");
                Bed::with(&config, seed as u8 ^ router as u8)
            })
            .collect();
        let mut net = Self {
            traffic: vec![(0, 0); routers.len()],
            now: routers[0].now.0,
            random: Random::new(seed),
            flights: BinaryHeap::new(),
            flown: 0,
            hosts: vec![],
            links: vec![],
            paths: BTreeMap::new(),
            routers,
            plan,
        };
        for router in 0..net.routers.len() {
            for at in 0..net.plan.interfaces(router).len() {
                net.plug(router, at as u8);
            }
        }
        for (at, line) in net.plan.links.iter().enumerate() {
            let interface = |router| {
                let all = net.plan.interfaces(router);
                all.iter()
                    .position(|&link| link == at)
                    .expect("it is there") as u8
            };
            let routers = line.routers.iter();
            let routers = routers.map(|&r| Node::Router(r, interface(r)));
            net.links.push(Link {
                nodes: routers.chain(line.host.map(Node::Host)).collect(),
                mtu: line.mtu.into(),
                weather: Weather::CALM,
                up: true,
                tally: Tally::default(),
                datagrams: Tally::default(),
            });
        }
        for (host, &(router, link)) in net.plan.hosts.iter().enumerate() {
            let own = FAMILIES.map(|family| address(link, family, host_number(host)));
            let gateways = FAMILIES.map(|family| address(link, family, router));
            let mac = [2, 2, 0, 0, 0, host as u8];
            net.hosts.push(Host::new(mac, link, own, gateways));
        }
        // IPv6 addresses are used after a second without objections.
        net.pass(5000);
        net
    }

    /// Plugs in a link that carries what the usual one does; each router's nodes differ.
    fn plug(&mut self, router: usize, interface: u8) {
        let now = self.routers[router].now;
        let mac = router_mac(router as u8, interface);
        let bed = &mut self.routers[router];
        bed.router.link_up(now, InterfaceId(interface), mac, 1500);
    }

    pub(crate) fn set_weather(&mut self, weather: Weather) {
        for link in &mut self.links {
            link.weather = weather;
        }
    }

    /// Cuts a link or mends it; its routers notice.
    pub(crate) fn set_up(&mut self, link: usize, up: bool) {
        self.links[link].up = up;
        for node in self.links[link].nodes.clone() {
            let Node::Router(router, interface) = node else {
                continue;
            };
            let now = Instant(self.now);
            self.routers[router].now = now;
            if up {
                self.plug(router, interface);
            } else {
                let bed = &mut self.routers[router];
                bed.router.link_down(InterfaceId(interface));
            }
            self.poll_router(router);
        }
    }

    pub(crate) fn send(&mut self, host: usize, packet: Packet) {
        let frames = self.hosts[host].send(self.now, packet);
        self.transmit_all(Node::Host(host), frames);
    }

    /// Sends a datagram from one host to another in a packet of `len` bytes.
    pub(crate) fn send_datagram(
        &mut self,
        from: usize,
        to: usize,
        family: Family,
        datagram: Datagram,
        len: usize,
    ) -> Packet {
        let [source, destination] = [from, to].map(|host| self.hosts[host].address(family));
        let packet = Packet::datagram(source, destination, datagram, len);
        self.send(from, packet.clone());
        packet
    }

    /// Takes what has arrived at a host.
    pub(crate) fn take(&mut self, host: usize) -> Vec<Packet> {
        std::mem::take(&mut self.hosts[host].inbox)
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, millis: u64) {
        let end = self.now + millis * 1_000_000;
        let mut at_once = 0;
        loop {
            let due = self.next_due();
            if due > end {
                break;
            }
            at_once = if due > self.now { 0 } else { at_once + 1 };
            assert!(at_once < 100_000, "time stands still");
            self.now = self.now.max(due);
            self.step();
        }
        self.now = end;
    }

    fn next_due(&self) -> u64 {
        let flight = self.flights.peek().map(|Reverse(f)| f.0);
        let routers = self.routers.iter().filter_map(|bed| bed.next);
        let hosts = self.hosts.iter().filter_map(Host::next);
        let all = flight.into_iter().chain(routers.map(|i| i.0)).chain(hosts);
        all.min().unwrap_or(u64::MAX)
    }

    /// Does one thing that is due.
    fn step(&mut self) {
        let now = self.now;
        if self.flights.peek().is_some_and(|Reverse(f)| f.0 <= now) {
            let Some(Reverse((_, _, link, to, frame))) = self.flights.pop() else {
                return;
            };
            return self.arrive(link, to, &frame);
        }
        for router in 0..self.routers.len() {
            if self.routers[router].next.is_some_and(|next| next.0 <= now) {
                self.routers[router].now = Instant(now);
                self.poll_router(router);
            }
        }
        for host in 0..self.hosts.len() {
            let frames = self.hosts[host].poll(now);
            self.transmit_all(Node::Host(host), frames);
        }
    }

    fn poll_router(&mut self, router: usize) {
        self.routers[router].poll();
        self.collect(router);
    }

    /// Puts what a router sent on its links.
    fn collect(&mut self, router: usize) {
        for (out, frame) in self.routers[router].take() {
            self.traffic[router].1 += 1;
            self.transmit(Node::Router(router, out), frame);
        }
    }

    fn arrive(&mut self, link: usize, to: Node, frame: &[u8]) {
        let up = self.links[link].up;
        self.tally(link, frame, |tally| {
            tally.under_way -= 1;
            *if up {
                &mut tally.delivered
            } else {
                &mut tally.lost
            } += 1;
        });
        if !up {
            return;
        }
        match to {
            Node::Router(router, interface) => {
                self.traffic[router].0 += 1;
                self.routers[router].now = Instant(self.now);
                self.routers[router].receive(interface, frame);
                self.collect(router);
            }
            Node::Host(host) => {
                let answers = self.hosts[host].receive(self.now, frame);
                self.transmit_all(to, answers);
            }
        }
    }

    /// Changes a link's account, and that of its datagrams if the frame is one.
    fn tally(&mut self, link: usize, frame: &[u8], change: impl Fn(&mut Tally)) {
        change(&mut self.links[link].tally);
        if Datagram::in_frame(frame).is_some() {
            change(&mut self.links[link].datagrams);
        }
    }

    fn transmit_all(&mut self, from: Node, frames: Vec<Vec<u8>>) {
        for frame in frames {
            self.transmit(from, frame);
        }
    }

    /// As a switch does: a frame for a node that is known goes to it, others to all.
    fn transmit(&mut self, from: Node, frame: Vec<u8>) {
        let link = match from {
            Node::Host(host) => self.hosts[host].link,
            Node::Router(router, out) => self.plan.interfaces(router)[usize::from(out)],
        };
        assert!(
            frame.len() <= 14 + self.links[link].mtu,
            "the link carries less"
        );
        if let Some(datagram) = Datagram::in_frame(&frame) {
            self.paths.entry(datagram).or_default().push(link);
        }
        let others = self.links[link].nodes.iter().copied();
        let others: Vec<Node> = others.filter(|&node| node != from).collect();
        let known = others.iter().copied().find(|&s| frame[..6] == self.mac(s));
        let question = is_question(&frame);
        for to in known.map_or(others, |node| vec![node]) {
            let arrivals = self.links[link].arrivals(&mut self.random, question);
            let copies = arrivals.len() as u64;
            self.tally(link, &frame, |tally| {
                tally.sent += 1;
                tally.duplicated += copies.saturating_sub(1);
                tally.lost += u64::from(copies == 0);
                tally.under_way += copies;
            });
            for after in arrivals {
                self.flown += 1;
                let at = self.now + after * 1000;
                let flight = (at, self.flown, link, to, frame.clone());
                self.flights.push(Reverse(flight));
            }
        }
    }

    fn mac(&self, node: Node) -> [u8; 6] {
        match node {
            Node::Router(router, interface) => router_mac(router as u8, interface),
            Node::Host(host) => self.hosts[host].mac,
        }
    }

    /// Frames that the routers dropped for a reason.
    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        let interfaces = |bed: &Bed| bed.router.config().interfaces.len() as u8;
        let all = self.routers.iter();
        all.flat_map(|bed| (0..interfaces(bed)).map(move |at| bed.dropped(at, reason)))
            .sum()
    }

    /// What became of the datagrams on all links together.
    pub(crate) fn datagrams(&self) -> Tally {
        self.links.iter().fold(Tally::default(), |mut sum, link| {
            let tally = &link.datagrams;
            sum.sent += tally.sent;
            sum.duplicated += tally.duplicated;
            sum.lost += tally.lost;
            sum.delivered += tally.delivered;
            sum.under_way += tally.under_way;
            sum
        })
    }

    /// Every frame was delivered, dropped for a counted reason, lost by a link, or is still
    /// somewhere; and all agree about how many went from whom to whom.
    pub(crate) fn assert_balance(&self) {
        for link in &self.links {
            link.tally.assert_balance();
            link.datagrams.assert_balance();
        }
        let under_way: u64 = self.links.iter().map(|l| l.tally.under_way).sum();
        assert_eq!(under_way, self.flights.len() as u64);
        for (bed, &(got, put)) in self.routers.iter().zip(&self.traffic) {
            bed.assert_balance();
            let interfaces = 0..bed.router.config().interfaces.len() as u8;
            let counters = interfaces.map(|at| bed.router.counters(InterfaceId(at)).unwrap());
            let (received, sent) = counters.fold((0, 0), |(received, sent), c| {
                (received + c.rx_packets, sent + c.tx_packets)
            });
            assert_eq!((received, sent), (got, put));
        }
    }

    /// Lets what is under way arrive and what waits be given up, then asserts that nothing is
    /// left and everything is accounted for.
    pub(crate) fn come_to_rest(&mut self) {
        self.pass(10 * 1000);
        assert!(
            self.flights
                .iter()
                .all(|Reverse(f)| Datagram::in_frame(&f.4).is_none())
        );
        let pending: usize = self.routers.iter().map(|bed| bed.router.pending()).sum();
        assert_eq!(pending, 0);
        self.assert_balance();
    }

    /// Sends an echo request and returns whether the reply came within two seconds, and with
    /// how many hops left.
    pub(crate) fn ping(&mut self, host: usize, destination: IpAddr) -> Option<u8> {
        let source = self.hosts[host].address(Family::of(destination));
        let number = self.random.below(1 << 16) as u16;
        self.send(host, Packet::echo(source, destination, number, &[7; 50]));
        for _ in 0..20 {
            self.pass(100);
            let found = self.take(host).into_iter().find(|packet| {
                packet.source == destination && packet.said() == Said::EchoReply(number)
            });
            if let Some(reply) = found {
                assert_eq!(reply.payload[8..], [7; 50]);
                return Some(reply.hops);
            }
        }
        None
    }
}
