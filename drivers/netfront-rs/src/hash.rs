//! Which queue a packet from the backend comes on: by a Toeplitz hash of its flow (netif.h,
//! "Hash types" and after).
//!
//! Without it the backend chooses as it likes. [`Setup`] is the conversation that configures it,
//! without the ring that it is held over; [`Steering`](crate::Steering) has both.
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

use xen_hal::GrantRef;

use crate::control::{Request, Response};
use crate::netif::{CtrlStatus, CtrlType, HASH_ALGORITHM_NONE, HASH_ALGORITHM_TOEPLITZ, HashTypes};

/// Octets of the key: enough for the longest input, addresses of IPv6 and ports.
pub const KEY_LEN: usize = 40;
/// The key, with which both directions of a flow hash the same.
pub const KEY: [u8; KEY_LEN] = {
    let mut key = [0x6d; KEY_LEN];
    let mut at = 1;
    while at < KEY_LEN {
        key[at] = 0x5a;
        at += 2;
    }
    key
};
/// The most entries of the table of queues: those that Linux's netback has room for.
pub const MAX_ENTRIES: u32 = 128;

/// The table of queues, for its page: entry by entry, as 32-bit words. Every queue has as many
/// entries among the first `n`, if `n` is a multiple of their number.
pub fn table(queues: usize) -> impl Iterator<Item = u32> {
    (0..MAX_ENTRIES).map(move |entry| entry % divisor(queues))
}

/// The number of queues, so that it can be divided by.
fn divisor(queues: usize) -> u32 {
    u32::try_from(queues).unwrap_or(u32::MAX).max(1)
}

/// The Toeplitz hash of `input`. Octets that the key lacks are 0, as in netif.h.
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
        hash ^= window * bit;
        window = window << 1 | next();
    }
    hash
}

/// How the conversation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The backend chooses queues by hash.
    Steered {
        /// Of what; other packets have hash 0.
        types: HashTypes,
        /// Entries of the table; with none, the queue is the hash modulo the number of queues.
        entries: u32,
    },
    /// The backend didn't want something, and chooses queues as it likes.
    Refused {
        /// What it was.
        step: CtrlType,
        /// What it said. [`CtrlStatus::NotSupported`] also if it hashes nothing of [`HashTypes`].
        status: CtrlStatus,
    },
    /// There is one queue, so nothing was asked.
    Needless,
}

impl core::fmt::Display for Outcome {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Outcome::Steered { .. } => f.write_str("queues are chosen by flow"),
            Outcome::Refused { step, status } => {
                write!(f, "queues are chosen by the backend ({step:?}: {status})")
            }
            Outcome::Needless => f.write_str("there is one queue"),
        }
    }
}

/// The conversation, as it goes on. [`Setup::next_request`] and [`Setup::on_response`] take
/// turns until there is an [`Setup::outcome`].
///
/// It is to start once the backend is `XenbusStateConnected`: before that it may not know how
/// many queues there are, and refuse the table.
#[derive(Debug)]
pub struct Setup {
    queues: u32,
    key: GrantRef,
    mapping: GrantRef,
    state: State,
    types: HashTypes,
    entries: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Ask(Step),
    Wait(Step),
    Finished(Outcome),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Do(CtrlType),
    /// Half a configuration is worse than none: with flags but no key, all hashes are 0. The
    /// algorithm is unset.
    Undo(Outcome),
}

impl Setup {
    /// For a vif with so many queues. The pages start with [`KEY`] and with [`table`], and stay
    /// granted until the end; the backend needs only to read them.
    #[must_use]
    pub fn new(queues: usize, key: GrantRef, mapping: GrantRef) -> Self {
        let state = if queues > 1 {
            State::Ask(Step::Do(CtrlType::SetHashAlgorithm))
        } else {
            State::Finished(Outcome::Needless)
        };
        Self {
            queues: divisor(queues),
            key,
            mapping,
            state,
            types: HashTypes::empty(),
            entries: 0,
        }
    }

