//! The protocol by which a backend is configured to choose queues by a Toeplitz hash of the flow
//! (netif.h, "Hash types" and following): requests and responses, independent of the ring.
//!
//! A backend that isn't configured chooses on its own.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use core::num::NonZeroU32;

use netif::messages::{
    CtrlStatus, CtrlType, HASH_ALGORITHM_NONE, HASH_ALGORITHM_TOEPLITZ, HashTypes,
    MAX_HASH_MAPPING_SIZE,
};
use netif::toeplitz::KEY_LEN;
use xen_hal::GrantRef;

use crate::control::{Request, Response};

/// Returns the hash mapping, for its page: a queue for each entry, as 32-bit words. Every queue has
/// as many of the first `n` entries as any other, if `n` is a multiple of their number.
pub(crate) fn hash_mapping(queues: usize) -> impl Iterator<Item = u32> {
    (0..MAX_HASH_MAPPING_SIZE).map(move |entry| entry % divisor(queues))
}

/// Returns the number of queues, so that it can be divided by.
fn divisor(queues: usize) -> NonZeroU32 {
    let queues = u32::try_from(queues).unwrap_or(u32::MAX);
    NonZeroU32::new(queues).unwrap_or(NonZeroU32::MIN)
}

/// The outcome of an [`RssSession`](crate::RssSession).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RssOutcome {
    /// The backend chooses queues by hash.
    Configured {
        /// The hash types; other packets have hash 0.
        types: HashTypes,
        /// Entries of the hash mapping; with none, the queue is the hash modulo the number of
        /// queues.
        entries: u32,
    },
    /// The backend refused a request, and chooses queues on its own.
    Refused {
        /// The request.
        step: CtrlType,
        /// The status. Also [`CtrlStatus::NotSupported`] if it supports none of [`HashTypes`].
        status: CtrlStatus,
    },
    /// There is a single queue, so nothing was requested.
    SingleQueue,
}

impl core::fmt::Display for RssOutcome {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            RssOutcome::Configured { .. } => f.write_str("queues are chosen by flow"),
            RssOutcome::Refused { step, status } => {
                write!(f, "queues are chosen by the backend ({step:?}: {status})")
            }
            RssOutcome::SingleQueue => f.write_str("there is a single queue"),
        }
    }
}

/// The requests and responses, one by one. [`RssSetup::next_request`] and [`RssSetup::on_response`]
/// take turns until there is an [`RssSetup::outcome`].
///
/// It must start once the backend is `XenbusStateConnected`: before that, the backend may not know
/// the number of queues, and refuse the hash mapping.
#[derive(Debug)]
pub(crate) struct RssSetup {
    queues: NonZeroU32,
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
    Finished(RssOutcome),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Do(CtrlType),
    /// A partial configuration is worse than none: with flags but no key, all hashes are 0. So the
    /// algorithm is reset.
    Undo(RssOutcome),
}

impl RssSetup {
    /// For a vif with this many queues. The pages start with [`KEY`](netif::toeplitz::KEY) and with
    /// [`hash_mapping`], and stay granted until the end; the backend needs only to read them.
    #[must_use]
    pub(crate) fn new(queues: usize, key: GrantRef, mapping: GrantRef) -> Self {
        let state = if queues > 1 {
            State::Ask(Step::Do(CtrlType::SetHashAlgorithm))
        } else {
            State::Finished(RssOutcome::SingleQueue)
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

    /// Returns the request to be sent now, if there is one.
    pub(crate) fn next_request(&mut self) -> Option<Request> {
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
    pub(crate) fn on_response(&mut self, response: Response) {
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
            Ok(None) => State::Finished(RssOutcome::Configured {
                types: self.types,
                entries: self.entries,
            }),
            Err(status) => {
                let outcome = RssOutcome::Refused { step, status };
                match step {
                    CtrlType::SetHashAlgorithm => State::Finished(outcome),
                    _ => State::Ask(Step::Undo(outcome)),
                }
            }
        };
    }

    /// Returns the step after this one, `None` after the last.
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
                let room = response.data.min(MAX_HASH_MAPPING_SIZE);
                self.entries = room.saturating_sub(room % self.queues);
                Some(CtrlType::SetHashMappingSize)
            }
            CtrlType::SetHashMappingSize if self.entries > 0 => Some(CtrlType::SetHashMapping),
            _ => None,
        })
    }

    /// Returns the outcome, once there is one.
    #[must_use]
    pub(crate) fn outcome(&self) -> Option<RssOutcome> {
        match self.state {
            State::Finished(outcome) => Some(outcome),
            State::Ask(_) | State::Wait(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::vec;
    use alloc::vec::Vec;

    use netif::MAX_QUEUES;
    use netif::toeplitz::{KEY, toeplitz};

    use super::*;

    /// Over all sums of words that there are, each queue has as many, whatever their number.
    #[test]
    fn every_queue_has_its_share() {
        let hashes: Vec<u32> = (0..=u16::MAX)
            .map(|sum| toeplitz(&KEY, &sum.to_be_bytes()))
            .collect();
        for queues in 2..=MAX_QUEUES {
            let table: Vec<u32> = hash_mapping(queues).collect();
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
            let mut setup = RssSetup::new(queues, GrantRef(8), GrantRef(9));
            assert_eq!(setup.next_request(), None);
            assert_eq!(setup.outcome(), Some(RssOutcome::SingleQueue));
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
        let mut setup = RssSetup::new(3, GrantRef(8), GrantRef(9));
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
        assert_eq!(
            setup.outcome(),
            Some(RssOutcome::Configured { types, entries })
        );
        assert_eq!(setup.next_request(), None);
    }

    /// Answers everything with success but the given step. Returns what was asked.
    fn converse(
        mut setup: RssSetup,
        odd: CtrlType,
        answer: Response,
    ) -> (Vec<Request>, RssOutcome) {
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
                let setup = RssSetup::new(2, GrantRef(8), GrantRef(9));
                let (asked, outcome) = converse(setup, step, Response { status, data: 0 });
                assert_eq!(outcome, RssOutcome::Refused { step, status });
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
        let setup = RssSetup::new(2, GrantRef(8), GrantRef(9));
        let (_, outcome) = converse(setup, CtrlType::GetHashFlags, success(0xf0));
        let expected = RssOutcome::Refused {
            step: CtrlType::GetHashFlags,
            status: CtrlStatus::NotSupported,
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn without_room_for_a_table_there_is_none() {
        for (room, expected) in [(0, 0), (3, 0), (4, 4), (7, 4), (128, 128), (1 << 31, 128)] {
            let setup = RssSetup::new(4, GrantRef(8), GrantRef(9));
            let (asked, outcome) = converse(setup, CtrlType::GetHashMappingSize, success(room));
            let types = HashTypes::all();
            let entries = expected;
            assert_eq!(outcome, RssOutcome::Configured { types, entries });
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
        let mut setup = RssSetup::new(2, GrantRef(8), GrantRef(9));
        setup.on_response(success(0));
        let request = setup.next_request().map(|request| request.kind);
        assert_eq!(request, Some(CtrlType::SetHashAlgorithm));
    }
}
