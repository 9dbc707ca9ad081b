//! A router between test cases that play its links.
use std::collections::VecDeque;

use router::{
    Config, DropReason, Egress, FrameMeta, HEADER_LEN, Header, Instant, InterfaceId, NoRoom,
    REWRITTEN, Router, Verdict, Verdicts,
};

/// A whole frame, its Ethernet header first.
pub type Frame = Vec<u8>;

/// Wan 10.0.0.1/24, lan 10.0.1.1/24, a route behind each, and one of each other kind.
pub const CONFIG: &str = r#"
[interface.wan]
vif = 0
address = ["10.0.0.1/24"]
[interface.lan]
vif = 1
address = ["10.0.1.1/24", "10.0.11.1/24"]
[[route]]
prefix = "0.0.0.0/0"
via = ["10.0.0.254"]
[[route]]
prefix = "20.0.0.0/8"
via = ["10.0.1.253", "10.0.1.254@2"]
[[route]]
prefix = "30.0.0.0/8"
action = "blackhole"
[[route]]
prefix = "30.1.0.0/16"
action = "unreachable"
[[route]]
prefix = "30.2.0.0/16"
action = "prohibit"
"#;

/// The interface of the networks beyond the default route.
pub const WAN: u8 = 0;
/// The other interface.
pub const LAN: u8 = 1;

/// A router's MAC address on an interface.
pub fn router_mac(router: u8, interface: u8) -> [u8; 6] {
    [2, 0, 0, 0, router, 0xa0 + interface]
}

/// The MAC address of the host with this address.
pub fn host_mac(address: [u8; 4]) -> [u8; 6] {
    [2, 1, address[0], address[1], address[2], address[3]]
}

/// A router with links up and what it sent.
pub struct Bed {
    /// The router.
    pub router: Router,
    /// The time that it is told.
    pub now: Instant,
    /// What it sent and nobody has taken: interface, frame, and what goes with it.
    pub sent: VecDeque<(u8, Frame, FrameMeta)>,
    /// `true` if links take nothing.
    pub full: bool,
    /// When it wants to be polled next, as it said last.
    pub next: Option<Instant>,
}

struct Out<'a>(&'a mut VecDeque<(u8, Frame, FrameMeta)>, bool);

impl Egress for Out<'_> {
    fn room(&self, _: InterfaceId) -> usize {
        if self.1 { 0 } else { usize::MAX }
    }

    fn send(&mut self, out: InterfaceId, frame: &[u8], meta: FrameMeta) -> Result<(), NoRoom> {
        if self.1 {
            return Err(NoRoom);
        }
        assert_eq!(meta.len as usize, frame.len());
        self.0.push_back((out.0, frame.to_vec(), meta));
        Ok(())
    }
}

impl Bed {
    /// A router with this configuration file and links up; its number tells its MAC addresses.
    ///
    /// # Panics
    /// If the configuration can't be used.
    pub fn new(text: &str, number: u8) -> Self {
        let config = config::from_toml(text).unwrap();
        Self::with(&config, number)
    }

    /// The same with a configuration.
    pub fn with(config: &Config, number: u8) -> Self {
        let now = Instant::from_secs(1);
        let mut bed = Self {
            router: Router::new(config, 0x5eed + u64::from(number), now),
            now,
            sent: VecDeque::new(),
            full: false,
            next: None,
        };
        for at in 0..config.vifs() as u8 {
            bed.router
                .link_up(now, InterfaceId(at), router_mac(number, at), 1500);
        }
        bed
    }

    /// A router whose announcements are over and which knows these neighbors.
    pub fn ready(text: &str, hosts: &[(u8, [u8; 4])]) -> Self {
        let mut bed = Self::new(text, 0);
        bed.poll();
        for _ in 0..36 {
            bed.pass(1000);
        }
        for &(interface, host) in hosts {
            let target = if interface == WAN {
                [10, 0, 0, 1]
            } else {
                [10, 0, 1, 1]
            };
            bed.meet(interface, host, target);
        }
        bed.sent.clear();
        bed
    }

    /// Makes a host known, which asks for the router's address and answers its question.
    pub fn meet(&mut self, interface: u8, host: [u8; 4], ours: [u8; 4]) {
        let mac = router_mac(0, interface);
        self.receive(interface, &arp(1, host_mac(host), host, [0; 6], ours));
        self.receive(interface, &arp(2, host_mac(host), host, mac, ours));
    }

