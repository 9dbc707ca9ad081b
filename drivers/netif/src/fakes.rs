//! A backend in memory, for tests of frontends and of their users (feature `fake`).
//!
//! [`Backend`] moves frames as an honest backend does, and panics if the frontend breaks the
//! protocol. It can also be told to lie: [`Backend::answer_rx`], [`Backend::answer_tx`] and
//! [`Backend::poke`] put anything on the rings.

use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use xen_hal::fake::{FakeHal, PeerPage};
use xen_hal::{DomId, GrantRef, PAGE_SIZE, Port};
use xen_ring::FrontRing;

use crate::keys::{ControlInfo, Ports, QueueInfo};
use crate::messages::{
    CTRL_WORDS, Checksum, CtrlRequest, CtrlResponse, CtrlStatus, CtrlType, Extra, ExtraInfo, Gso,
    HASH_ALGORITHM_NONE, HASH_ALGORITHM_TOEPLITZ, HashTypes, MAX_HASH_MAPPING_SIZE, MAX_SLOTS,
    RSP_NULL, RSP_OKAY, RX_WORDS, RxFlags, RxRequest, RxResponse, TX_WORDS, TxFlags, TxRequest,
    TxResponse,
};
use crate::toeplitz::{KEY_LEN, toeplitz};

/// Words of a ring page, as ring.h has them.
const REQ_PROD: usize = 0;
const REQ_EVENT: usize = 1;
const RSP_PROD: usize = 2;
const RSP_EVENT: usize = 3;
const FIRST_SLOT: usize = 16;

/// The backend's half of a ring of `W`-word slots.
#[derive(Debug)]
struct BackRing<const W: usize> {
    page: PeerPage,
    req_cons: u32,
    rsp_prod: u32,
}

impl<const W: usize> BackRing<W> {
    const SLOTS: u32 = FrontRing::<W>::SLOTS;

    fn attach(page: PeerPage) -> Self {
        let start = page.get().words32()[REQ_PROD].load(Ordering::Relaxed);
        // Requests may be on the ring already; none has been answered.
        let answered = page.get().words32()[RSP_PROD].load(Ordering::Relaxed);
        assert!(
            start.wrapping_sub(answered) <= Self::SLOTS,
            "the frontend overran the ring"
        );
        Self {
            page,
            req_cons: answered,
            rsp_prod: answered,
        }
    }

    fn get(&self, word: usize) -> u32 {
        self.page.get().words32()[word].load(Ordering::Relaxed)
    }

    fn set(&self, word: usize, value: u32) {
        self.page.get_mut().words32()[word].store(value, Ordering::Relaxed);
    }

    fn waiting(&self) -> u32 {
        let waiting = self.get(REQ_PROD).wrapping_sub(self.req_cons);
        assert!(waiting <= Self::SLOTS, "the frontend overran the ring");
        waiting
    }

    fn peek(&self, ahead: u32) -> [u32; W] {
        let slot = (self.req_cons.wrapping_add(ahead) % Self::SLOTS) as usize;
        core::array::from_fn(|i| self.get(FIRST_SLOT + slot * W + i))
    }

    fn take(&mut self) -> Option<[u32; W]> {
        (self.waiting() > 0).then(|| {
            let words = self.peek(0);
            self.req_cons = self.req_cons.wrapping_add(1);
            words
        })
    }

    fn answer(&mut self, words: &[u32]) {
        let slot = (self.rsp_prod % Self::SLOTS) as usize;
        for (i, word) in words.iter().take(W).enumerate() {
            self.set(FIRST_SLOT + slot * W + i, *word);
        }
        self.rsp_prod = self.rsp_prod.wrapping_add(1);
    }

    /// `RING_PUSH_RESPONSES_AND_CHECK_NOTIFY`, then `RING_FINAL_CHECK_FOR_REQUESTS`.
    fn publish(&self) -> bool {
        let (old, new) = (self.get(RSP_PROD), self.rsp_prod);
        self.set(RSP_PROD, new);
        self.set(REQ_EVENT, self.req_cons.wrapping_add(1));
        new.wrapping_sub(self.get(RSP_EVENT)) < new.wrapping_sub(old)
    }
}

/// One of the two rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    /// The transmit ring.
    Tx,
    /// The receive ring.
    Rx,
}

/// A packet that a frontend sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// All of its bytes.
    pub bytes: Vec<u8>,
    /// Its checksum state.
    pub checksum: Checksum,
    /// How it is to be cut.
    pub gso: Option<Gso>,
    /// The ids of its requests; there is an extra info after the first if it is to be cut.
    pub ids: Vec<u16>,
    /// The pages that it was in.
    pub grefs: Vec<GrantRef>,
}

