//! The backend's half of a ring.

use core::sync::atomic::Ordering;

use xen_hal::fake::PeerPage;
use xen_ring::FrontRing;

/// Words of a ring page, as ring.h has them.
const REQ_PROD: usize = 0;
const REQ_EVENT: usize = 1;
pub(super) const RSP_PROD: usize = 2;
const RSP_EVENT: usize = 3;
const FIRST_SLOT: usize = 16;

/// The backend's half of a ring of `W`-word slots.
#[derive(Debug)]
pub(super) struct BackRing<const W: usize> {
    page: PeerPage,
    req_cons: u32,
    pub(super) rsp_prod: u32,
}

impl<const W: usize> BackRing<W> {
    pub(super) const SLOTS: u32 = FrontRing::<W>::SLOTS;

    pub(super) fn attach(page: PeerPage) -> Self {
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

    pub(super) fn get(&self, word: usize) -> u32 {
        self.page.get().words32()[word].load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, word: usize, value: u32) {
        self.page.get_mut().words32()[word].store(value, Ordering::Relaxed);
    }

    pub(super) fn waiting(&self) -> u32 {
        let waiting = self.get(REQ_PROD).wrapping_sub(self.req_cons);
        assert!(waiting <= Self::SLOTS, "the frontend overran the ring");
        waiting
    }

    pub(super) fn peek(&self, ahead: u32) -> [u32; W] {
        let slot = (self.req_cons.wrapping_add(ahead) % Self::SLOTS) as usize;
        core::array::from_fn(|i| self.get(FIRST_SLOT + slot * W + i))
    }

    pub(super) fn take(&mut self) -> Option<[u32; W]> {
        (self.waiting() > 0).then(|| {
            let words = self.peek(0);
            self.req_cons = self.req_cons.wrapping_add(1);
            words
        })
    }

    pub(super) fn answer(&mut self, words: &[u32]) {
        let slot = (self.rsp_prod % Self::SLOTS) as usize;
        for (i, word) in words.iter().take(W).enumerate() {
            self.set(FIRST_SLOT + slot * W + i, *word);
        }
        self.rsp_prod = self.rsp_prod.wrapping_add(1);
    }

    /// `RING_PUSH_RESPONSES_AND_CHECK_NOTIFY`, then `RING_FINAL_CHECK_FOR_REQUESTS`.
    pub(super) fn publish(&self) -> bool {
        let (old, new) = (self.get(RSP_PROD), self.rsp_prod);
        self.set(RSP_PROD, new);
        self.set(REQ_EVENT, self.req_cons.wrapping_add(1));
        new.wrapping_sub(self.get(RSP_EVENT)) < new.wrapping_sub(old)
    }
}
