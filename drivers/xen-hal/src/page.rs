//! Memory that another domain may read and write at any time.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;

/// One page that a peer may access concurrently.
///
/// There is no `&[u8]` of it: every access is a relaxed atomic load or store, which compiles to a
/// plain one. Ordering between accesses is up to the protocol (fences in `xen-ring`). The same
/// bytes should be used with one width at a time; rings use 32 bits, packet pages 64.
///
/// Not `Clone`: a page has one owner. The peer is not an owner, it is why the bytes are
/// atomic.
#[derive(Debug)]
pub struct SharedPage(NonNull<u8>);

#[expect(unsafe_code, reason = "a raw pointer is not Send by itself")]
// SAFETY: the page is plain memory without thread affinity, accessed by atomics only.
unsafe impl Send for SharedPage {}
#[expect(unsafe_code, reason = "a raw pointer is not Sync by itself")]
// SAFETY: as above; a shared reference allows atomic access only.
unsafe impl Sync for SharedPage {}

#[expect(
    unsafe_code,
    reason = "the one place that turns the pointer into atomics"
)]
impl SharedPage {
    /// Creates a `SharedPage` from a raw pointer.
    ///
    /// # Safety
    /// `start` is page-aligned, and 4096 bytes from it are mapped, initialised, and accessed
    /// by this domain through this value only, for as long as the value lives.
    #[must_use]
    pub const unsafe fn from_raw(start: NonNull<u8>) -> Self {
        Self(start)
    }

    /// Returns the page's address.
    #[must_use]
    pub const fn as_ptr(&self) -> NonNull<u8> {
        self.0
    }

    /// Returns the page as bytes.
    #[must_use]
    #[inline]
    pub const fn bytes(&self) -> &[AtomicU8; PAGE_SIZE] {
        // SAFETY: `from_raw` promised 4096 valid bytes; atomics may alias the peer's writes.
        unsafe { self.0.cast().as_ref() }
    }

    /// Returns the page as 32-bit words.
    #[must_use]
    #[inline]
    pub const fn words32(&self) -> &[AtomicU32; PAGE_SIZE / 4] {
        // SAFETY: as in `bytes`; a page is aligned for every word size.
        unsafe { self.0.cast().as_ref() }
    }

    /// Returns the page as 64-bit words.
    #[must_use]
    #[inline]
    pub const fn words64(&self) -> &[AtomicU64; PAGE_SIZE / 8] {
        // SAFETY: as in `bytes`; a page is aligned for every word size.
        unsafe { self.0.cast().as_ref() }
    }
}

impl SharedPage {
    /// Copies out bytes from `offset` on; stops at the end of the page. Returns the number of
    /// bytes.
    pub fn read(&self, offset: usize, into: &mut [u8]) -> usize {
        #[cfg(any(test, feature = "fake"))]
        crate::access_hook::accessed();
        let len = into.len().min(PAGE_SIZE.saturating_sub(offset));
        let into = into.get_mut(..len).unwrap_or_default();
        let (first, rest) = into.split_at_mut(len.min(to_next_word(offset)));
        let mut cells = self.words64().iter().skip(offset / 8);
        if !first.is_empty() {
            read_part(cells.next(), offset % 8, first);
        }
        let (words, last) = rest.as_chunks_mut();
        for (word, cell) in words.iter_mut().zip(&mut cells) {
            *word = cell.load(Ordering::Relaxed).to_le_bytes();
        }
        if !last.is_empty() {
            read_part(cells.next(), 0, last);
        }
        len
    }

    /// Copies bytes in from `offset` on; stops at the end of the page. Returns the number of
    /// bytes.
    ///
    /// Whole words are stored, so bytes beside the range are rewritten with what they held.
    pub fn write(&self, offset: usize, from: &[u8]) -> usize {
        #[cfg(any(test, feature = "fake"))]
        crate::access_hook::accessed();
        let len = from.len().min(PAGE_SIZE.saturating_sub(offset));
        let from = from.get(..len).unwrap_or_default();
        let (first, rest) = from.split_at(len.min(to_next_word(offset)));
        let mut cells = self.words64().iter().skip(offset / 8);
        if !first.is_empty() {
            write_part(cells.next(), offset % 8, first);
        }
        let (words, last) = rest.as_chunks();
        for (word, cell) in words.iter().zip(&mut cells) {
            cell.store(u64::from_le_bytes(*word), Ordering::Relaxed);
        }
        if !last.is_empty() {
            write_part(cells.next(), 0, last);
        }
        len
    }

    /// Fills the page with zeros.
    pub fn clear(&self) {
        for word in self.words64() {
            word.store(0, Ordering::Relaxed);
        }
    }
}

/// Returns the bytes from `offset` to the word that begins there or behind.
const fn to_next_word(offset: usize) -> usize {
    offset.wrapping_neg() % 8
}

/// Copies out bytes of a word from `start` on.
fn read_part(cell: Option<&AtomicU64>, start: usize, into: &mut [u8]) {
    let word = cell.map_or(0, |cell| cell.load(Ordering::Relaxed));
    for (byte, from) in into.iter_mut().zip(word.to_le_bytes().iter().skip(start)) {
        *byte = *from;
    }
}

/// Copies bytes into a word from `start` on.
fn write_part(cell: Option<&AtomicU64>, start: usize, from: &[u8]) {
    let Some(cell) = cell else { return };
    let mut word = cell.load(Ordering::Relaxed).to_le_bytes();
    for (byte, from) in word.iter_mut().skip(start).zip(from) {
        *byte = *from;
    }
    cell.store(u64::from_le_bytes(word), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hal;
    use crate::fake::FakeHal;

    #[test]
    fn read_gives_what_was_written_at_any_alignment() {
        let page = FakeHal::new().alloc_page().unwrap();
        for offset in [0, 1, 7, 8, 13, PAGE_SIZE - 20] {
            for len in [0, 1, 3, 8, 17, 20] {
                let data: [u8; 20] = core::array::from_fn(|i| (i + offset + len) as u8);
                assert_eq!(page.write(offset, &data[..len]), len);
                let mut back = [0; 20];
                assert_eq!(page.read(offset, &mut back[..len]), len);
                assert_eq!(back[..len], data[..len]);
            }
        }
    }

    #[test]
    fn write_leaves_its_neighbors_alone() {
        let page = FakeHal::new().alloc_page().unwrap();
        page.write(0, &[0xaa; 32]);
        page.write(5, &[1, 2, 3, 4, 5]);
        let mut back = [0; 12];
        page.read(0, &mut back);
        assert_eq!(
            back,
            [0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 1, 2, 3, 4, 5, 0xaa, 0xaa]
        );
    }

    #[test]
    fn the_end_of_the_page_cuts_both() {
        let page = FakeHal::new().alloc_page().unwrap();
        assert_eq!(page.write(PAGE_SIZE - 3, &[7; 10]), 3);
        let mut back = [0; 10];
        assert_eq!(page.read(PAGE_SIZE - 3, &mut back), 3);
        assert_eq!(back[..4], [7, 7, 7, 0]);
        assert_eq!(page.read(PAGE_SIZE, &mut back), 0);
        assert_eq!(page.write(usize::MAX, &back), 0);
    }
}
