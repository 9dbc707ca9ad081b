//! The hash of a flow by which a backend chooses queues (netif.h, "Hash types" and after), and a
//! key with which both directions of a flow hash the same.
//!
//! # The key
//!
//! A Toeplitz hash is the sum, without carries, of the 32 bits of the key that start at each bit
//! set in the input. [`KEY`] repeats every 16 bits, so it makes no difference in which of its
//! 16-bit words a bit of the input is. Addresses and ports are whole words: swapped, they hash the
//! same, and both directions of a flow come on queues of the same number, also of two vifs. The
//! idea and the constant are from Woo and Park, "Scalable TCP Session Monitoring with Symmetric
//! Receive-side Scaling" (KAIST, 2012).
//!
//! The price is that the hash depends on 16 bits only, the sum of all words. None of them is
//! lost: the constant has an odd number of bits set, so different sums have different hashes.

/// Octets of the key: enough for the longest input, addresses of IPv6 and ports.
pub const KEY_LEN: usize = 40;
/// The key, with which both directions of a flow hash the same.
#[expect(
    clippy::indexing_slicing,
    reason = "a constant, so it would not compile"
)]
pub const KEY: [u8; KEY_LEN] = {
    let mut key = [0x6d; KEY_LEN];
    let mut at = 1;
    while at < KEY_LEN {
        key[at] = 0x5a;
        at += 2;
    }
    key
};
/// Returns the Toeplitz hash of `input`. Octets that the key lacks are 0, as in netif.h.
///
/// The input is source address, destination address, and for TCP source port and destination
/// port, as they are in the packet.
#[must_use]
pub fn toeplitz(key: &[u8], input: &[u8]) -> u32 {
    let bits = |octet: &u8| {
        let octet = *octet;
        (0..8).rev().map(move |bit| u32::from(octet >> bit & 1))
    };
    let mut key = key.iter().flat_map(bits);
    let mut next = move || key.next().unwrap_or(0);
    let mut window = (0..32).fold(0_u32, |window, _| window << 1 | next());
    let mut hash = 0;
    for bit in input.iter().flat_map(bits) {
        hash ^= window & bit.wrapping_neg();
        window = window << 1 | next();
    }
    hash
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    /// The key of "Verifying the RSS Hash Calculation" (Microsoft, Windows drivers, network).
    const RSS_KEY: [u8; KEY_LEN] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f,
        0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
        0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    /// Input of a hash: addresses, then ports if there are any.
    fn input(addresses: [&[u8]; 2], ports: Option<[u16; 2]>) -> Vec<u8> {
        let mut input = addresses.concat();
        input.extend(ports.into_iter().flatten().flat_map(u16::to_be_bytes));
        input
    }

    /// The IPv4 examples of the same document: source, destination, hash of the addresses, of
    /// these and the ports.
    #[test]
    fn the_published_hashes_of_ipv4() {
        for (source, from, destination, to, addresses, all) in [
            (
                "66.9.149.187",
                2794,
                "161.142.100.80",
                1766,
                0x323e_8fc2,
                0x51cc_c178,
            ),
            (
                "199.92.111.2",
                14230,
                "65.69.140.83",
                4739,
                0xd718_262a,
                0xc626_b0ea,
            ),
            (
                "24.19.198.95",
                12898,
                "12.22.207.184",
                38024,
                0xd2d0_a5de,
                0x5c2b_394a,
            ),
            (
                "38.27.205.30",
                48228,
                "209.142.163.6",
                2217,
                0x8298_9176,
                0xafc7_327f,
            ),
            (
                "153.39.163.191",
                44251,
                "202.188.127.2",
                1303,
                0x5d18_09c5,
                0x10e8_28a2_u32,
            ),
        ] {
            let [source, destination] =
                [source, destination].map(|a| a.parse::<Ipv4Addr>().unwrap().octets());
            let pair = [&source[..], &destination];
            assert_eq!(toeplitz(&RSS_KEY, &input(pair, None)), addresses);
            assert_eq!(toeplitz(&RSS_KEY, &input(pair, Some([from, to]))), all);
        }
    }

    /// The IPv6 examples.
    #[test]
    fn the_published_hashes_of_ipv6() {
        for (source, from, destination, to, addresses, all) in [
            (
                "3ffe:2501:200:1fff::7",
                2794,
                "3ffe:2501:200:3::1",
                1766,
                0x2cc1_8cd5,
                0x4020_7d3d,
            ),
            (
                "3ffe:501:8::260:97ff:fe40:efab",
                14230,
                "ff02::1",
                4739,
                0x0f0c_461c,
                0xdde5_1bbf,
            ),
            (
                "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
                44251,
                "fe80::200:f8ff:fe21:67cf",
                38024,
                0x4b61_e985,
                0x02d1_feef_u32,
            ),
        ] {
            let [source, destination] =
                [source, destination].map(|a| a.parse::<Ipv6Addr>().unwrap().octets());
            let pair = [&source[..], &destination];
            assert_eq!(toeplitz(&RSS_KEY, &input(pair, None)), addresses);
            assert_eq!(toeplitz(&RSS_KEY, &input(pair, Some([from, to]))), all);
        }
    }

    #[test]
    fn a_short_key_ends_in_zeros() {
        assert_eq!(toeplitz(&[], &[0xff; 8]), 0);
        assert_eq!(toeplitz(&[0x80], &[0x80]), 0x8000_0000);
        assert_eq!(toeplitz(&[0x80, 0x01], &[0, 0x01]), 1 << 31);
    }

    proptest! {
        /// Both directions of a flow have the same hash, in both versions of IP, with ports and
        /// without.
        #[test]
        fn the_key_is_symmetric(
            a: [u8; 16],
            b: [u8; 16],
            ports: Option<[u16; 2]>,
            len in prop_oneof![Just(4_usize), Just(16)],
        ) {
            let there = input([&a[..len], &b[..len]], ports);
            let back = input([&b[..len], &a[..len]], ports.map(|[x, y]| [y, x]));
            prop_assert_eq!(toeplitz(&KEY, &there), toeplitz(&KEY, &back));
        }

        /// As the docs say: the hash is that of the sum of all words.
        #[test]
        fn only_the_sum_of_the_words_counts(words in proptest::collection::vec(any::<u16>(), 0..18)) {
            let input: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            let sum = words.iter().fold(0, |sum, word| sum ^ word);
            prop_assert_eq!(toeplitz(&KEY, &input), toeplitz(&KEY, &sum.to_be_bytes()));
        }
    }
}
