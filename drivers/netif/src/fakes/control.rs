//! The other end of a control ring, and what is asked for there.

use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use xen_hal::fake::{FakeHal, PeerPage};
use xen_hal::{DomId, GrantRef, Port};

use super::back_ring::{BackRing, RSP_PROD};
use crate::keys::ControlInfo;
use crate::messages::{
    CTRL_WORDS, CtrlRequest, CtrlResponse, CtrlStatus, CtrlType, HASH_ALGORITHM_NONE,
    HASH_ALGORITHM_TOEPLITZ, HashTypes, MAX_HASH_MAPPING_SIZE,
};
use crate::toeplitz::{KEY_LEN, toeplitz};

/// The other end of a control ring.
#[derive(Debug)]
pub struct ControlBackend {
    hal: FakeHal,
    domain: DomId,
    port: Port,
    ring: BackRing<CTRL_WORDS>,
}

impl ControlBackend {
    /// Connects to a control ring, as domain `domain`.
    ///
    /// # Panics
    /// If the ring isn't granted to that domain.
    #[must_use]
    pub fn connect(hal: FakeHal, domain: DomId, info: ControlInfo) -> Self {
        let page = hal.peer_page(domain, info.ring);
        Self {
            hal,
            domain,
            port: info.port,
            ring: BackRing::attach(page.expect("the ring is granted")),
        }
    }

    /// Takes the next request.
    ///
    /// # Panics
    /// If the frontend overran the ring.
    pub fn take(&mut self) -> Option<CtrlRequest> {
        self.ring.take().map(CtrlRequest::decode)
    }

    /// Answers, whether there was a request or not. Seen by the frontend after
    /// [`ControlBackend::publish`].
    pub fn answer(&mut self, response: CtrlResponse) {
        self.answer_words(response.encode());
    }

    /// Answers with any words.
    pub fn answer_words(&mut self, words: [u32; 3]) {
        self.ring.answer(&words);
    }

    /// Shows the frontend all answers, and sends the event if it asked for one.
    pub fn publish(&mut self) {
        if self.ring.publish() {
            self.hal.raise(self.port);
        }
    }

    /// Sets the producer's index, which the frontend sees at once.
    pub fn set_index(&mut self, value: u32) {
        self.ring.set(RSP_PROD, value);
    }

    /// Does what is asked as an honest backend, and answers. Returns the number of requests.
    pub fn serve(&mut self, hashing: &mut Hashing) -> usize {
        let mut served = 0;
        while let Some(request) = self.take() {
            let page = |gref| self.hal.peer_page(self.domain, GrantRef(gref));
            let (status, data) = match hashing.apply(request, page) {
                Ok(data) => (CtrlStatus::Success, data),
                Err(status) => (status, 0),
            };
            self.answer(CtrlResponse {
                id: request.id,
                kind: request.kind,
                status,
                data,
            });
            served += 1;
        }
        self.publish();
        served
    }
}

/// How a backend chooses queues, as it was told over the control ring.
#[derive(Clone, Debug)]
pub struct Hashing {
    /// Queues of the vif.
    pub queues: u32,
    /// The most entries of the table; 0 if it has none.
    pub max_entries: u32,
    /// What it says not to support.
    pub refuse: Option<CtrlType>,
    /// `HASH_ALGORITHM_*`.
    pub algorithm: u32,
    /// What it hashes.
    pub types: HashTypes,
    /// The key.
    pub key: Vec<u8>,
    /// The table.
    pub mapping: Vec<u32>,
}

impl Hashing {
    /// Creates a backend of this many queues that wasn't told anything.
    #[must_use]
    pub fn new(queues: u32) -> Self {
        Self {
            queues,
            max_entries: MAX_HASH_MAPPING_SIZE,
            refuse: None,
            algorithm: HASH_ALGORITHM_NONE,
            types: HashTypes::empty(),
            key: Vec::new(),
            mapping: Vec::new(),
        }
    }

    /// Returns the queue of a packet of which `input` is hashed; `None` if it isn't by hash.
    #[must_use]
    pub fn queue_of(&self, input: &[u8]) -> Option<u32> {
        if self.algorithm == HASH_ALGORITHM_NONE || self.types.is_empty() {
            return None;
        }
        let hash = toeplitz(&self.key, input);
        let index = hash as usize % self.mapping.len().max(1);
        Some(
            self.mapping
                .get(index)
                .map_or(hash % self.queues, |queue| *queue),
        )
    }

    /// Does what one request asks, as netif.h says. Pages that were granted are read with `page`.
    fn apply(
        &mut self,
        request: CtrlRequest,
        page: impl Fn(u32) -> Option<PeerPage>,
    ) -> Result<u32, CtrlStatus> {
        const TYPES: [CtrlType; 7] = [
            CtrlType::GetHashFlags,
            CtrlType::SetHashFlags,
            CtrlType::SetHashKey,
            CtrlType::GetHashMappingSize,
            CtrlType::SetHashMappingSize,
            CtrlType::SetHashMapping,
            CtrlType::SetHashAlgorithm,
        ];
        let kind = TYPES.into_iter().find(|kind| *kind as u16 == request.kind);
        let kind = kind.filter(|kind| self.refuse != Some(*kind));
        let [first, second, third] = request.data;
        let invalid = CtrlStatus::InvalidParameter;
        let hashes = self.algorithm != HASH_ALGORITHM_NONE;
        match kind.ok_or(CtrlStatus::NotSupported)? {
            CtrlType::SetHashAlgorithm => {
                if first > HASH_ALGORITHM_TOEPLITZ {
                    return Err(invalid);
                }
                self.algorithm = first;
            }
            CtrlType::GetHashFlags if hashes => return Ok(HashTypes::all().bits()),
            CtrlType::SetHashFlags if hashes => {
                self.types = HashTypes::from_bits(first).ok_or(invalid)?;
            }
            CtrlType::SetHashKey => {
                if second as usize > KEY_LEN {
                    return Err(CtrlStatus::BufferOverflow);
                }
                let mut key = vec![0; second as usize];
                page(first).ok_or(invalid)?.get().read(0, &mut key);
                self.key = key;
            }
            CtrlType::GetHashMappingSize => return Ok(self.max_entries),
            CtrlType::SetHashMappingSize => {
                if first > self.max_entries {
                    return Err(invalid);
                }
                self.mapping = vec![0; first as usize];
            }
            CtrlType::SetHashMapping => {
                let start = third as usize;
                let entries = start
                    .checked_add(second as usize)
                    .and_then(|end| self.mapping.get_mut(start..end))
                    .ok_or(invalid)?;
                let page = page(first).ok_or(invalid)?;
                for (cell, entry) in page.get().words32().iter().zip(entries) {
                    *entry = cell.load(Ordering::Relaxed);
                    if *entry >= self.queues {
                        return Err(invalid);
                    }
                }
            }
            _ => return Err(invalid),
        }
        Ok(0)
    }
}