    /// Polls until nothing is left to do now.
    ///
    /// # Panics
    /// If there is always more to do.
    pub fn poll(&mut self) {
        for _ in 0..10_000 {
            let poll = self
                .router
                .poll(self.now, 8, &mut Out(&mut self.sent, self.full));
            self.next = poll.next;
            if !poll.more {
                return;
            }
        }
        panic!("there is always more to do");
    }

    /// Lets a frame be received, and polls.
    pub fn receive(&mut self, interface: u8, frame: &[u8]) {
        self.receive_as(interface, frame, FrameMeta::plain(frame.len()));
    }

    /// The same with what else is known of the frame.
    pub fn receive_as(&mut self, interface: u8, frame: &[u8], meta: FrameMeta) {
        self.offer(interface, &[(frame, meta)]);
        self.poll();
    }

    /// Processes frames and punts, without polling. Returns the verdicts.
    ///
    /// # Panics
    /// If they contradict what is said of all of them.
    pub fn offer(&mut self, interface: u8, frames: &[(&[u8], FrameMeta)]) -> Vec<Verdict> {
        let input = InterfaceId(interface);
        let mut headers: Vec<Header> = frames
            .iter()
            .map(|(frame, _)| {
                // What lies beyond a frame may be anything.
                let mut header = Header([0x45; HEADER_LEN]);
                let len = frame.len().min(HEADER_LEN);
                header.0[..len].copy_from_slice(&frame[..len]);
                header
            })
            .collect();
        let tagged = headers.clone();
        let metas: Vec<FrameMeta> = frames.iter().map(|f| f.1).collect();
        let mut verdicts = vec![Verdict::Drop; frames.len()];
        let common = self
            .router
            .process(self.now, input, &mut headers, &metas, &mut verdicts);
        if let Verdicts::AllTo(out) = common {
            assert!(
                verdicts
                    .iter()
                    .all(|&verdict| verdict == Verdict::Forward(out))
            );
        }
        let decided = frames.iter().zip(&headers).zip(&mut verdicts).zip(tagged);
        for ((((frame, meta), header), verdict), tagged) in decided {
            match verdict {
                Verdict::Drop => {}
                Verdict::Tagged(interface) => {
                    let mut frame = frame.to_vec();
                    let tags = tagged.tags_len();
                    frame.drain(12..12 + tags);
                    let meta = FrameMeta {
                        len: meta.len - tags as u32,
                        ..*meta
                    };
                    *verdict = self.offer(interface.0, &[(&frame, meta)])[0];
                }
                Verdict::Punt => {
                    self.router
                        .punt(input, *meta, |to| to.copy_from_slice(frame));
                }
                Verdict::Forward(out) => {
                    let mut frame = frame.to_vec();
                    let len = frame.len().min(REWRITTEN);
                    frame[..len].copy_from_slice(&header.0[..len]);
                    self.sent.push_back((out.0, frame, *meta));
                }
            }
        }
        verdicts
    }

    /// Lets time pass, and polls.
    pub fn pass(&mut self, millis: u64) {
        self.now = Instant(self.now.0 + millis * 1_000_000);
        self.poll();
    }

    /// Takes what was sent.
    pub fn take(&mut self) -> Vec<(u8, Frame)> {
        self.sent
            .drain(..)
            .map(|(out, frame, _)| (out, frame))
            .collect()
    }

    /// Returns how many frames of an interface were dropped for this reason.
    ///
    /// # Panics
    /// If there is no such interface.
    pub fn dropped(&self, interface: u8, reason: DropReason) -> u64 {
        self.router
            .counters(InterfaceId(interface))
            .unwrap()
            .dropped(reason)
    }

    /// Asserts that every frame is accounted for exactly once.
    ///
    /// # Panics
    /// If one isn't.
    pub fn assert_balance(&self) {
        let (mut sources, mut sinks) = (0, 0);
        for at in 0..self.router.config().interfaces.len() as u8 {
            let c = self.router.counters(InterfaceId(at)).unwrap();
            sources += c.rx_packets + c.originated;
            sinks += c.tx_packets + c.consumed + c.dropped_total();
        }
        assert_eq!(sources, sinks + self.router.pending() as u64);
    }
}

