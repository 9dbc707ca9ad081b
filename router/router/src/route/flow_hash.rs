//! The hash of flows, by which the packets of a flow take the same path.

use wire::ipv4::{self, MF, OFFSET, TCP, UDP};
use wire::{be16, be32, be128, ipv6};

/// Bytes of an ICMP error before the packet that it quotes.
const ICMP_HEADER_LEN: usize = 8;

/// Returns a hash of the flow of a packet: addresses, protocol and, except in fragments, ports. In
/// IPv6 the flow label replaces ports that can't be seen. An ICMP error belongs to the flow of the
/// packet that it quotes, in reverse (RFC 7690). `ip` begins with an IP header.
#[inline]
pub(crate) fn flow_hash(ip: &[u8], key: u64) -> u32 {
    if ip.first().is_some_and(|b| b >> 4 == 6) {
        return flow_hash6(ip, key);
    }
    let flow = Flow4::of(ip);
    let quoted = if flow.protocol == ipv4::ICMP {
        Flow4::quoted(ip)
    } else {
        None
    };
    quoted.unwrap_or(flow).hash(key)
}

/// Returns `true` if an IP packet is an ICMP error, which belongs to the flow of the packet that it
/// quotes.
#[inline]
pub(crate) fn is_icmp_error(ip: &[u8]) -> bool {
    if ip.first().is_some_and(|b| b >> 4 == 6) {
        let kind = ip.get(ipv6::HEADER_LEN);
        return ip.get(6) == Some(&ipv6::ICMP) && kind.is_some_and(|kind| *kind < 128);
    }
    let kind = ip.get(header_len4(ip));
    ip.get(9) == Some(&ipv4::ICMP) && is_whole(ip) && matches!(kind, Some(3 | 11 | 12))
}

/// Returns the length of an IPv4 header in bytes.
#[inline]
fn header_len4(ip: &[u8]) -> usize {
    ip.first().map_or(0, |b| usize::from(b & 15) * 4)
}

/// Returns `true` if an IPv4 packet isn't a fragment.
#[inline]
fn is_whole(ip: &[u8]) -> bool {
    be16(ip, 6) & (MF | OFFSET) == 0
}

/// The fields that identify an IPv4 flow.
struct Flow4 {
    source: u32,
    destination: u32,
    protocol: u8,
    /// The source's before the destination's; 0 if they can't be seen.
    ports: u32,
}

impl Flow4 {
    /// Returns the flow of a packet by its own header, even if it is an ICMP error.
    #[inline]
    fn of(ip: &[u8]) -> Self {
        let protocol = ip.get(9).copied().unwrap_or(0);
        let ports = if is_whole(ip) && matches!(protocol, TCP | UDP) {
            be32(ip, header_len4(ip))
        } else {
            0
        };
        Self {
            source: be32(ip, 12),
            destination: be32(ip, 16),
            protocol,
            ports,
        }
    }

    /// Returns the flow that an ICMP error belongs to; `None` for other packets.
    #[cold]
    #[inline(never)]
    fn quoted(ip: &[u8]) -> Option<Self> {
        let quote = ip.get(header_len4(ip) + ICMP_HEADER_LEN..)?;
        let readable = quote.len() >= ipv4::HEADER_LEN && quote.first()? >> 4 == 4;
        if !readable || !is_icmp_error(ip) {
            return None;
        }
        let there = Self::of(quote);
        Some(Self {
            source: there.destination,
            destination: there.source,
            protocol: there.protocol,
            ports: there.ports.rotate_left(16),
        })
    }

    #[inline]
    fn hash(&self, key: u64) -> u32 {
        let addresses = u64::from(self.source) << 32 | u64::from(self.destination);
        let rest = u64::from(self.protocol) << 32 | u64::from(self.ports);
        let hash = mix(addresses ^ key, MULTIPLIER);
        (mix(hash ^ rest, key | 1) >> 32) as u32
    }
}

/// The same for IPv6 (RFC 6438).
#[inline]
fn flow_hash6(ip: &[u8], key: u64) -> u32 {
    let flow = Flow6::of(ip);
    let quoted = if flow.next_header == ipv6::ICMP {
        Flow6::quoted(ip)
    } else {
        None
    };
    quoted.unwrap_or(flow).hash(key)
}

/// The fields that identify an IPv6 flow.
struct Flow6 {
    source: u128,
    destination: u128,
    next_header: u8,
    /// 0 if ports can be seen.
    label: u32,
    /// As in IPv4.
    ports: u32,
}

impl Flow6 {
    /// Returns the flow of a packet by its own header, even if it is an ICMP error.
    #[inline]
    fn of(ip: &[u8]) -> Self {
        let next_header = ip.get(6).copied().unwrap_or(0);
        let (label, ports) = if matches!(next_header, TCP | UDP) {
            (0, be32(ip, ipv6::HEADER_LEN))
        } else {
            (be32(ip, 0) & 0xf_ffff, 0)
        };
        Self {
            source: be128(ip, 8),
            destination: be128(ip, 24),
            next_header,
            label,
            ports,
        }
    }

