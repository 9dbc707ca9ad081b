//! Groups of next hops, over which flows are spread by weight.

use alloc::vec::Vec;

use crate::route::flow_hash::{MULTIPLIER, mix};

/// The number of buckets of a group. With more, shares match the weights more closely.
const BUCKETS: usize = 512;

/// The targets of a route with several gateways.
///
/// A flow's hash picks a bucket, and a bucket the member that scores best for it (rendezvous
/// hashing, Thaler and Ravishankar 1998). A member's score depends only on the bucket, the member
/// and its weight, so when a member leaves, only its buckets move to others, and when it returns,
/// they return: all other flows stay in place.
#[derive(Debug, Default)]
pub(crate) struct Group {
    members: Vec<u32>,
    /// The member of each bucket, as an index.
    buckets: Vec<u16>,
}

impl Group {
    /// Creates a group of the usable ones of these targets, with their weights. Members beyond
    /// 65,535 are ignored.
    pub(crate) fn new(members: &[(u32, u8)], usable: impl Fn(u32) -> bool) -> Self {
        let members: Vec<(u32, u8)> = members
            .iter()
            .copied()
            .filter(|&(t, _)| usable(t))
            .collect();
        let best = |bucket: usize| {
            let mut best: Option<(u16, u64, u64)> = None;
            for (index, &(target, weight)) in (0u16..=u16::MAX).zip(&members) {
                let weight = u64::from(weight);
                let key = u64::from(target) << 32 | bucket as u64;
                let cost = cost(mix(mix(key ^ KEY, MULTIPLIER) ^ KEY, MULTIPLIER));
                // The lowest cost relative to the weight, compared by products to avoid divisions.
                if best.is_none_or(|(_, w, c)| cost * w < c * weight) {
                    best = Some((index, weight, cost));
                }
            }
            best.map(|(index, ..)| index)
        };
        // With a single member, one bucket suffices.
        let buckets = if members.len() > 1 { BUCKETS } else { 1 };
        Self {
            members: members.iter().map(|&(target, _)| target).collect(),
            buckets: (0..buckets).filter_map(best).collect(),
        }
    }

    /// Returns `true` if these are its usable members.
    pub(crate) fn is_of(&self, members: impl Iterator<Item = u32>) -> bool {
        members.eq(self.members.iter().copied())
    }

    /// Returns the buckets, for tests.
    #[cfg(test)]
    pub(crate) fn flows(&self) -> &[u16] {
        &self.buckets
    }

    /// Returns `true` if no member is usable.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns the member for a flow's hash.
    #[inline]
    pub(crate) fn pick(&self, hash: u32) -> Option<u32> {
        let bucket = (u64::from(hash) * self.buckets.len() as u64) >> 32;
        let member = self.buckets.get(usize::try_from(bucket).ok()?)?;
        self.members.get(usize::from(*member)).copied()
    }
}

/// Returns the negative base-2 logarithm of a random fraction, in units of 2^-16. The minimum of
/// several costs divided by weights is distributed in proportion to the weights.
fn cost(random: u64) -> u64 {
    let random = (random >> 32) as u32 | 1;
    let zeros = random.leading_zeros();
    // log2(1+x) is x and at most 9 % more, which a parabola matches within 0.8 %.
    let x = u64::from((random << zeros) >> 15) & 0xffff;
    let log = x + ((((x * (0x1_0000 - x)) >> 16) * 22_525) >> 16);
    (u64::from(zeros + 1) << 16) - log
}

/// Keeps the inputs of `mix` away from numbers with few bits.
const KEY: u64 = 0x5851_f42d_4c95_7f2d;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::flow_hash::flow_hash;
    use wire::fixtures::ipv4_packet as packet;
    use wire::ipv4::UDP;
    use wire::put;

    #[test]
    fn flows_spread_by_weight() {
        let group = Group::new(&[(10, 20), (20, 60)], |_| true);
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
        assert!(Group::new(&[], |_| true).pick(7).is_none());
    }

    #[test]
    fn only_a_leaving_members_flows_move() {
        let all = [(10, 1), (11, 3), (12, 1), (13, 2)];
        let whole = Group::new(&all, |_| true);
        let hashes = || (0..2000u32).map(|i| i.wrapping_mul(0x9e37_79b9));
        for gone in 0..all.len() {
            let mut left = all.to_vec();
            let (gone, _) = left.remove(gone);
            // In another order, as interfaces come and go.
            left.reverse();
            let rest = Group::new(&left, |_| true);
            let hidden = Group::new(&all, |target| target != gone);
            let mut moved = [0; 4];
            for hash in hashes() {
                let (before, after) = (whole.pick(hash).unwrap(), rest.pick(hash).unwrap());
                assert_eq!(hidden.pick(hash), Some(after));
                if before == gone {
                    moved[after as usize - 10] += 1;
                } else {
                    assert_eq!(before, after);
                }
            }
            // What it leaves is spread over the others.
            assert!(
                left.iter().all(|&(t, _)| moved[t as usize - 10] > 0),
                "{moved:?}"
            );
        }
        for (target, weight) in all {
            let count = hashes().filter(|&h| whole.pick(h) == Some(target)).count();
            let fair = 2000 * usize::from(weight) / 7;
            assert!(
                count.abs_diff(fair) < 100,
                "{target}: {count}, {fair} would be fair"
            );
        }
    }
}