/// What a data plane knows of a large frame, or of an ordinary one if `gso_size` is 0.
pub fn large(frame: &[u8], gso_size: u16) -> FrameMeta {
    let plain = FrameMeta::plain(frame.len());
    let segment_len = match gso_size {
        0 => 0,
        _ => FrameMeta::segment_len_of(frame, plain.len, gso_size),
    };
    FrameMeta {
        segment_len,
        ..plain
    }
}

/// An ARP packet in a frame, broadcast if `target_mac` is zero.
pub fn arp(
    operation: u8,
    sender_mac: [u8; 6],
    sender: [u8; 4],
    target_mac: [u8; 6],
    target: [u8; 4],
) -> Frame {
    let mut f = if target_mac == [0; 6] {
        vec![0xff; 6]
    } else {
        target_mac.to_vec()
    };
    f.extend(sender_mac);
    f.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, operation]);
    f.extend(sender_mac);
    f.extend(sender);
    f.extend(target_mac);
    f.extend(target);
    f.resize(60, 0);
    f
}

/// The Internet checksum (RFC 1071).
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Sets the checksum of `header` at this offset.
pub fn set_checksum(header: &mut [u8], at: usize) {
    header[at..at + 2].fill(0);
    let sum = checksum(header);
    header[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// An IPv4 packet in a frame from a host to the first router.
pub fn ip(
    interface: u8,
    source: [u8; 4],
    destination: [u8; 4],
    ttl: u8,
    protocol: u8,
    payload: &[u8],
) -> Frame {
    let mut f = router_mac(0, interface).to_vec();
    f.extend(host_mac(source));
    f.extend([8, 0, 0x45, 0]);
    f.extend((20 + payload.len() as u16).to_be_bytes());
    f.extend([0xab, 0xcd, 0, 0, ttl, protocol, 0, 0]);
    f.extend(source);
    f.extend(destination);
    set_checksum(&mut f[14..34], 10);
    f.extend(payload);
    f
}

/// Ports 1000 and 2000, no checksum.
pub fn udp(interface: u8, source: [u8; 4], destination: [u8; 4], len: usize) -> Frame {
    let mut payload = vec![3, 232, 7, 208, 0, 0, 0, 0];
    payload[4..6].copy_from_slice(&(8 + len as u16).to_be_bytes());
    payload.extend((0..len).map(|i| i as u8));
    ip(interface, source, destination, 64, 17, &payload)
}

/// An echo request.
pub fn echo(interface: u8, source: [u8; 4], destination: [u8; 4], len: usize) -> Frame {
    let mut payload = vec![8, 0, 0, 0, 0, 7, 0, 1];
    payload.extend((0..len).map(|i| i as u8));
    set_checksum(&mut payload, 2);
    ip(interface, source, destination, 64, 1, &payload)
}

/// Changes a frame's IPv4 header and corrects its checksum.
pub fn edit(mut frame: Frame, change: impl FnOnce(&mut [u8])) -> Frame {
    change(&mut frame[14..]);
    let len = usize::from(frame[14] & 15) * 4;
    set_checksum(&mut frame[14..14 + len], 10);
    frame
}

/// Puts options, a multiple of 4 bytes, into a frame's IPv4 header that has none.
pub fn with_options(mut frame: Frame, options: &[u8]) -> Frame {
    frame.splice(34..34, options.iter().copied());
    edit(frame, |ip| {
        ip[0] += options.len() as u8 / 4;
        let total = ip.len() as u16;
        ip[2..4].copy_from_slice(&total.to_be_bytes());
    })
}

/// Asserts that a frame carries an ICMP message to `destination` with correct checksums and
/// returns its type, code and quoted packet.
///
/// # Panics
/// If it carries something else.
pub fn icmp(frame: &[u8], source: [u8; 4], destination: [u8; 4]) -> (u8, u8, Vec<u8>) {
    assert_eq!(checksum(&frame[14..34]), 0);
    assert_eq!(checksum(&frame[34..]), 0);
    assert_eq!(
        (frame[23], &frame[26..30], &frame[30..34]),
        (1, &source[..], &destination[..])
    );
    (frame[34], frame[35], frame[42..].to_vec())
}
