//! Three routers in a row, with a host at each end.

use std::collections::VecDeque;
use testkit::bed::*;

const A: [u8; 4] = [10, 0, 0, 9];
const B: [u8; 4] = [10, 3, 0, 9];

/// Routers 0 to 2 join networks 10.0.0.0/24 to 10.3.0.0/24.
struct Chain {
    routers: Vec<Bed>,
    /// What reached the hosts.
    hosts: Vec<Frame>,
}

impl Chain {
    fn new() -> Self {
        let routers = (0..3u8)
            .map(|n| {
                let (left, right) = (n, n + 1);
                let mut text = format!(
                    "[interface.left]\nvif = 0\naddress = [\"10.{left}.0.2/24\"]\n\
                     [interface.right]\nvif = 1\naddress = [\"10.{right}.0.1/24\"]\n"
                );
                for net in 0..4 {
                    let via = if net < left {
                        format!("10.{left}.0.1")
                    } else if net > right {
                        format!("10.{right}.0.2")
                    } else {
                        continue;
                    };
                    text +=
                        &format!("[[route]]\nprefix = \"10.{net}.0.0/24\"\nvia = [\"{via}\"]\n");
                }
                Bed::new(&text, n)
            })
            .collect();
        Self {
            routers,
            hosts: Vec::new(),
        }
    }

    /// Puts frames on network `net` and lets everything happen that follows.
    fn put(&mut self, net: usize, frame: Frame) {
        let mut wire: VecDeque<(usize, Option<usize>, Frame)> = VecDeque::new();
        wire.push_back((net, None, frame));
        for _ in 0..1000 {
            for n in 0..3 {
                self.routers[n].poll();
                for (out, frame) in self.routers[n].take() {
                    wire.push_back((n + usize::from(out), Some(n), frame));
                }
            }
            let Some((net, sender, frame)) = wire.pop_front() else {
                return;
            };
            let links = [(net.checked_sub(1), 1), (Some(net).filter(|&n| n < 3), 0)];
            for (n, interface) in links {
                if let Some(n) = n
                    && Some(n) != sender
                {
                    self.routers[n].receive(interface, &frame);
                }
            }
            let host = if net == 0 { A } else { B };
            if sender.is_some() && (net == 0 || net == 3) {
                if frame[12..14] == [8, 6] && frame[38..42] == host && frame[28..32] != host {
                    let (mac, ip) = (frame[22..28].try_into(), frame[28..32].try_into());
                    let reply = arp(2, host_mac(host), host, mac.unwrap(), ip.unwrap());
                    wire.push_back((net, None, reply));
                } else if frame[..6] == host_mac(host) && frame[12..14] == [8, 0] {
                    self.hosts.push(frame);
                }
            }
        }
        panic!("the network doesn't come to rest");
    }

    fn send(&mut self, ttl: u8, destination: [u8; 4]) -> Vec<Frame> {
        let mut frame = edit(echo(0, A, destination, 20), |ip| ip[8] = ttl);
        frame[..6].copy_from_slice(&router_mac(0, 0));
        self.put(0, frame);
        for router in &self.routers {
            router.assert_balance();
        }
        std::mem::take(&mut self.hosts)
    }
}

#[test]
fn from_end_to_end_and_back() {
    let mut chain = Chain::new();
    let arrived = chain.send(64, B);
    assert_eq!(
        arrived.len(),
        1,
        "the first packet waits for three resolutions"
    );
    assert_eq!((arrived[0][22], &arrived[0][30..34]), (61, &B[..]));
    // The far host answers.
    let mut back = echo(0, B, A, 20);
    back[..6].copy_from_slice(&router_mac(2, 1));
    chain.put(3, back);
    let arrived = std::mem::take(&mut chain.hosts);
    assert_eq!((arrived.len(), arrived[0][22]), (1, 61));
}

#[test]
fn traceroute_shows_each_router() {
    let mut chain = Chain::new();
    for (ttl, router) in [(1, [10, 0, 0, 2]), (2, [10, 1, 0, 2]), (3, [10, 2, 0, 2])] {
        let arrived = chain.send(ttl, B);
        assert_eq!(arrived.len(), 1, "TTL {ttl}");
        let (kind, code, _) = icmp(&arrived[0], router, A);
        assert_eq!((kind, code), (11, 0));
    }
    assert_eq!(chain.send(4, B)[0][23], 1);
}

#[test]
fn every_address_of_every_router_answers() {
    let mut chain = Chain::new();
    for address in [
        [10, 0, 0, 2],
        [10, 1, 0, 1],
        [10, 1, 0, 2],
        [10, 2, 0, 1],
        [10, 3, 0, 1],
    ] {
        let arrived = chain.send(64, address);
        assert_eq!(arrived.len(), 1, "{address:?}");
        assert_eq!(icmp(&arrived[0], address, A).0, 0);
    }
}
