//! The frontend's half of a request and response ring (io/ring.h).

use core::sync::atomic::{AtomicU32, Ordering, fence};

use xen_hal::{PAGE_SIZE, SharedPage};

use crate::Corrupt;

/// Words of `struct *_sring`: `req_prod, req_event, rsp_prod, rsp_event`.
const REQ_PROD: usize = 0;
const REQ_EVENT: usize = 1;
const RSP_PROD: usize = 2;
const RSP_EVENT: usize = 3;
/// The offset of the slots in words: four indices, `pvt` and `__pad` are 64 bytes.
const FIRST_SLOT: usize = 64 / 4;
/// Words of the largest slot that is supported, so that every index is provably in the page.
const WORDS: usize = PAGE_SIZE / 4;

/// Error returned when there is no free slot for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl core::fmt::Display for Full {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no free slot in the ring")
    }
}

impl core::error::Error for Full {}

/// A ring of requests and responses whose slots are `W` 32-bit words, in one page.
///
/// Requests are pushed privately and published to the peer by [`FrontRing::publish`].
/// [`FrontRing::responses`] returns the number of responses, [`FrontRing::response`] loads one, and
/// [`FrontRing::consume`] frees their slots.
///
/// All indices run freely and wrap at 2^32, as in ring.h.
#[derive(Debug)]
pub struct FrontRing<const W: usize> {
    page: SharedPage,
    /// Requests pushed (`req_prod_pvt`).
    pushed: u32,
    /// Requests published: the last value of the shared `req_prod`.
    published: u32,
    /// Responses consumed (`rsp_cons`).
    consumed: u32,
    /// The value of `pushed` when the ring is full: `consumed` plus the number of slots.
    limit: u32,
}

impl<const W: usize> FrontRing<W> {
    /// The number of slots: as many as fit, rounded down to a power of two (`RING_SIZE`).
    pub const SLOTS: u32 = {
        assert!(W > 0 && W < 64, "slots of 1 to 63 words");
        1 << ((WORDS - FIRST_SLOT) / W).ilog2()
    };

    /// The bits of an index that select its slot.
    const MASK: u32 = Self::SLOTS - 1;

    /// Initialises `page` as an empty ring (`XEN_FRONT_RING_INIT`).
    #[must_use]
    pub fn new(page: SharedPage) -> Self {
        Self::starting_at(page, 0)
    }

    /// Like [`FrontRing::new`], with all indices at `start` (`FRONT_RING_ATTACH`). A peer that
    /// starts at 0 expects 0; tests use other values to test wrapping.
    #[must_use]
    pub fn starting_at(page: SharedPage, start: u32) -> Self {
        page.clear();
        let words = page.words32();
        words[REQ_PROD].store(start, Ordering::Relaxed);
        words[RSP_PROD].store(start, Ordering::Relaxed);
        words[REQ_EVENT].store(start.wrapping_add(1), Ordering::Relaxed);
        words[RSP_EVENT].store(start.wrapping_add(1), Ordering::Relaxed);
        Self {
            page,
            pushed: start,
            published: start,
            consumed: start,
            limit: start.wrapping_add(Self::SLOTS),
        }
    }

    /// Returns the shared page.
    #[must_use]
    pub fn page(&self) -> &SharedPage {
        &self.page
    }

    /// Returns the page, to be freed.
    #[must_use]
    pub fn into_page(self) -> SharedPage {
        self.page
    }

    /// Returns the number of slots that are free for requests (`RING_FREE_REQUESTS`).
    #[must_use]
    #[inline]
    pub fn free_slots(&self) -> u32 {
        self.limit.wrapping_sub(self.pushed)
    }

    /// Returns the number of requests pushed whose responses have not been consumed.
    #[must_use]
    #[inline]
    pub fn outstanding(&self) -> u32 {
        self.pushed.wrapping_sub(self.consumed)
    }

    /// Returns the number of requests pushed but not yet published.
    #[must_use]
    #[inline]
    pub fn unpublished(&self) -> u32 {
        self.pushed.wrapping_sub(self.published)
    }

    /// Returns the index that the next pushed request gets (`req_prod_pvt`). Its slot is the index
    /// modulo [`FrontRing::SLOTS`].
    #[must_use]
    #[inline]
    pub fn next_request(&self) -> u32 {
        self.pushed
    }

