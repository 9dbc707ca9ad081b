//! What tests give a protocol machine, and where they look for what it did.

use std::format;
use std::vec::Vec;

use config::InterfaceConfig;
use core::net::Ipv6Addr;
use core::time::Duration;
use wire::addr::Mac;
use wire::ethernet::{self, Ethernet};
use wire::ipv6::{self, Ipv6};

use crate::DropReason;
use crate::cx::Cx;
use crate::forward::lane::Lane;
use crate::frame::{ETHERNET_LEN, FrameMeta, InterfaceId};
use crate::interface::Interface;
use crate::interface::addresses::DadState;
use crate::outbox::{Egress, Job, NoRoom, Outbox};
use crate::packet::Packet;
use crate::rng::Rng;
use crate::time::Instant;

/// The interface of a test that needs one only.
pub(crate) const LAN: InterfaceId = InterfaceId(1);
/// Its MAC address.
pub(crate) const MAC: Mac = Mac([2, 0, 0, 0, 0, 0xa1]);
/// The link-local address made of that.
pub(crate) const LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0xa1);
/// Interfaces of a test, each of them a vif.
const INTERFACES: u8 = 3;

/// Links that take this many frames each, and keep them.
#[derive(Default)]
pub(crate) struct Links {
    /// How many frames each takes.
    pub(crate) room: usize,
    /// What was sent.
    pub(crate) frames: Vec<(InterfaceId, Vec<u8>)>,
}

impl Egress for Links {
    fn room(&self, _: InterfaceId) -> usize {
        self.room
    }

    fn send(&mut self, out: InterfaceId, frame: &[u8], meta: FrameMeta) -> Result<(), NoRoom> {
        assert_eq!(meta.len as usize, frame.len());
        self.room = self.room.checked_sub(1).ok_or(NoRoom)?;
        self.frames.push((out, frame.to_vec()));
        Ok(())
    }
}

/// All that a machine is given for its steps.
pub(crate) struct Fixture {
    pub(crate) now: Instant,
    pub(crate) stats: Lane,
    pub(crate) rng: Rng,
    pub(crate) out: Outbox,
}

impl Fixture {
    /// Long after boot, with links that have room.
    pub(crate) fn new() -> Self {
        let mut fixture = Self {
            now: Instant::from_secs(1000),
            stats: Lane::new(INTERFACES.into()),
            rng: Rng::new(1),
            out: Outbox::default(),
        };
        fixture.set_room(1000);
        fixture
    }

    /// Returns what a step is given now.
    pub(crate) fn cx(&mut self) -> Cx<'_> {
        Cx {
            now: self.now,
            stats: &mut self.stats,
            rng: &mut self.rng,
            out: &mut self.out,
        }
    }

    /// Lets time pass.
    pub(crate) fn pass_ms(&mut self, millis: u64) {
        self.now = self.in_ms(millis);
    }

    /// Returns the time in this many milliseconds.
    pub(crate) fn in_ms(&self, millis: u64) -> Instant {
        self.now.saturating_add(Duration::from_millis(millis))
    }

    /// From now on each link takes this many frames.
    pub(crate) fn set_room(&mut self, room: usize) {
        let links = Links {
            room,
            ..Links::default()
        };
        let ids = (0..INTERFACES).map(InterfaceId);
        self.out.begin(ids.map(|id| (id, id)), &links);
    }

    /// Takes the frames that were sent; all must be on [`LAN`].
    pub(crate) fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut links = Links {
            room: usize::MAX,
            ..Links::default()
        };
        self.out.flush(&mut links, &mut self.stats);
        let frames = links.frames.into_iter();
        frames
            .map(|(out, frame)| {
                assert_eq!(out, LAN);
                frame
            })
            .collect()
    }

    /// Takes the ICMPv6 messages that were sent.
    pub(crate) fn sent_icmpv6(&mut self) -> Vec<Icmpv6> {
        self.sent()
            .iter()
            .map(|frame| Icmpv6::read(frame))
            .collect()
    }

    /// Takes what was left to be done.
    pub(crate) fn jobs(&mut self) -> Vec<Job> {
        core::iter::from_fn(|| self.out.pop()).collect()
    }

    /// Returns the number of frames that were dropped on [`LAN`] for a reason.
    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.stats.counters(LAN).unwrap().dropped(reason)
    }
}

/// An ICMPv6 message that was sent from [`MAC`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Icmpv6 {
    pub(crate) mac: Mac,
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) hop_limit: u8,
    pub(crate) message: Vec<u8>,
}

impl Icmpv6 {
    /// Reads a frame with a message, behind a header of hop-by-hop options or not, whose checksum
    /// must be right.
    fn read(frame: &[u8]) -> Self {
        let ethernet = Ethernet::parse(frame).unwrap();
        assert_eq!((ethernet.source, ethernet.kind), (MAC, ethernet::IPV6));
        let packet = &frame[ETHERNET_LEN..];
        let ip = Ipv6::parse(packet, packet.len()).unwrap();
        assert_eq!(ip.total_len, packet.len());
        let message = match ip.next_header {
            ipv6::HOP_BY_HOP => &packet[ipv6::HEADER_LEN + 8..],
            _ => &packet[ipv6::HEADER_LEN..],
        };
        assert!(wire::icmpv6::verifies(ip.source, ip.destination, message));
        Self {
            mac: ethernet.destination,
            source: ip.source,
            destination: ip.destination,
            hop_limit: ip.hop_limit,
            message: message.to_vec(),
        }
    }

    /// Returns the type of the message.
    pub(crate) fn kind(&self) -> u8 {
        self.message[0]
    }
}

/// Returns the configuration of an interface with these addresses; `keys` are further lines of its
/// table.
pub(crate) fn interface_config(addresses: &[&str], keys: &str) -> InterfaceConfig {
    let text = format!("[interface.lan]\nvif = 0\naddress = {addresses:?}\n{keys}");
    let mut config = config::from_toml(&text).unwrap();
    config.interfaces.remove(0)
}

/// Returns an interface whose link works, with these addresses. Those of IPv6 are tentative.
pub(crate) fn tentative(addresses: &[&str]) -> Interface {
    let mut interface = Interface::new(&interface_config(addresses, ""), 0, None);
    (interface.mac, interface.up) = (MAC, true);
    if let Some(v6) = &mut interface.v6 {
        v6.start(MAC, None);
    }
    interface
}

/// Returns an interface whose link works, with these addresses, and none of them in doubt.
pub(crate) fn interface(addresses: &[&str]) -> Interface {
    let mut interface = tentative(addresses);
    if let Some(v6) = &mut interface.v6 {
        let all: Vec<_> = v6.iter().map(|a| a.network.address).collect();
        for address in all {
            v6.set_state(address, DadState::Unique);
        }
    }
    interface
}

/// Returns a received IPv4 packet from 10.0.0.9 to 10.0.1.9, with this many bytes of payload.
pub(crate) fn packet(len: usize) -> Packet {
    let bytes = wire::fixtures::ipv4_packet(wire::ipv4::UDP, 64, &std::vec![0; len]);
    Packet::reassembled(&[0; ETHERNET_LEN], &bytes, LAN).unwrap()
}
