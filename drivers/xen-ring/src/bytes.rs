//! The byte rings of console and xenstore.

use core::sync::atomic::{Ordering, fence};

use xen_hal::{PAGE_SIZE, SharedPage};

use crate::Corrupt;

/// The layout of a byte ring in its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRing {
    /// First byte of the data.
    data: usize,
    /// Bytes of data, a power of two.
    size: usize,
    /// The consumer's index, as a word of the page.
    cons: usize,
    /// The producer's index, as a word of the page.
    prod: usize,
}

/// Input from the console: `in`, `in_cons`, `in_prod` of `struct xencons_interface`.
pub const CONSOLE_IN: ByteRing = ByteRing::new(0, 1024, 3072, 3076);
/// Output to the console: `out`, `out_cons`, `out_prod` of `struct xencons_interface`.
pub const CONSOLE_OUT: ByteRing = ByteRing::new(1024, 2048, 3080, 3084);
/// Requests: `req`, `req_cons`, `req_prod` of `struct xenstore_domain_interface`.
pub const STORE_REQ: ByteRing = ByteRing::new(0, 1024, 2048, 2052);
/// Replies and watch events: `rsp`, `rsp_cons`, `rsp_prod` of the same.
pub const STORE_RSP: ByteRing = ByteRing::new(1024, 1024, 2056, 2060);

impl ByteRing {
    /// Describes a ring by byte offsets in its page.
    ///
    /// # Panics
    /// If data or indices don't lie in a page, indices aren't aligned, or the size isn't a
    /// power of two.
    #[must_use]
    pub const fn new(data: usize, size: usize, cons: usize, prod: usize) -> Self {
        assert!(size.is_power_of_two() && data <= PAGE_SIZE);
        assert!(size <= PAGE_SIZE.saturating_sub(data));
        assert!(
            cons < PAGE_SIZE && cons.is_multiple_of(4),
            "the consumer's index"
        );
        assert!(
            prod < PAGE_SIZE && prod.is_multiple_of(4),
            "the producer's index"
        );
        Self {
            data,
            size,
            cons: cons / 4,
            prod: prod / 4,
        }
    }

    /// Returns its capacity, in bytes.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Loads an index, which [`ByteRing::new`] has checked to be in the page.
    fn load(page: &SharedPage, word: usize) -> u32 {
        let index = page.words32().get(word);
        index.map_or(0, |index| index.load(Ordering::Relaxed))
    }

    fn store(page: &SharedPage, word: usize, value: u32) {
        if let Some(index) = page.words32().get(word) {
            index.store(value, Ordering::Relaxed);
        }
    }

    /// Returns the number of bytes between two indices, one of which is the peer's.
    fn used(&self, prod: u32, cons: u32) -> Result<usize, Corrupt> {
        let used = prod.wrapping_sub(cons);
        if used as usize > self.size {
            let limit = u32::try_from(self.size).unwrap_or(u32::MAX);
            return Err(Corrupt {
                claimed: used,
                limit,
            });
        }
        Ok(used as usize)
    }

    /// Returns the bytes of the ring from index `from` on.
    fn cells<'a>(
        &self,
        page: &'a SharedPage,
        from: u32,
    ) -> impl Iterator<Item = &'a core::sync::atomic::AtomicU8> {
        let data = page.bytes().iter().skip(self.data).take(self.size);
        // The size is a power of two.
        let start = from as usize & self.size.saturating_sub(1);
        data.clone().skip(start).chain(data.take(start))
    }
}

/// The writing end of a byte ring. The page is passed to each call, as one page contains the rings
/// of both directions; it must always be the same.
#[derive(Debug)]
pub struct ByteProducer {
    ring: ByteRing,
    prod: u32,
}

impl ByteProducer {
    /// Attaches to a ring at its current producer index.
    #[must_use]
    pub fn attach(ring: ByteRing, page: &SharedPage) -> Self {
        Self {
            ring,
            prod: ByteRing::load(page, ring.prod),
        }
    }