    /// The request to be sent now, if there is one.
    pub fn next_request(&mut self) -> Option<Request> {
        let State::Ask(step) = self.state else {
            return None;
        };
        self.state = State::Wait(step);
        let kind = match step {
            Step::Do(kind) => kind,
            Step::Undo(_) => CtrlType::SetHashAlgorithm,
        };
        let data = match step {
            Step::Undo(_) => [HASH_ALGORITHM_NONE, 0, 0],
            Step::Do(CtrlType::SetHashAlgorithm) => [HASH_ALGORITHM_TOEPLITZ, 0, 0],
            Step::Do(CtrlType::SetHashFlags) => [self.types.bits(), 0, 0],
            Step::Do(CtrlType::SetHashKey) => [self.key.0, KEY_LEN as u32, 0],
            Step::Do(CtrlType::SetHashMappingSize) => [self.entries, 0, 0],
            Step::Do(CtrlType::SetHashMapping) => [self.mapping.0, self.entries, 0],
            Step::Do(_) => [0; 3],
        };
        Some(Request { kind, data })
    }

    /// Takes the response to the last request.
    pub fn on_response(&mut self, response: Response) {
        let step = match self.state {
            State::Wait(Step::Do(step)) => step,
            State::Wait(Step::Undo(outcome)) => {
                self.state = State::Finished(outcome);
                return;
            }
            State::Ask(_) | State::Finished(_) => return,
        };
        self.state = match self.follow(step, response) {
            Ok(Some(next)) => State::Ask(Step::Do(next)),
            Ok(None) => State::Finished(Outcome::Steered {
                types: self.types,
                entries: self.entries,
            }),
            Err(status) => {
                let outcome = Outcome::Refused { step, status };
                match step {
                    CtrlType::SetHashAlgorithm => State::Finished(outcome),
                    _ => State::Ask(Step::Undo(outcome)),
                }
            }
        };
    }

    /// What comes after a step; the reason if nothing does.
    fn follow(
        &mut self,
        step: CtrlType,
        response: Response,
    ) -> Result<Option<CtrlType>, CtrlStatus> {
        if response.status != CtrlStatus::Success {
            return Err(response.status);
        }
        Ok(match step {
            CtrlType::SetHashAlgorithm => Some(CtrlType::GetHashFlags),
            CtrlType::GetHashFlags => {
                self.types = HashTypes::from_bits_truncate(response.data);
                if self.types.is_empty() {
                    return Err(CtrlStatus::NotSupported);
                }
                Some(CtrlType::SetHashFlags)
            }
            CtrlType::SetHashFlags => Some(CtrlType::SetHashKey),
            CtrlType::SetHashKey => Some(CtrlType::GetHashMappingSize),
            CtrlType::GetHashMappingSize => {
                // As many entries for each queue.
                let room = response.data.min(MAX_ENTRIES);
                self.entries = room - room % self.queues;
                Some(CtrlType::SetHashMappingSize)
            }
            CtrlType::SetHashMappingSize if self.entries > 0 => Some(CtrlType::SetHashMapping),
            _ => None,
        })
    }

