//! Several next hops for one route: flows are spread over them by weight.

use alloc::vec::Vec;

use crate::wire::ipv4::{MF, OFFSET, TCP, UDP};
use crate::wire::{be16, be32};

/// The targets of a route with several gateways, each as often as it weighs.
#[derive(Debug)]
pub(crate) struct Group {
    slots: Vec<u32>,
}

impl Group {
    pub(crate) fn new(members: &[(u32, u8)]) -> Self {
        let divisor = members
            .iter()
            .fold(0, |d, &(_, weight)| gcd(d, weight))
            .max(1);
        let slots = members
            .iter()
            .flat_map(|&(target, weight)| {
                core::iter::repeat_n(target, usize::from(weight / divisor))
            })
            .collect();
        Self { slots }
    }

    /// The member for a flow's hash.
    pub(crate) fn pick(&self, hash: u32) -> Option<u32> {
        let slot = (u64::from(hash) * self.slots.len() as u64) >> 32;
        self.slots.get(usize::try_from(slot).ok()?).copied()
    }
}

fn gcd(a: u8, b: u8) -> u8 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A hash that is the same for all packets of a flow: addresses, protocol and, unless
/// fragments hide them, ports. `ip` begins with an IPv4 header.
pub(crate) fn flow_hash(ip: &[u8], key: u64) -> u32 {
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
    // Two rounds of multiply and fold: every input bit reaches the upper output bits.
    let mix = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        (product as u64) ^ (product >> 64) as u64
    };
    let hash = mix(addresses ^ key, 0x9e37_79b9_7f4a_7c15);
    (mix(hash ^ rest, key | 1) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ipv4::tests::packet;
    use crate::wire::put;

    #[test]
    fn flows_spread_by_weight() {
        let group = Group::new(&[(10, 20), (20, 60)]);
        assert_eq!(group.slots.len(), 4);
        let mut counts = [0u32; 2];
        let mut packet = packet(UDP, 64, &[0; 8]);
        for port in 0..4000u16 {
            put(&mut packet, 20, &port.to_be_bytes());
            let target = group
                .pick(flow_hash(&packet, 0x1234_5678_9abc_def1))
                .unwrap();
            counts[usize::from(target == 20)] += 1;
        }
        assert!((850..1150).contains(&counts[0]), "{counts:?}");
        assert!(Group::new(&[]).pick(7).is_none());
    }

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
}
