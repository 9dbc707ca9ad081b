//! The backend's end of a queue.

use alloc::vec;
use alloc::vec::Vec;

use xen_hal::fake::{FakeHal, PeerPage};
use xen_hal::{DomId, GrantRef, PAGE_SIZE};

use super::back_ring::{BackRing, RSP_PROD};
use crate::keys::{Ports, QueueInfo};
use crate::messages::{
    Checksum, Extra, ExtraInfo, Gso, MAX_SLOTS, RSP_NULL, RSP_OKAY, RX_WORDS, RxFlags, RxRequest,
    RxResponse, TX_WORDS, TxFlags, TxRequest, TxResponse,
};

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
    /// Its segmentation.
    pub gso: Option<Gso>,
    /// The ids of its requests; a large packet has an extra info after the first.
    pub ids: Vec<u16>,
    /// The pages that it was in.
    pub grefs: Vec<GrantRef>,
}

/// The way in which a packet is delivered.
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

/// The backend's end of a queue.
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

    /// Returns the number of unanswered receive requests.
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

    /// Completes all requests of a packet with a status.
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

    /// Returns the producer's index of a ring that an honest backend would have.
    #[must_use]
    pub fn index(&self, ring: Ring) -> u32 {
        match ring {
            Ring::Tx => self.tx.rsp_prod,
            Ring::Rx => self.rx.rsp_prod,
        }
    }

    /// Returns a page that the frontend granted to this domain.
    #[must_use]
    pub fn page(&self, gref: GrantRef) -> Option<PeerPage> {
        self.hal.peer_page(self.domain, gref)
    }
}
