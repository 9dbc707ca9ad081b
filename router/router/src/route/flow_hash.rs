//! A hash by which flows are told apart, so that packets of one take one way.

use wire::ipv4::{MF, OFFSET, TCP, UDP};
use wire::{be16, be32, be128, ipv6};

/// A hash that is the same for all packets of a flow: addresses, protocol and, unless
/// fragments hide them, ports. In IPv6 the flow label stands for what extension headers hide.
/// `ip` begins with an IP header.
#[inline]
pub(crate) fn flow_hash(ip: &[u8], key: u64) -> u32 {
    if ip.first().is_some_and(|b| b >> 4 == 6) {
        return flow_hash6(ip, key);
    }
    let header_len = ip.first().map_or(0, |b| usize::from(b & 15) * 4);
    let protocol = ip.get(9).copied().unwrap_or(0);
    let whole = be16(ip, 6) & (MF | OFFSET) == 0;
    let ports = if whole && matches!(protocol, TCP | UDP) {
        be32(ip, header_len)
    } else {
        0
    };
    let addresses = u64::from(be32(ip, 12)) << 32 | u64::from(be32(ip, 16));
    let rest = u64::from(protocol) << 32 | u64::from(ports);
    let hash = mix(addresses ^ key, MULTIPLIER);
    (mix(hash ^ rest, key | 1) >> 32) as u32
}

/// The same for IPv6 (RFC 6438).
#[inline]
fn flow_hash6(ip: &[u8], key: u64) -> u32 {
    let next_header = ip.get(6).copied().unwrap_or(0);
    let ports = if matches!(next_header, TCP | UDP) {
        be32(ip, ipv6::HEADER_LEN)
    } else {
        0
    };
    let label = be32(ip, 0) & 0xf_ffff;
    let (source, destination) = (be128(ip, 8), be128(ip, 24));
    let rest = u64::from(next_header) << 52 | u64::from(label) << 32 | u64::from(ports);
    let mut hash = key;
    for word in [source >> 64, source, destination >> 64, destination] {
        hash = mix(hash ^ word as u64, MULTIPLIER);
    }
    (mix(hash ^ rest, key | 1) >> 32) as u32
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
        let mut packet = wire::fixtures::ipv6_packet(UDP, 64, &[0; 8]);
        let key = 0x1234_5678_9abc_def1;
        // By port, by flow label, by either half of an address.
        for at in [42, 2, 14, 22, 30, 38] {
            let mut count = 0u32;
            for n in 0..2000u16 {
                put(&mut packet, at, &n.to_be_bytes());
                count += u32::from(group.pick(flow_hash(&packet, key)) == Some(20));
            }
            assert!((850..1150).contains(&count), "byte {at}: {count}");
        }
    }
}
