//! The router's own addresses, served by smoltcp.
//!
//! smoltcp sees one interface without a link layer that accepts every packet: whether an address is
//! the router's is decided before, and replies are routed afterwards. It never sees forwarded
//! packets, fragments, Neighbor Discovery or IPv6 extension headers.

use alloc::vec::Vec;

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant as SmolInstant;
use smoltcp::wire::{HardwareAddress, IpCidr};

use wire::icmp_error::IcmpError;
use wire::ipv4;
use wire::ipv6::{self, Ipv6};

use crate::frame::ETHERNET_LEN;
use crate::time::Instant;

/// The response to a packet for the router.
pub(crate) enum Answer {
    /// A frame to send, whose Ethernet header isn't filled in yet.
    Frame(Vec<u8>),
    /// An ICMP error to report to the packet's sender.
    Error(IcmpError),
}

pub(crate) struct Services {
    interface: Interface,
    sockets: SocketSet<'static>,
    port: Port,
}

impl Services {
    pub(crate) fn new(seed: u64, now: Instant) -> Self {
        let mut port = Port {
            received: None,
            sent: Vec::new(),
        };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut port, moment(now));
        interface.set_any_ip(true);
        Self {
            interface,
            sockets: SocketSet::new(Vec::new()),
            port,
        }
    }

    /// Handles a packet for the router, which begins with its IP header, and returns the response.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        packet: Vec<u8>,
    ) -> impl Iterator<Item = Answer> + use<> {
        // smoltcp accepts any destination for IPv4 only; for IPv6 it is given the packet's
        // destination as its address.
        let ip = Ipv6::parse(&packet, packet.len());
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            if let Ok(ip) = ip {
                let _ = addresses.push(IpCidr::new(ip.destination.into(), 128));
            }
        });
        self.port.received = Some(packet);
        self.interface
            .poll(moment(now), &mut self.port, &mut self.sockets);
        self.port.received = None;
        core::mem::take(&mut self.port.sent)
            .into_iter()
            .map(|frame| match error_in(&frame) {
                Some(error) => Answer::Error(error),
                None => Answer::Frame(frame),
            })
    }
}

/// Returns the error that a frame from smoltcp reports, if any. smoltcp has no rate limit and
/// doesn't know when errors must not be sent, so its errors aren't sent directly.
fn error_in(frame: &[u8]) -> Option<IcmpError> {
    let packet = frame.get(ETHERNET_LEN..)?;
    let message = |len: usize| Some((*packet.get(len)?, *packet.get(len + 1)?));
    if packet.first()? >> 4 == 6 {
        let (kind, _) = message(ipv6::HEADER_LEN).filter(|_| packet.get(6) == Some(&ipv6::ICMP))?;
        return (kind < 128).then_some(IcmpError::PortUnreachable);
    }
    match message(ipv4::HEADER_LEN).filter(|_| packet.get(9) == Some(&ipv4::ICMP))? {
        (3, 2) => Some(IcmpError::ProtocolUnreachable),
        (3 | 11 | 12, _) => Some(IcmpError::PortUnreachable),
        _ => None,
    }
}

fn moment(now: Instant) -> SmolInstant {
    SmolInstant::from_micros(i64::try_from(now.as_nanos() / 1000).unwrap_or(i64::MAX))
}

/// The device: one received packet, and those that are sent.
struct Port {
    received: Option<Vec<u8>>,
    sent: Vec<Vec<u8>>,
}

struct Rx(Vec<u8>);
struct Tx<'a>(&'a mut Vec<Vec<u8>>);

impl phy::RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = alloc::vec![0; ETHERNET_LEN + len];
        let result = f(frame.get_mut(ETHERNET_LEN..).unwrap_or(&mut []));
        self.0.push(frame);
        result
    }
}

impl Device for Port {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: SmolInstant) -> Option<(Rx, Tx<'_>)> {
        self.received
            .take()
            .map(|packet| (Rx(packet), Tx(&mut self.sent)))
    }

    fn transmit(&mut self, _: SmolInstant) -> Option<Tx<'_>> {
        Some(Tx(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        // Large packets are fragmented later, once their route is known.
        capabilities.max_transmission_unit = usize::from(u16::MAX);
        capabilities
    }
}