    /// Returns the index of the first response that was not consumed (`rsp_cons`).
    #[must_use]
    #[inline]
    pub fn next_response(&self) -> u32 {
        self.consumed
    }

    /// Writes a request into the next slot; it becomes visible to the peer with
    /// [`FrontRing::publish`]. Returns its index.
    ///
    /// # Errors
    /// [`Full`].
    #[inline]
    pub fn push(&mut self, request: [u32; W]) -> Result<u32, Full> {
        if self.pushed == self.limit {
            return Err(Full);
        }
        let index = self.pushed;
        self.store(index, request);
        self.pushed = index.wrapping_add(1);
        Ok(index)
    }

    /// Pushes `most` requests, or fewer if there are no more free slots or `request` has none for
    /// the index it is given. Returns the number of requests pushed.
    #[inline]
    pub fn fill(&mut self, most: u32, mut request: impl FnMut(u32) -> Option<[u32; W]>) -> u32 {
        let start = self.pushed;
        let end = start.wrapping_add(most.min(self.free_slots()));
        let mut index = start;
        while index != end {
            let Some(words) = request(index) else { break };
            self.store(index, words);
            index = index.wrapping_add(1);
        }
        self.pushed = index;
        index.wrapping_sub(start)
    }

    /// Publishes all pushed requests to the peer. Returns `true` if the peer asked to be notified
    /// (`RING_PUSH_REQUESTS_AND_CHECK_NOTIFY`).
    #[must_use = "the peer may sleep until it is notified"]
    #[inline]
    pub fn publish(&mut self) -> bool {
        let old = self.published;
        let new = self.pushed;
        if old == new {
            return false;
        }
        let words = self.page.words32();
        // xen_wmb: the peer sees the requests before the index.
        fence(Ordering::Release);
        words[REQ_PROD].store(new, Ordering::Relaxed);
        self.published = new;
        // xen_mb: the peer sees the index before its req_event is read.
        fence(Ordering::SeqCst);
        let event = words[REQ_EVENT].load(Ordering::Relaxed);
        new.wrapping_sub(event) < new.wrapping_sub(old)
    }

    /// Returns the number of responses to be consumed (`RING_HAS_UNCONSUMED_RESPONSES`).
    ///
    /// # Errors
    /// [`Corrupt`] if the peer claims to have answered more requests than were published
    /// (`RING_RESPONSE_PROD_OVERFLOW`, but compared with published requests rather than the size of
    /// the ring).
    #[inline]
    pub fn responses(&self) -> Result<u32, Corrupt> {
        let produced = self.page.words32()[RSP_PROD].load(Ordering::Relaxed);
        // xen_rmb: responses are read after the index.
        fence(Ordering::Acquire);
        let claimed = produced.wrapping_sub(self.consumed);
        let limit = self.published.wrapping_sub(self.consumed);
        if claimed > limit {
            Err(Corrupt { claimed, limit })
        } else {
            Ok(claimed)
        }
    }

    /// Loads the first `N` words of the response `index` (`RING_COPY_RESPONSE`), each once.
    ///
    /// Indices start at [`FrontRing::next_response`]; only as many as [`FrontRing::responses`]
    /// returned are valid.
    #[must_use]
    #[inline]
    pub fn response<const N: usize>(&self, index: u32) -> [u32; N] {
        const { assert!(N <= W, "a response is no longer than its slot") }
        let slot = self.slot(index);
        core::array::from_fn(|i| slot.get(i).map_or(0, |cell| cell.load(Ordering::Relaxed)))
    }

    /// Frees the slots of the next `count` responses for requests.
    #[inline]
    pub fn consume(&mut self, count: u32) {
        let published = self.published.wrapping_sub(self.consumed);
        debug_assert!(count <= published, "consumed what was not there");
        self.consumed = self.consumed.wrapping_add(count.min(published));
        self.limit = self.consumed.wrapping_add(Self::SLOTS);
    }

    /// Requests a notification when response number `ahead`, counted from the first that isn't
    /// consumed, arrives (1: the next one), and checks whether it has arrived already
    /// (`RING_FINAL_CHECK_FOR_RESPONSES` for 1). If it returns `true`, there may be no event.
    ///
    /// # Errors
    /// [`Corrupt`], as for [`FrontRing::responses`].
    #[inline]
    pub fn arm(&self, ahead: u32) -> Result<bool, Corrupt> {
        if self.responses()? >= ahead {
            return Ok(true);
        }
        let event = self.consumed.wrapping_add(ahead);
        self.page.words32()[RSP_EVENT].store(event, Ordering::Relaxed);
        // xen_mb: the peer sees rsp_event before its index is read for the last time.
        fence(Ordering::SeqCst);
        Ok(self.responses()? >= ahead)
    }