    /// Returns the flow that an ICMP error belongs to; `None` for other packets. Its flow label is
    /// unknown, as each direction has its own.
    #[cold]
    #[inline(never)]
    fn quoted(ip: &[u8]) -> Option<Self> {
        let quote = ip.get(ipv6::HEADER_LEN + ICMP_HEADER_LEN..)?;
        let readable = quote.len() >= ipv6::HEADER_LEN && quote.first()? >> 4 == 6;
        if !readable || !is_icmp_error(ip) {
            return None;
        }
        let there = Self::of(quote);
        Some(Self {
            source: there.destination,
            destination: there.source,
            next_header: there.next_header,
            label: 0,
            ports: there.ports.rotate_left(16),
        })
    }

    #[inline]
    fn hash(&self, key: u64) -> u32 {
        let rest =
            u64::from(self.next_header) << 52 | u64::from(self.label) << 32 | u64::from(self.ports);
        let (source, destination) = (self.source, self.destination);
        let mut hash = key;
        for word in [source >> 64, source, destination >> 64, destination] {
            hash = mix(hash ^ word as u64, MULTIPLIER);
        }
        (mix(hash ^ rest, key | 1) >> 32) as u32
    }
}

pub(crate) const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Multiplies and folds: in two rounds every input bit reaches the upper output bits.
#[inline]
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::next_hop_group::Group;
    use wire::fixtures::ipv4_packet as packet;
    use wire::put;

    #[test]
    fn fragments_and_other_bytes_dont_matter() {
        let key = 99;
        let a = packet(UDP, 64, &[1; 8]);
        let b = packet(UDP, 3, &[1, 1, 1, 1, 9, 9, 9, 9]);
        assert_eq!(flow_hash(&a, key), flow_hash(&b, key));
        let fragment = |payload| {
            let mut f = packet(UDP, 64, payload);
            f[6] = 0x20;
            flow_hash(&f, key)
        };
        assert_eq!(fragment(&[1; 8]), fragment(&[2; 8]));
    }

    #[test]
    fn ipv6_flows_spread() {
        let group = Group::new(&[(10, 1), (20, 1)], |_| true);
        let seen = wire::fixtures::ipv6_packet(UDP, 64, &[0; 8]);
        let hidden = wire::fixtures::ipv6_packet(ipv6::FRAGMENT, 64, &[0; 16]);
        let key = 0x1234_5678_9abc_def1;
        // By port, by flow label where no port is seen, by either half of an address.
        let places = [14, 22, 30, 38, 42].map(|at| (at, &seen));
        for (at, packet) in places.into_iter().chain([(2, &hidden)]) {
            let mut packet = packet.clone();
            let mut count = 0u32;
            for n in 0..2000u16 {
                put(&mut packet, at, &n.to_be_bytes());
                count += u32::from(group.pick(flow_hash(&packet, key)) == Some(20));
            }
            assert!((850..1150).contains(&count), "byte {at}: {count}");
        }
    }

    #[test]
    fn a_flow_label_moves_no_connection() {
        let mut packet = wire::fixtures::ipv6_packet(TCP, 64, &[7; 20]);
        let before = flow_hash(&packet, 5);
        put(&mut packet, 1, &[0x0f, 0xab, 0xcd]);
        assert_eq!(flow_hash(&packet, 5), before);
        // Nor is a fragment taken away from the others of its packet.
        let piece = |place: u8| [17, 0, 0, place, 0, 0, 0, 9, place, 1, 2, 3];
        let [first, later] =
            [1, 9].map(|place| wire::fixtures::ipv6_packet(ipv6::FRAGMENT, 64, &piece(place)));
        assert_eq!(flow_hash(&first, 5), flow_hash(&later, 5));
    }

    #[test]
    fn errors_go_with_the_flow_that_they_answer() {
        for protocol in [TCP, UDP] {
            // From host 1 to host 2; what it gets back, and an error about it from elsewhere.
            let mut there = packet(protocol, 64, &[1, 2, 3, 4, 5, 6, 7, 8]);
            put(&mut there, 12, &[10, 0, 0, 1, 10, 0, 0, 2]);
            let mut back = packet(protocol, 64, &[3, 4, 1, 2, 0, 0, 0, 0]);
            put(&mut back, 12, &[10, 0, 0, 2, 10, 0, 0, 1]);
            for kind in [3, 11, 12] {
                let message = [&[kind, 0, 0, 0, 0, 0, 0, 0], &there[..]].concat();
                let mut error = packet(ipv4::ICMP, 64, &message);
                put(&mut error, 12, &[10, 9, 9, 9, 10, 0, 0, 1]);
                assert!(is_icmp_error(&error));
                assert_eq!(flow_hash(&error, 77), flow_hash(&back, 77));
            }
            let mut there = wire::fixtures::ipv6_packet(protocol, 64, &[1, 2, 3, 4, 5, 6, 7, 8]);
            put(&mut there, 8, &[1; 16]);
            put(&mut there, 24, &[2; 16]);
            let mut back = wire::fixtures::ipv6_packet(protocol, 64, &[3, 4, 1, 2, 0, 0, 0, 0]);
            put(&mut back, 8, &[2; 16]);
            put(&mut back, 24, &[1; 16]);
            for kind in [1, 2, 3, 4] {
                let message = [&[kind, 0, 0, 0, 0, 0, 0, 0], &there[..]].concat();
                let mut error = wire::fixtures::ipv6_packet(ipv6::ICMP, 64, &message);
                put(&mut error, 24, &[1; 16]);
                assert!(is_icmp_error(&error));
                assert_eq!(flow_hash(&error, 77), flow_hash(&back, 77));
            }
        }
        assert!(!is_icmp_error(&packet(ipv4::ICMP, 64, &[8, 0, 0, 0])));
    }
}