/// How a packet is delivered.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The length of each of its fragments; the last ends with the packet.
    pub fragment: usize,
    /// Where fragments start in their pages.
    pub offset: usize,
    /// `NETRXF_data_validated` and `NETRXF_csum_blank`.
    pub flags: RxFlags,
    /// Extra infos after the first fragment.
    pub extras: Vec<Extra>,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            fragment: PAGE_SIZE,
            offset: 0,
            flags: RxFlags::empty(),
            extras: Vec::new(),
        }
    }
}

/// The other end of a queue.
#[derive(Debug)]
pub struct Backend {
    hal: FakeHal,
    domain: DomId,
    ports: Ports,
    tx: BackRing<TX_WORDS>,
    rx: BackRing<RX_WORDS>,
}

impl Backend {
    /// Connects to a queue, as domain `domain`.
    ///
    /// # Panics
    /// If the rings aren't granted to that domain.
    #[must_use]
    pub fn connect(hal: FakeHal, domain: DomId, info: QueueInfo) -> Self {
        let ring = |gref| hal.peer_page(domain, gref).expect("the ring is granted");
        Self {
            hal,
            domain,
            ports: info.ports,
            tx: BackRing::attach(ring(info.tx_ring)),
            rx: BackRing::attach(ring(info.rx_ring)),
        }
    }

    /// Receive requests that wait for packets.
    ///
    /// # Panics
    /// If the frontend overran the ring.
    #[must_use]
    pub fn rx_waiting(&self) -> usize {
        self.rx.waiting() as usize
    }

    /// Delivers a packet in one slot for each page; `false` if there are too few.
    pub fn deliver(&mut self, bytes: &[u8]) -> bool {
        self.deliver_as(bytes, &Delivery::default())
    }

    /// Delivers a packet; `false` if there are too few requests.
    ///
    /// # Panics
    /// If the frontend broke the protocol.
    pub fn deliver_as(&mut self, bytes: &[u8], how: &Delivery) -> bool {
        let parts = bytes.len().div_ceil(how.fragment);
        if parts == 0 || self.rx_waiting() < parts + how.extras.len() {
            return false;
        }
        for (i, part) in bytes.chunks(how.fragment).enumerate() {
            let request = RxRequest::decode(self.rx.take().expect("it was counted"));
            let page = self.page(request.gref).expect("a granted receive page");
            assert_eq!(page.get_mut().write(how.offset, part), part.len());
            let mut flags = RxFlags::empty();
            flags.set(RxFlags::MORE_DATA, i + 1 < parts);
            if i == 0 {
                flags |= how.flags;
                flags.set(RxFlags::EXTRA_INFO, !how.extras.is_empty());
            }
            let status = i16::try_from(part.len()).expect("a page at most");
            let offset = u16::try_from(how.offset).expect("in a page");
            self.rx.answer(
                &RxResponse {
                    id: request.id,
                    offset,
                    flags,
                    status,
                }
                .encode(),
            );
            if i == 0 {
                for (n, extra) in how.extras.iter().enumerate() {
                    let _request = self.rx.take().expect("it was counted");
                    let more = n + 1 < how.extras.len();
                    self.rx.answer(
                        &ExtraInfo {
                            extra: *extra,
                            more,
                        }
                        .encode(),
                    );
                }
            }
        }
        true
    }