    /// Requests no notifications until [`FrontRing::arm`] is called.
    ///
    /// An event index that lies behind the producer is reached only after 2^32 responses.
    #[inline]
    pub fn disarm(&self) {
        self.page.words32()[RSP_EVENT].store(self.consumed, Ordering::Relaxed);
    }

    /// Returns the words of a slot. The mask keeps the index in bounds.
    #[inline]
    fn slot(&self, index: u32) -> &[AtomicU32] {
        let (_, slots) = self.page.words32().split_at(FIRST_SLOT);
        let slot = slots.as_chunks::<W>().0.get((index & Self::MASK) as usize);
        slot.map_or(&[], |slot| slot)
    }

    #[inline]
    fn store(&self, index: u32, words: [u32; W]) {
        for (cell, word) in self.slot(index).iter().zip(words) {
            cell.store(word, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::collections::VecDeque;
    use alloc::vec::Vec;

    use proptest::prelude::*;
    use xen_hal::Hal;
    use xen_hal::fake::FakeHal;

    use super::*;

    /// Close enough to the wrap that every test crosses it.
    const NEAR_WRAP: u32 = 0xffff_fff0;

    fn ring<const W: usize>(start: u32) -> FrontRing<W> {
        FrontRing::starting_at(FakeHal::new().alloc_page().unwrap(), start)
    }

    fn shared<const W: usize>(ring: &FrontRing<W>, word: usize) -> u32 {
        ring.page().words32()[word].load(Ordering::Relaxed)
    }

    fn set<const W: usize>(ring: &FrontRing<W>, word: usize, value: u32) {
        ring.page().words32()[word].store(value, Ordering::Relaxed);
    }

    #[test]
    fn sizes_are_those_of_ring_h() {
        assert_eq!(FrontRing::<3>::SLOTS, 256); // netif tx
        assert_eq!(FrontRing::<2>::SLOTS, 256); // netif rx
        assert_eq!(FrontRing::<4>::SLOTS, 128); // netif ctrl
        assert_eq!(FrontRing::<28>::SLOTS, 32); // blkif
        assert_eq!(FrontRing::<1>::SLOTS, 512);
    }

    #[test]
    fn an_empty_ring_asks_for_the_first_of_each() {
        let ring = ring::<2>(0);
        assert_eq!([0, 1, 2, 3].map(|word| shared(&ring, word)), [0, 1, 0, 1]);
        assert_eq!(ring.responses(), Ok(0));
        assert_eq!(ring.free_slots(), 256);
    }

    #[test]
    fn requests_are_unseen_until_published() {
        let mut ring = ring::<3>(NEAR_WRAP);
        for i in 0..256 {
            assert_eq!(ring.push([i, i + 1, i + 2]), Ok(NEAR_WRAP.wrapping_add(i)));
        }
        assert_eq!(ring.push([0; 3]), Err(Full));
        assert_eq!(shared(&ring, REQ_PROD), NEAR_WRAP);
        assert_eq!(ring.unpublished(), 256);
        assert!(ring.publish());
        assert_eq!(shared(&ring, REQ_PROD), NEAR_WRAP.wrapping_add(256));
        assert!(!ring.publish(), "nothing new");
        // Slot of the first request: the index modulo 256, after 64 bytes.
        let first = 16 + 0xf0 * 3;
        assert_eq!(
            [first, first + 1, first + 2].map(|word| shared(&ring, word)),
            [0, 1, 2]
        );
        assert_eq!(shared(&ring, 16), 16, "wrapped to the first slot");
    }

    #[test]
    fn fill_stops_at_the_end_of_ring_or_requests() {
        let mut ring = ring::<2>(NEAR_WRAP);
        let mut left = 3;
        let some = ring.fill(u32::MAX, |_| {
            left -= 1;
            (left >= 0).then_some([7, 7])
        });
        assert_eq!(some, 3);
        assert_eq!(ring.fill(13, |index| Some([index, 0])), 13);
        assert_eq!(ring.fill(u32::MAX, |index| Some([index, 0])), 240);
        assert_eq!(ring.fill(u32::MAX, |_| Some([0, 0])), 0);
    }

    /// Every event index around the published range, against the definition in words: notify
    /// if and only if the event index is one of those that were just published.
    #[test]
    fn notification_is_exact_around_the_wrap() {
        for published in 0..20 {
            for pushed in 1..20 {
                for event in -30_i32..40 {
                    let start = 0xffff_fff6_u32;
                    let mut ring = ring::<1>(start);
                    let _ = ring.fill(u32::MAX, |i| {
                        (i.wrapping_sub(start) < published).then_some([0])
                    });
                    let _ = ring.publish();
                    let old = start.wrapping_add(published);
                    set(&ring, REQ_EVENT, old.wrapping_add_signed(event));
                    let _ = ring.fill(u32::MAX, |i| (i.wrapping_sub(old) < pushed).then_some([0]));
                    let wanted = (1..=pushed.cast_signed()).contains(&event);
                    assert_eq!(ring.publish(), wanted, "{published} {pushed} {event}");
                }
            }
        }
    }

    #[test]
    fn answers_to_nothing_are_corrupt() {
        let mut ring = ring::<2>(NEAR_WRAP);
        let _ = ring.push([1, 1]);
        let _ = ring.push([2, 2]);
        assert!(ring.publish());
        let _ = ring.push([3, 3]);
        for (claim, wanted) in [(0, Ok(0)), (1, Ok(1)), (2, Ok(2))] {
            set(&ring, RSP_PROD, NEAR_WRAP.wrapping_add(claim));
            assert_eq!(ring.responses(), wanted);
        }
        // Three were pushed, but only two were shown.
        for claim in [3, 4, 256, 257, 0x8000_0000, u32::MAX] {
            set(&ring, RSP_PROD, NEAR_WRAP.wrapping_add(claim));
            let corrupt = Corrupt {
                claimed: claim,
                limit: 2,
            };
            assert_eq!(ring.responses(), Err(corrupt));
            assert_eq!(ring.arm(1), Err(corrupt));
        }
    }

    #[test]
    fn arming_sees_what_is_there_and_what_comes() {
        let mut ring = ring::<2>(NEAR_WRAP);
        ring.fill(u32::MAX, |_| Some([0, 0]));
        let _ = ring.publish();
        assert_eq!(ring.arm(4), Ok(false));
        assert_eq!(shared(&ring, RSP_EVENT), NEAR_WRAP.wrapping_add(4));
        set(&ring, RSP_PROD, NEAR_WRAP.wrapping_add(3));
        assert_eq!(ring.arm(4), Ok(false));
        assert_eq!(ring.arm(3), Ok(true));
        ring.consume(3);
        assert_eq!(ring.arm(1), Ok(false));
        assert_eq!(shared(&ring, RSP_EVENT), NEAR_WRAP.wrapping_add(4));
        ring.disarm();
        assert_eq!(shared(&ring, RSP_EVENT), NEAR_WRAP.wrapping_add(3));
    }

    /// The backend's half, from the macros of ring.h, honest.
    struct Back {
        req_cons: u32,
        rsp_prod: u32,
    }

    impl Back {
        fn take<const W: usize>(&mut self, ring: &FrontRing<W>) -> Option<[u32; W]> {
            let waiting = shared(ring, REQ_PROD).wrapping_sub(self.req_cons);
            assert!(
                waiting <= FrontRing::<W>::SLOTS,
                "the front overran the ring"
            );
            (waiting > 0).then(|| {
                let slot = (self.req_cons % FrontRing::<W>::SLOTS) as usize;
                self.req_cons = self.req_cons.wrapping_add(1);
                core::array::from_fn(|i| shared(ring, 16 + slot * W + i))
            })
        }

        fn answer<const W: usize>(&mut self, ring: &FrontRing<W>, response: [u32; W]) {
            let slot = (self.rsp_prod % FrontRing::<W>::SLOTS) as usize;
            for (i, word) in response.into_iter().enumerate() {
                set(ring, 16 + slot * W + i, word);
            }
            self.rsp_prod = self.rsp_prod.wrapping_add(1);
        }

        /// `RING_PUSH_RESPONSES_AND_CHECK_NOTIFY`.
        fn publish<const W: usize>(&self, ring: &FrontRing<W>) -> bool {
            let old = shared(ring, RSP_PROD);
            set(ring, RSP_PROD, self.rsp_prod);
            self.rsp_prod.wrapping_sub(shared(ring, RSP_EVENT)) < self.rsp_prod.wrapping_sub(old)
        }

        /// `RING_FINAL_CHECK_FOR_REQUESTS`.
        fn arm<const W: usize>(&self, ring: &FrontRing<W>) -> bool {
            set(ring, REQ_EVENT, self.req_cons.wrapping_add(1));
            shared(ring, REQ_PROD) != self.req_cons
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(u8),
        Publish,
        Serve(u8),
        Answer,
        Consume(u8),
        ArmFront(u8),
        ArmBack,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            any::<u8>().prop_map(Step::Push),
            Just(Step::Publish),
            any::<u8>().prop_map(Step::Serve),
            Just(Step::Answer),
            any::<u8>().prop_map(Step::Consume),
            (1..40_u8).prop_map(Step::ArmFront),
            Just(Step::ArmBack),
        ];
        proptest::collection::vec(step, 1..200)
    }

    proptest! {
        /// Requests arrive in order and once, responses too, and no side is left asleep:
        /// whoever armed and saw nothing gets its event with the message it waits for.
        #[test]
        fn front_and_back_agree(steps in steps(), start in prop_oneof![Just(NEAR_WRAP), any::<u32>()]) {
            let mut front = ring::<3>(start);
            let mut back = Back { req_cons: start, rsp_prod: start };
            let mut next = 0_u32;
            let mut pushed = VecDeque::new();
            let mut served = VecDeque::new();
            let mut back_sleeps_at: Option<u32> = None;
            let mut front_sleeps_at: Option<u32> = None;
            for step in steps {
                match step {
                    Step::Push(n) => {
                        for _ in 0..n {
                            let free = front.free_slots();
                            let full = front.push([next, next ^ 1, !next]).is_err();
                            prop_assert_eq!(full, free == 0);
                            if full { break }
                            pushed.push_back(next);
                            next += 1;
                        }
                    }
                    Step::Publish => {
                        let must = front.publish();
                        if let Some(at) = back_sleeps_at
                            && front.next_request().wrapping_sub(at).cast_signed() >= 0
                        {
                            prop_assert!(must, "the backend sleeps");
                            back_sleeps_at = None;
                        }
                    }
                    Step::Serve(n) => {
                        for _ in 0..n {
                            let Some(words) = back.take(&front) else { break };
                            let id = pushed.pop_front().expect("a request that was pushed");
                            prop_assert_eq!(words, [id, id ^ 1, !id]);
                            back.answer(&front, [!id, id, 0]);
                            served.push_back(id);
                        }
                    }
                    Step::Answer => {
                        let event = back.publish(&front);
                        if let Some(at) = front_sleeps_at
                            && back.rsp_prod.wrapping_sub(at).cast_signed() >= 0
                        {
                            prop_assert!(event, "the frontend sleeps");
                            front_sleeps_at = None;
                        }
                    }
                    Step::Consume(n) => {
                        let there = front.responses().unwrap();
                        let n = there.min(u32::from(n));
                        for i in 0..n {
                            let id = served.pop_front().expect("a response that was sent");
                            let words = front.response::<2>(front.next_response().wrapping_add(i));
                            prop_assert_eq!(words, [!id, id]);
                        }
                        front.consume(n);
                        front_sleeps_at = None;
                    }
                    Step::ArmFront(ahead) => {
                        let ahead = u32::from(ahead);
                        front_sleeps_at = (!front.arm(ahead).unwrap())
                            .then(|| front.next_response().wrapping_add(ahead));
                    }
                    Step::ArmBack => {
                        back_sleeps_at =
                            (!back.arm(&front)).then(|| back.req_cons.wrapping_add(1));
                    }
                }
            }
        }

        /// Whatever a peer writes as its index, the answer is bounded by what it was shown.
        #[test]
        fn any_index_is_bounded(start: u32, shown in 0_u32..256, index: u32) {
            let mut ring = ring::<2>(start);
            let _ = ring.fill(u32::MAX, |i| (i.wrapping_sub(start) < shown).then_some([0, 0]));
            let _ = ring.publish();
            set(&ring, RSP_PROD, index);
            match ring.responses() {
                Ok(n) => prop_assert!(n <= shown && n == index.wrapping_sub(start)),
                Err(corrupt) => prop_assert!(corrupt.claimed > shown && corrupt.limit == shown),
            }
        }
    }
}