    /// How it ended, once it has.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.state {
            State::Finished(outcome) => Some(outcome),
            State::Ask(_) | State::Wait(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;
    use core::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::keys::MAX_QUEUES;

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

    /// Over all sums of words that there are, each queue has as many, whatever their number.
    #[test]
    fn every_queue_has_its_share() {
        let hashes: Vec<u32> = (0..=u16::MAX)
            .map(|sum| toeplitz(&KEY, &sum.to_be_bytes()))
            .collect();
        for queues in 2..=MAX_QUEUES {
            let table: Vec<u32> = table(queues).collect();
            let entries = table.len() - table.len() % queues;
            for size in [entries, queues] {
                let mut share = vec![0_u32; queues];
                for hash in &hashes {
                    share[table[*hash as usize % size] as usize] += 1;
                }
                let fair = 65536 / queues as u32;
                assert!(share.iter().all(|n| n.abs_diff(fair) <= 1), "{share:?}");
            }
        }
    }

    #[test]
    fn one_queue_needs_nothing() {
        for queues in [0, 1] {
            let mut setup = Setup::new(queues, GrantRef(8), GrantRef(9));
            assert_eq!(setup.next_request(), None);
            assert_eq!(setup.outcome(), Some(Outcome::Needless));
        }
    }

    fn success(data: u32) -> Response {
        Response {
            status: CtrlStatus::Success,
            data,
        }
    }

    #[test]
    fn the_sequence() {
        use CtrlType::*;
        let mut setup = Setup::new(3, GrantRef(8), GrantRef(9));
        for (kind, data, answer) in [
            (SetHashAlgorithm, [1, 0, 0], 0),
            // Types that nobody knows are not asked for.
            (GetHashFlags, [0, 0, 0], 0xffff_fff7),
            (SetHashFlags, [0b0111, 0, 0], 0),
            (SetHashKey, [8, 40, 0], 0),
            (GetHashMappingSize, [0, 0, 0], 128),
            (SetHashMappingSize, [126, 0, 0], 0),
            (SetHashMapping, [9, 126, 0], 0),
        ] {
            assert_eq!(setup.outcome(), None);
            assert_eq!(setup.next_request(), Some(Request { kind, data }));
            assert_eq!(setup.next_request(), None, "one at a time");
            setup.on_response(success(answer));
        }
        let types = HashTypes::IPV4 | HashTypes::IPV4_TCP | HashTypes::IPV6;
        let entries = 126;
        assert_eq!(setup.outcome(), Some(Outcome::Steered { types, entries }));
        assert_eq!(setup.next_request(), None);
    }

    /// Answers everything with success but the given step. Returns what was asked.
    fn converse(mut setup: Setup, odd: CtrlType, answer: Response) -> (Vec<Request>, Outcome) {
        let mut asked = Vec::new();
        loop {
            if let Some(outcome) = setup.outcome() {
                return (asked, outcome);
            }
            let request = setup.next_request().expect("it isn't finished");
            asked.push(request);
            setup.on_response(if request.kind == odd {
                answer
            } else {
                success(u32::MAX)
            });
        }
    }

    #[test]
    fn what_is_refused_is_undone() {
        let steps = [
            CtrlType::SetHashAlgorithm,
            CtrlType::GetHashFlags,
            CtrlType::SetHashFlags,
            CtrlType::SetHashKey,
            CtrlType::GetHashMappingSize,
            CtrlType::SetHashMappingSize,
            CtrlType::SetHashMapping,
        ];
        let undo = Request {
            kind: CtrlType::SetHashAlgorithm,
            data: [HASH_ALGORITHM_NONE, 0, 0],
        };
        for (at, step) in steps.into_iter().enumerate() {
            for status in [CtrlStatus::InvalidParameter, CtrlStatus::Unknown(99)] {
                let setup = Setup::new(2, GrantRef(8), GrantRef(9));
                let (asked, outcome) = converse(setup, step, Response { status, data: 0 });
                assert_eq!(outcome, Outcome::Refused { step, status });
                let kinds: Vec<_> = asked.iter().take(at + 1).map(|ask| ask.kind).collect();
                assert_eq!(kinds, steps[..=at]);
                // There is nothing to be undone after the first.
                let undone: &[Request] = if at == 0 { &[] } else { &[undo] };
                assert_eq!(&asked[at + 1..], undone);
            }
        }
    }

    #[test]
    fn a_backend_that_hashes_nothing() {
        let setup = Setup::new(2, GrantRef(8), GrantRef(9));
        let (_, outcome) = converse(setup, CtrlType::GetHashFlags, success(0xf0));
        let expected = Outcome::Refused {
            step: CtrlType::GetHashFlags,
            status: CtrlStatus::NotSupported,
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn without_room_for_a_table_there_is_none() {
        for (room, expected) in [(0, 0), (3, 0), (4, 4), (7, 4), (128, 128), (1 << 31, 128)] {
            let setup = Setup::new(4, GrantRef(8), GrantRef(9));
            let (asked, outcome) = converse(setup, CtrlType::GetHashMappingSize, success(room));
            let types = HashTypes::all();
            let entries = expected;
            assert_eq!(outcome, Outcome::Steered { types, entries });
            let size = Request {
                kind: CtrlType::SetHashMappingSize,
                data: [entries, 0, 0],
            };
            assert!(asked.contains(&size));
            let table = asked.iter().any(|ask| ask.kind == CtrlType::SetHashMapping);
            assert_eq!(table, entries > 0);
        }
    }

    #[test]
    fn answers_that_nobody_asked_for_change_nothing() {
        let mut setup = Setup::new(2, GrantRef(8), GrantRef(9));
        setup.on_response(success(0));
        let request = setup.next_request().map(|request| request.kind);
        assert_eq!(request, Some(CtrlType::SetHashAlgorithm));
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