    /// Returns the number of bytes that the peer has not yet consumed.
    ///
    /// # Errors
    /// [`Corrupt`] if the peer claims to have consumed more than was written.
    pub fn used(&self, page: &SharedPage) -> Result<usize, Corrupt> {
        let cons = ByteRing::load(page, self.ring.cons);
        // xen_mb: bytes are not overwritten before the peer has consumed them.
        fence(Ordering::SeqCst);
        self.ring.used(self.prod, cons)
    }

    /// Returns the number of bytes that can be written.
    ///
    /// # Errors
    /// As for [`ByteProducer::used`].
    pub fn free(&self, page: &SharedPage) -> Result<usize, Corrupt> {
        self.used(page)
            .map(|used| self.ring.size.saturating_sub(used))
    }

    /// Writes as much of `bytes` as there is room for and publishes it to the peer. Returns the
    /// number of bytes; if it is not 0, the peer has to be notified.
    ///
    /// # Errors
    /// As for [`ByteProducer::used`].
    pub fn write(&mut self, page: &SharedPage, bytes: &[u8]) -> Result<usize, Corrupt> {
        let len = self.free(page)?.min(bytes.len());
        for (cell, byte) in self.ring.cells(page, self.prod).zip(bytes.iter().take(len)) {
            cell.store(*byte, Ordering::Relaxed);
        }
        // Not more than a page, so it fits.
        self.prod = self.prod.wrapping_add(u32::try_from(len).unwrap_or(0));
        // xen_wmb: the peer sees the bytes before the index.
        fence(Ordering::Release);
        ByteRing::store(page, self.ring.prod, self.prod);
        Ok(len)
    }
}

/// The reading end of a byte ring. The page is passed to each call, as for [`ByteProducer`].
#[derive(Debug)]
pub struct ByteConsumer {
    ring: ByteRing,
    cons: u32,
}

impl ByteConsumer {
    /// Attaches to a ring at its current consumer index.
    #[must_use]
    pub fn attach(ring: ByteRing, page: &SharedPage) -> Self {
        Self {
            ring,
            cons: ByteRing::load(page, ring.cons),
        }
    }

    /// Returns the number of bytes that can be read.
    ///
    /// # Errors
    /// [`Corrupt`] if the peer claims to have written more than the ring's capacity.
    pub fn used(&self, page: &SharedPage) -> Result<usize, Corrupt> {
        let prod = ByteRing::load(page, self.ring.prod);
        // xen_rmb: the bytes are read after the index.
        fence(Ordering::Acquire);
        self.ring.used(prod, self.cons)
    }

