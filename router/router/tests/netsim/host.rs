//! A host with one interface, one address of each family, and one gateway for all else.

use std::net::{IpAddr, Ipv6Addr};

use crate::packet::{Family, Packet, Said};
use testkit::bed::arp;

type Mac = [u8; 6];

/// How long a host waits for its gateway's answer, in ns.
const RETRY: u64 = 1_000_000_000;

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) mac: Mac,
    pub(crate) link: usize,
    addresses: [IpAddr; 2],
    gateways: [IpAddr; 2],
    known: [Option<Mac>; 2],
    waiting: [Vec<Packet>; 2],
    ask_again: [Option<u64>; 2],
    /// A silent host hears, and says nothing.
    pub(crate) silent: bool,
    /// What arrived for it, but for its own echo requests.
    pub(crate) inbox: Vec<Packet>,
}

impl Host {
    pub(crate) fn new(
        mac: Mac,
        link: usize,
        addresses: [IpAddr; 2],
        gateways: [IpAddr; 2],
    ) -> Self {
        Self {
            mac,
            link,
            addresses,
            gateways,
            known: [None; 2],
            waiting: [vec![], vec![]],
            ask_again: [None; 2],
            silent: false,
            inbox: vec![],
        }
    }

    pub(crate) fn address(&self, family: Family) -> IpAddr {
        self.addresses[family as usize]
    }

    /// Returns the frames that sending a packet takes now.
    pub(crate) fn send(&mut self, now: u64, packet: Packet) -> Vec<Vec<u8>> {
        let at = packet.family() as usize;
        if let Some(gateway) = self.known[at] {
            return vec![packet.frame(gateway, self.mac)];
        }
        self.waiting[at].push(packet);
        match self.ask_again[at] {
            Some(_) => vec![],
            None => vec![self.ask(now, at)],
        }
    }

    /// When it has something to do by itself.
    pub(crate) fn next(&self) -> Option<u64> {
        self.ask_again.iter().flatten().min().copied()
    }

    /// Returns the frames that are due.
    pub(crate) fn poll(&mut self, now: u64) -> Vec<Vec<u8>> {
        let due = |at: &usize| self.ask_again[*at].is_some_and(|when| when <= now);
        let due: Vec<usize> = [0, 1].into_iter().filter(due).collect();
        due.into_iter().map(|at| self.ask(now, at)).collect()
    }

    fn ask(&mut self, now: u64, at: usize) -> Vec<u8> {
        self.ask_again[at] = Some(now + RETRY);
        match (self.addresses[at], self.gateways[at]) {
            (IpAddr::V4(own), IpAddr::V4(gateway)) => {
                arp(1, self.mac, own.octets(), [0; 6], gateway.octets())
            }
            (own, IpAddr::V6(gateway)) => {
                let [.., a, b, c] = gateway.octets();
                let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
                message.extend(gateway.octets());
                message.extend([1, 1]);
                message.extend(self.mac);
                let group = Ipv6Addr::from_bits(
                    0xff02_0000_0000_0000_0000_0001_ff00_0000
                        | u128::from(u32::from_be_bytes([0, a, b, c])),
                );
                Packet::on_link(own, group.into(), message)
                    .frame([0x33, 0x33, 0xff, a, b, c], self.mac)
            }
            _ => unreachable!("both are of one family"),
        }
    }

    /// Takes a frame and returns those that it answers with.
    pub(crate) fn receive(&mut self, now: u64, frame: &[u8]) -> Vec<Vec<u8>> {
        if frame[0] & 1 == 0 && frame[..6] != self.mac {
            return vec![];
        }
        if frame[12..14] == [8, 6] {
            return self.receive_arp(frame);
        }
        let Some(packet) = Packet::read(frame) else {
            return vec![];
        };
        if packet.protocol == 58 && matches!(packet.payload[0], 133..=143) {
            return self.receive_nd(frame, &packet);
        }
        if !self.addresses.contains(&packet.destination) {
            return vec![];
        }
        match packet.said() {
            Said::EchoRequest if self.silent => vec![],
            Said::EchoRequest => self.send(now, packet.echo_reply()),
            _ => {
                self.inbox.push(packet);
                vec![]
            }
        }
    }

    /// What waited can go now.
    fn know(&mut self, at: usize, mac: Mac) -> Vec<Vec<u8>> {
        self.known[at] = Some(mac);
        self.ask_again[at] = None;
        let waiting = std::mem::take(&mut self.waiting[at]);
        waiting.iter().map(|p| p.frame(mac, self.mac)).collect()
    }

    fn receive_arp(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        let (sender_mac, sender) = (
            *frame[22..].first_chunk().unwrap(),
            IpAddr::from(*frame[28..].first_chunk::<4>().unwrap()),
        );
        let target = IpAddr::from(*frame[38..].first_chunk::<4>().unwrap());
        let mut answers = vec![];
        if target == self.addresses[0] && sender == self.gateways[0] {
            answers = self.know(0, sender_mac);
        }
        if let (IpAddr::V4(own), IpAddr::V4(sender)) = (target, sender)
            && frame[21] == 1
            && target == self.addresses[0]
            && !self.silent
        {
            answers.push(arp(2, self.mac, own.octets(), sender_mac, sender.octets()));
        }
        answers
    }

    fn receive_nd(&mut self, frame: &[u8], packet: &Packet) -> Vec<Vec<u8>> {
        let Some(target) = packet.payload.get(8..).and_then(|b| b.first_chunk::<16>()) else {
            return vec![];
        };
        let target = IpAddr::from(*target);
        let mac = *frame[6..].first_chunk().unwrap();
        match packet.payload[0] {
            136 if target == self.gateways[1] => self.know(1, mac),
            135 if target == self.addresses[1] && !self.silent => {
                // Asked for the first time it is solicited and overrides (RFC 4861 7.2.4).
                let mut message = vec![136, 0, 0, 0, 0x60, 0, 0, 0];
                message.extend(&packet.payload[8..24]);
                message.extend([2, 1]);
                message.extend(self.mac);
                let answer = Packet::on_link(target, packet.source, message);
                vec![answer.frame(mac, self.mac)]
            }
            _ => vec![],
        }
    }
}
