//! Tables as large and as uneven as those of the Internet, the same ones for the same seed.
//!
//! Lengths: the shares are rounded from the prefix counts by size that Geoff Huston reports
//! each January ("BGP in 2024", APNIC Labs, and bgp.potaroo.net, AS131072), where a /24 is
//! some 60 % of IPv4 and a /48 some 46 % of IPv6. The rest is a model: blocks of addresses
//! differ in how finely they are cut by orders of magnitude, neighbors are announced in
//! runs, and what lies together mostly has the same next hop, of which a few serve most.

/// Random numbers (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// From 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A rank from 0, where rank r comes 1/(r+1) as often as rank 0.
    pub(crate) fn zipf(&mut self, n: usize) -> usize {
        // The inverse of the integral of 1/x.
        let rank = ((n as f64 + 1.0).powf(self.unit())) as usize;
        rank.clamp(1, n) - 1
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// Next hops: as many as a router at a few exchanges has sessions.
pub(crate) const NEXT_HOPS: usize = 256;

/// Per 10,000 prefixes, those of each length.
const V4: [(u8, u32); 17] = [
    (8, 1),
    (9, 1),
    (10, 1),
    (11, 1),
    (12, 3),
    (13, 6),
    (14, 12),
    (15, 20),
    (16, 135),
    (17, 84),
    (18, 138),
    (19, 250),
    (20, 445),
    (21, 520),
    (22, 1120),
    (23, 1010),
    (24, 6253),
];
const V6: [(u8, u32); 22] = [
    (20, 5),
    (24, 15),
    (28, 80),
    (29, 290),
    (30, 60),
    (31, 40),
    (32, 1250),
    (33, 290),
    (34, 240),
    (35, 110),
    (36, 560),
    (38, 180),
    (39, 60),
    (40, 1000),
    (41, 60),
    (42, 350),
    (43, 70),
    (44, 900),
    (45, 90),
    (46, 350),
    (47, 300),
    (48, 3700),
];

/// A prefix: its address, its length, the number of its next hop from 1 on.
pub(crate) type Route<A> = (A, u8, u32);

fn counts<const N: usize>(shares: &[(u8, u32); N], total: usize) -> Vec<(u8, usize)> {
    let sum: u32 = shares.iter().map(|&(_, share)| share).sum();
    let mut counts: Vec<(u8, usize)> = shares
        .iter()
        .map(|&(len, share)| (len, total * share as usize / sum as usize))
        .collect();
    let rest = total - counts.iter().map(|&(_, count)| count).sum::<usize>();
    counts[N - 1].1 += rest;
    counts
}

/// Picks an index by cumulated weights.
fn pick(random: &mut Random, cumulated: &[f64]) -> usize {
    let at = random.unit() * cumulated[cumulated.len() - 1];
    cumulated.partition_point(|&sum| sum <= at)
}

/// A next hop that mostly follows from where the prefix is.
fn next_hop(random: &mut Random, owner: u64) -> u32 {
    let by_owner = random.below(100) < 85;
    let rank = if by_owner {
        Random(owner).zipf(NEXT_HOPS)
    } else {
        random.zipf(NEXT_HOPS)
    };
    rank as u32 + 1
}

/// `total` IPv4 prefixes, sorted.
pub(crate) fn v4(total: usize, seed: u64) -> Vec<Route<u32>> {
    let mut random = Random(seed);
    // Blocks of the size of a /16, cut very unevenly. Some /8 belong to one owner each.
    let mut sum = 0.0;
    let weights: Vec<f64> = (0..1usize << 16)
        .map(|block| {
            let top = block >> 8;
            let usable = (1..224).contains(&top) && top != 10 && top != 127;
            let dark = usable && top % 13 == 6;
            let mut bell = 0.0;
            for _ in 0..12 {
                bell += random.unit();
            }
            let weight = if !usable || dark || random.below(100) < 25 {
                0.0
            } else {
                ((bell - 6.0) * 1.2).exp()
            };
            sum += weight;
            sum
        })
        .collect();
    let mut routes = std::collections::BTreeMap::new();
    for (len, count) in counts(&V4, total) {
        let mut made = 0;
        let mut last = 0u32;
        while made < count {
            let step = 1u32 << (32 - len);
            let prefix = if made > 0 && random.below(100) < 55 {
                last.wrapping_add(step)
            } else {
                let block = (pick(&mut random, &weights) as u32) << 16;
                block | (random.next() as u32 & 0xffff)
            };
            let prefix = prefix & (u32::MAX << (32 - len));
            last = prefix;
            let top = prefix >> 24;
            if !(1..224).contains(&top) || top == 10 || top == 127 {
                continue;
            }
            let hop = next_hop(&mut random, u64::from(prefix >> 12) ^ 0x51ed_2701);
            if routes.insert((prefix, len), hop).is_none() {
                made += 1;
            }
        }
    }
    routes
        .into_iter()
        .map(|((prefix, len), hop)| (prefix, len, hop))
        .collect()
}

/// `total` IPv6 prefixes, sorted.
pub(crate) fn v6(total: usize, seed: u64) -> Vec<Route<u128>> {
    let mut random = Random(seed);
    // What registries give out of the /12 that they have; more specific prefixes lie in it.
    let registries = [
        0x2001u128, 0x2400, 0x2600, 0x2620, 0x2800, 0x2a00, 0x2a00, 0x2a10, 0x2c00,
    ];
    let allocation = |random: &mut Random| {
        let top = registries[random.below(registries.len())];
        let wide = if top == 0x2001 || top == 0x2620 { 0 } else { 4 };
        let bits = (top << 16 | u128::from(random.next() & 0xffff)) << 96;
        bits | (u128::from(random.next() & ((1 << wide) - 1)) << 112)
    };
    let mut routes = std::collections::BTreeMap::new();
    let mut owners: Vec<u128> = Vec::new();
    let mut cumulated: Vec<f64> = Vec::new();
    for (len, count) in counts(&V6, total) {
        let mut made = 0;
        let mut last = 0u128;
        while made < count {
            let step = 1u128 << (128 - len);
            let prefix = if len > 32 && made > 0 && random.below(100) < 50 {
                last.wrapping_add(step)
            } else if len > 32 {
                owners[pick(&mut random, &cumulated)] | u128::from(random.next() as u32) << 64
            } else {
                allocation(&mut random)
            };
            let prefix = prefix & (u128::MAX << (128 - len));
            last = prefix;
            let owner = (prefix >> 96) as u64 ^ 0x0dd1_5ea5;
            let hop = next_hop(&mut random, owner);
            if routes.insert((prefix, len), hop).is_none() {
                made += 1;
                if (28..=32).contains(&len) {
                    let mut bell = 0.0;
                    for _ in 0..12 {
                        bell += random.unit();
                    }
                    owners.push(prefix);
                    let sum = cumulated.last().copied().unwrap_or(0.0);
                    cumulated.push(sum + ((bell - 6.0) * 1.6).exp());
                }
            }
        }
    }
    routes
        .into_iter()
        .map(|((prefix, len), hop)| (prefix, len, hop))
        .collect()
}

/// Addresses in prefixes of which a few are asked for most often: `bits` puts random bits
/// behind a prefix.
pub(crate) fn mix<A: Copy>(
    routes: &[Route<A>],
    count: usize,
    seed: u64,
    bits: impl Fn(Route<A>, &mut Random) -> A,
) -> Vec<A> {
    let mut random = Random(seed);
    let mut order: Vec<usize> = (0..routes.len()).collect();
    random.shuffle(&mut order);
    (0..count)
        .map(|_| {
            let route = routes[order[random.zipf(order.len())]];
            bits(route, &mut random)
        })
        .collect()
}

/// An address with a prefix and random bits behind it.
pub(crate) fn within4((prefix, len, _): Route<u32>, random: &mut Random) -> u32 {
    prefix | (random.next() as u32).checked_shr(len.into()).unwrap_or(0)
}

/// The same for IPv6.
pub(crate) fn within6((prefix, len, _): Route<u128>, random: &mut Random) -> u128 {
    let bits = u128::from(random.next()) << 64 | u128::from(random.next());
    prefix | bits.checked_shr(len.into()).unwrap_or(0)
}
