//! Large TCP frames for a link that carries less than they are: they go on if their segments fit, to
//! the byte, whatever headers they have, and are reported to their sender if not.

#[expect(dead_code, reason = "shared with other tests")]
mod sim;

use std::fmt::Write as _;

use netif::fakes::Delivery;
use netif::messages::{Extra, RxFlags};
use netif::{Gso, GsoKind};

use sim::{Machine, Sim, VifPlan, fill_checksum, host, mac};

const TAG: [u8; 4] = [0x81, 0, 0, 100];
const OUT_MTU: usize = 1400;

/// Two vifs, both with a sub-interface, in both families.
fn config() -> String {
    let mut text = String::new();
    for n in 0..2 {
        for (name, place, net) in [
            (format!("v{n}"), format!("vif = {n}"), n),
            (
                format!("t{n}"),
                format!("parent = \"v{n}\"\nvlan = 100"),
                10 + n,
            ),
        ] {
            let _ = write!(
                text,
                "[interface.{name}]\n{place}\naddress = [\"10.0.{net}.1/24\", \"2001:db8:{net}::1/64\"]\n\
                 [[neighbor]]\ninterface = \"{name}\"\naddress = \"10.0.{net}.9\"\nmac = \"02:00:00:00:01:{n:02x}\"\n\
                 [[neighbor]]\ninterface = \"{name}\"\naddress = \"2001:db8:{net}::9\"\nmac = \"02:00:00:00:01:{n:02x}\"\n"
            );
        }
    }
    text
}

/// What a large frame looks like.
#[derive(Clone, Copy, Debug)]
struct Shape {
    v6: bool,
    /// Bytes of TCP options.
    options: usize,
    /// Bytes of an IPv6 destination options header.
    extension: usize,
    tag_in: bool,
    tag_out: bool,
}

impl Shape {
    /// Bytes of the headers of IP and TCP.
    fn headers(&self) -> usize {
        let ip = if self.v6 { 40 + self.extension } else { 20 };
        ip + 20 + self.options
    }

    fn frame(&self, payload: usize) -> Vec<u8> {
        let net = |n: u8, tagged| if tagged { 10 + n } else { n };
        let (from, to) = (net(0, self.tag_in), net(1, self.tag_out));
        let mut tcp = vec![4, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2];
        tcp.extend([
            ((20 + self.options) * 4) as u8,
            0x10,
            0xff,
            0xff,
            0,
            0,
            0,
            0,
        ]);
        tcp.extend(vec![1; self.options]);
        tcp.extend(vec![7; payload]);
        let mut frame = [mac(0), host(0)].as_flattened().to_vec();
        if self.v6 {
            let mut extension = vec![0; self.extension];
            if let Some(first) = extension.first_chunk_mut::<4>() {
                *first = [
                    6,
                    (self.extension / 8 - 1) as u8,
                    1,
                    (self.extension - 4) as u8,
                ];
            }
            let next = if self.extension > 0 { 60 } else { 6 };
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(((extension.len() + tcp.len()) as u16).to_be_bytes());
            frame.extend([next, 64]);
            for net in [from, to] {
                let net = u16::from_str_radix(&net.to_string(), 16).expect("digits");
                let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, 9);
                frame.extend(address.octets());
            }
            frame.extend(extension);
            frame.extend(tcp);
        } else {
            frame.extend([8, 0, 0x45, 0]);
            frame.extend((20 + tcp.len() as u16).to_be_bytes());
            frame.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, from, 9, 10, 0, to, 9]);
            fill_checksum(&mut frame);
            frame.extend(tcp);
        }
        if self.tag_in {
            frame.splice(12..12, TAG);
        }
        frame
    }

    /// How it is delivered.
    fn delivery(&self, gso_size: usize) -> Delivery {
        let kind = if self.v6 {
            GsoKind::TcpV6
        } else {
            GsoKind::TcpV4
        };
        Delivery {
            flags: RxFlags::CSUM_BLANK | RxFlags::DATA_VALIDATED,
            extras: vec![Extra::Gso(Gso {
                kind,
                size: gso_size as u16,
            })],
            ..Delivery::default()
        }
    }
}

fn shapes() -> Vec<Shape> {
    let mut all = Vec::new();
    for options in [0, 12, 40] {
        for (v6, extension) in [(false, 0), (true, 0), (true, 8), (true, 24)] {
            for (tag_in, tag_out) in [(false, false), (true, false), (false, true), (true, true)] {
                all.push(Shape {
                    v6,
                    options,
                    extension,
                    tag_in,
                    tag_out,
                });
            }
        }
    }
    all
}

#[test]
fn segments_that_fit_to_the_byte_go_on_and_longer_ones_are_reported() {
    for in_mtu in [1400, 1500] {
        let plan = |mtu| VifPlan {
            mtu,
            ..VifPlan::default()
        };
        let plans = [plan(in_mtu), plan(OUT_MTU as u16)];
        let mut sim = Sim::with(Machine::default(), &plans, &config());
        for shape in shapes() {
            let fits = OUT_MTU - shape.headers();
            for (gso_size, expected) in [(fits, true), (fits + 1, false)] {
                // The limit of errors a second is another matter.
                sim.now += sim::SECOND;
                sim.wake_all();
                sim.complete_all();
                let input = if shape.tag_in { 2 } else { 0 };
                let before = sim.drops(input).get("too_big").copied().unwrap_or(0);
                let (frame, how) = (shape.frame(6000), shape.delivery(gso_size));
                assert!(sim.deliver_as(0, 0, &frame, &how));
                sim.wake_all();
                let sent = sim.complete_all();
                let what = format!("{shape:?}, {in_mtu} to {OUT_MTU}, {gso_size}");
                let dropped = sim.drops(input).get("too_big").copied().unwrap_or(0) - before;
                if !expected {
                    // The last segment is a short one.
                    assert_eq!(sent[1].len(), 1, "{what}");
                    assert!(sent[1][0].bytes.len() < OUT_MTU, "{what}");
                    assert_eq!(sent[0].len(), 1, "{what}: one error");
                    assert_eq!(dropped as usize, 6000 / gso_size, "{what}");
                    continue;
                }
                assert_eq!((sent[0].len(), dropped), (0, 0), "{what}");
                let tags = if shape.tag_out { 4 } else { 0 };
                let most = 14 + tags + OUT_MTU;
                // As one frame where the backend takes that, else cut.
                if shape.tag_out {
                    assert_eq!(sent[1].len(), 6000_usize.div_ceil(gso_size), "{what}");
                    assert_eq!(sent[1][0].bytes.len(), most, "{what}");
                } else {
                    assert_eq!(sent[1].len(), 1, "{what}");
                    assert!(sent[1][0].gso.is_some(), "{what}");
                }
            }
        }
    }
}