    /// Takes the next packet that was sent, without answering.
    ///
    /// # Panics
    /// If the frontend broke the protocol.
    pub fn take_sent(&mut self) -> Option<Sent> {
        let first = TxRequest::decode(self.tx.take()?);
        let total = usize::from(first.size);
        let mut gso = None;
        let mut more = first.flags.contains(TxFlags::EXTRA_INFO);
        while more {
            let [a, b, _] = self.tx.take().expect("an extra info was announced");
            let extra = ExtraInfo::decode([a, b]).expect("a good extra info");
            more = extra.more;
            if let Extra::Gso(it) = extra.extra {
                gso = Some(it);
            }
        }
        let mut parts = vec![first];
        while parts
            .last()
            .is_some_and(|part| part.flags.contains(TxFlags::MORE_DATA))
        {
            let part = TxRequest::decode(self.tx.take().expect("more data was announced"));
            assert!(
                !part.flags.contains(TxFlags::EXTRA_INFO),
                "extra info in the middle"
            );
            parts.push(part);
        }
        assert!(parts.len() <= MAX_SLOTS, "too many slots");
        let others: usize = parts[1..].iter().map(|part| usize::from(part.size)).sum();
        assert!(others < total, "fragments are longer than the packet");
        let mut bytes = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            let size = if i == 0 {
                total - others
            } else {
                usize::from(part.size)
            };
            let offset = usize::from(part.offset);
            assert!(
                size > 0 && offset + size <= PAGE_SIZE,
                "a fragment crosses its page"
            );
            let page = self.page(part.gref).expect("a granted transmit page");
            let mut data = vec![0; size];
            assert_eq!(page.get().read(offset, &mut data), size);
            bytes.extend(data);
        }
        Some(Sent {
            bytes,
            checksum: Checksum::from_bits_truncate((first.flags.bits() & 3) as u8),
            gso,
            ids: parts.iter().map(|part| part.id).collect(),
            grefs: parts.iter().map(|part| part.gref).collect(),
        })
    }

    /// Answers all requests of a packet.
    pub fn complete(&mut self, sent: &Sent, status: i16) {
        for (i, id) in sent.ids.iter().enumerate() {
            self.tx.answer(&TxResponse { id: *id, status }.encode());
            if i == 0 && sent.gso.is_some() {
                self.tx.answer(
                    &TxResponse {
                        id: 0,
                        status: RSP_NULL,
                    }
                    .encode(),
                );
            }
        }
    }

    /// Takes and answers all packets that were sent.
    pub fn transmit(&mut self) -> Vec<Sent> {
        let mut all = Vec::new();
        while let Some(sent) = self.take_sent() {
            self.complete(&sent, RSP_OKAY);
            all.push(sent);
        }
        all
    }

    /// Answers up to `max` transmit requests without looking at them: for benchmarks.
    pub fn drain(&mut self, max: usize) -> usize {
        let mut done = 0;
        while done < max
            && let Some(words) = self.tx.take()
        {
            let id = TxRequest::decode(words).id;
            self.tx.answer(
                &TxResponse {
                    id,
                    status: RSP_OKAY,
                }
                .encode(),
            );
            done += 1;
        }
        done
    }

    /// Answers up to `max` receive requests with frames of `len` bytes, and leaves what is in
    /// the pages: for benchmarks.
    pub fn flood(&mut self, max: usize, len: i16) -> usize {
        let mut done = 0;
        while done < max
            && let Some(words) = self.rx.take()
        {
            let id = RxRequest::decode(words).id;
            let flags = RxFlags::empty();
            self.rx.answer(
                &RxResponse {
                    id,
                    offset: 0,
                    flags,
                    status: len,
                }
                .encode(),
            );
            done += 1;
        }
        done
    }

    /// Shows the frontend all answers, and sends the events it asked for.
    pub fn publish(&mut self) {
        let (from_tx, from_rx) = (self.tx.publish(), self.rx.publish());
        let (tx, rx) = match self.ports {
            Ports::Shared(port) => (port, port),
            Ports::Split { tx, rx } => (tx, rx),
        };
        if from_tx {
            self.hal.raise(tx);
        }
        if from_rx {
            self.hal.raise(rx);
        }
    }

    /// Takes a receive request and leaves it to the caller to answer.
    pub fn take_rx(&mut self) -> Option<RxRequest> {
        self.rx.take().map(RxRequest::decode)
    }

    /// Answers on the receive ring, whether there was a request or not.
    pub fn answer_rx(&mut self, words: [u32; RX_WORDS]) {
        self.rx.answer(&words);
    }

    /// Answers on the transmit ring, whether there was a request or not.
    pub fn answer_tx(&mut self, words: [u32; 1]) {
        self.tx.answer(&words);
    }

    /// Writes any word of a ring page.
    pub fn poke(&mut self, ring: Ring, word: usize, value: u32) {
        match ring {
            Ring::Tx => self.tx.set(word % (PAGE_SIZE / 4), value),
            Ring::Rx => self.rx.set(word % (PAGE_SIZE / 4), value),
        }
    }

    /// Sets the producer's index of a ring, which the frontend sees at once.
    pub fn set_index(&mut self, ring: Ring, value: u32) {
        self.poke(ring, RSP_PROD, value);
    }

    /// The producer's index of a ring, as an honest backend has it.
    #[must_use]
    pub fn index(&self, ring: Ring) -> u32 {
        match ring {
            Ring::Tx => self.tx.rsp_prod,
            Ring::Rx => self.rx.rsp_prod,
        }
    }

    /// A page that the frontend granted to this domain.
    #[must_use]
    pub fn page(&self, gref: GrantRef) -> Option<PeerPage> {
        self.hal.peer_page(self.domain, gref)
    }
}

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

    /// Does what is asked as an honest backend, and answers. Returns how many requests there
    /// were.
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
    /// A backend of so many queues that wasn't told anything.
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

    /// The queue of a packet of which `input` is hashed; `None` if it isn't by hash.
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