    /// Reads as many bytes as are available and fit into `into`. Returns their number; if it is not
    /// 0, the peer has to be notified, as it may be waiting for room.
    ///
    /// # Errors
    /// As for [`ByteConsumer::used`].
    pub fn read(&mut self, page: &SharedPage, into: &mut [u8]) -> Result<usize, Corrupt> {
        let len = self.used(page)?.min(into.len());
        for (byte, cell) in into
            .iter_mut()
            .take(len)
            .zip(self.ring.cells(page, self.cons))
        {
            *byte = cell.load(Ordering::Relaxed);
        }
        self.cons = self.cons.wrapping_add(u32::try_from(len).unwrap_or(0));
        // xen_mb: the bytes are read before the peer may overwrite them.
        fence(Ordering::SeqCst);
        ByteRing::store(page, self.ring.cons, self.cons);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::collections::VecDeque;
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;
    use xen_hal::Hal;
    use xen_hal::fake::FakeHal;

    use super::*;

    const ALL: [ByteRing; 4] = [CONSOLE_IN, CONSOLE_OUT, STORE_REQ, STORE_RSP];

    fn page_at(ring: ByteRing, start: u32) -> SharedPage {
        let page = FakeHal::new().alloc_page().unwrap();
        page.words32()[ring.cons].store(start, Ordering::Relaxed);
        page.words32()[ring.prod].store(start, Ordering::Relaxed);
        page
    }

    #[test]
    fn a_full_ring_takes_no_more() {
        for ring in ALL {
            let page = page_at(ring, 0xffff_fff0);
            let mut tx = ByteProducer::attach(ring, &page);
            let mut rx = ByteConsumer::attach(ring, &page);
            let data: Vec<u8> = (0..3000_u32).map(|i| i as u8).collect();
            assert_eq!(tx.write(&page, &data), Ok(ring.size()));
            assert_eq!(tx.write(&page, &data), Ok(0));
            assert_eq!(tx.free(&page), Ok(0));
            let mut back = vec![0; 4000];
            assert_eq!(rx.read(&page, &mut back), Ok(ring.size()));
            assert_eq!(back[..ring.size()], data[..ring.size()]);
            assert_eq!(rx.read(&page, &mut back), Ok(0));
            assert_eq!(tx.used(&page), Ok(0));
        }
    }

    #[test]
    fn impossible_indices_are_corrupt() {
        for ring in ALL {
            let page = page_at(ring, 100);
            let mut tx = ByteProducer::attach(ring, &page);
            let mut rx = ByteConsumer::attach(ring, &page);
            page.words32()[ring.cons].store(101, Ordering::Relaxed);
            assert!(tx.write(&page, b"x").is_err());
            assert!(tx.free(&page).is_err());
            let beyond = 101 + u32::try_from(ring.size()).unwrap();
            page.words32()[ring.prod].store(beyond, Ordering::Relaxed);
            assert!(rx.read(&page, &mut [0; 8]).is_err());
            page.words32()[ring.prod].store(99, Ordering::Relaxed);
            assert!(rx.used(&page).is_err());
        }
    }

    #[test]
    fn the_peer_cannot_move_our_own_index() {
        let ring = CONSOLE_OUT;
        let page = page_at(ring, 0);
        let mut tx = ByteProducer::attach(ring, &page);
        assert_eq!(tx.write(&page, b"abc"), Ok(3));
        page.words32()[ring.prod].store(77, Ordering::Relaxed);
        assert_eq!(tx.write(&page, b"def"), Ok(3));
        assert_eq!(page.words32()[ring.prod].load(Ordering::Relaxed), 6);
    }

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in(
            which in 0_usize..4,
            start in prop_oneof![Just(0xffff_fff0_u32), any::<u32>()],
            steps in proptest::collection::vec((any::<bool>(), 0_usize..3000), 1..60),
        ) {
            let ring = ALL[which];
            let page = page_at(ring, start);
            let mut tx = ByteProducer::attach(ring, &page);
            let mut rx = ByteConsumer::attach(ring, &page);
            let mut model = VecDeque::new();
            let mut next = 0_u8;
            for (write, len) in steps {
                if write {
                    let data: Vec<u8> = (0..len).map(|i| next.wrapping_add(i as u8)).collect();
                    let done = tx.write(&page, &data).unwrap();
                    prop_assert_eq!(done, len.min(ring.size() - model.len()));
                    model.extend(&data[..done]);
                    next = next.wrapping_add(done as u8);
                } else {
                    let mut into = vec![0; len];
                    let done = rx.read(&page, &mut into).unwrap();
                    prop_assert_eq!(done, len.min(model.len()));
                    let wanted: Vec<u8> = model.drain(..done).collect();
                    prop_assert_eq!(&into[..done], &wanted[..]);
                }
                prop_assert_eq!(tx.used(&page).unwrap(), model.len());
                prop_assert_eq!(rx.used(&page).unwrap(), model.len());
            }
        }

        #[test]
        fn any_index_is_safe(prod: u32, cons: u32, other: u32) {
            for ring in ALL {
                let page = page_at(ring, 0);
                page.words32()[ring.prod].store(prod, Ordering::Relaxed);
                page.words32()[ring.cons].store(cons, Ordering::Relaxed);
                let mut tx = ByteProducer::attach(ring, &page);
                let mut rx = ByteConsumer::attach(ring, &page);
                page.words32()[ring.prod].store(other, Ordering::Relaxed);
                let _ = rx.read(&page, &mut [0; 4096]);
                page.words32()[ring.cons].store(other, Ordering::Relaxed);
                let _ = tx.write(&page, &[0; 4096]);
            }
        }
    }
}
