//! Frames: handles to packets in the pages of a pool.

use core::sync::atomic::{AtomicU64, Ordering};

use netif::messages::MAX_SLOTS;
use netif::{Checksum, Gso};
use xen_hal::SharedPage;

/// The number of bytes of a frame that are copied to private memory when it is received.
pub const HEADER_LEN: usize = 64;

/// The private copy of a frame's first bytes. Bytes beyond the frame's length are meaningless.
pub type FrameHeader = [u8; HEADER_LEN];

/// The first bytes of a frame that is being received. They are to be copied once, after which the
/// peer can't change them.
#[derive(Debug)]
pub struct FirstBytes<'a>(First<'a>);

/// Where they are.
#[derive(Debug)]
enum First<'a> {
    /// In the page.
    Shared(&'a [AtomicU64; HEADER_LEN / 8]),
    /// Gathered from several pages.
    Copied(&'a FrameHeader),
}

impl<'a> FirstBytes<'a> {
    /// Returns the first bytes of a page.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "a page is longer than this")]
    pub(crate) fn of_page(page: &'a SharedPage) -> Self {
        let (chunks, _) = page.words64().as_chunks();
        Self(First::Shared(&chunks[0]))
    }

    /// Creates first bytes that were gathered from several pages.
    #[must_use]
    #[inline]
    pub fn copied(header: &'a FrameHeader) -> Self {
        Self(First::Copied(header))
    }

    /// Copies them to `header`; each word is loaded once.
    #[inline(always)]
    pub fn copy_to(self, header: &mut FrameHeader) {
        match self.0 {
            First::Shared(cells) => {
                for (word, cell) in header.as_chunks_mut::<8>().0.iter_mut().zip(cells) {
                    *word = cell.load(Ordering::Relaxed).to_le_bytes();
                }
            }
            First::Copied(bytes) => *header = *bytes,
        }
    }

    /// Returns a copy of them.
    #[must_use]
    #[inline]
    pub fn copy(self) -> FrameHeader {
        let mut header = [0; HEADER_LEN];
        self.copy_to(&mut header);
        header
    }
}

/// A received frame, or one to be sent: one or more pages of a [`PagePool`](crate::PagePool).
///
/// It has to be sent or returned with [`PagePool::free`](crate::PagePool::free); if it is just
/// dropped, its pages are lost until the pool is closed (and are shown as held in
/// [`PagePool::stats`](crate::PagePool::stats)). The default is a placeholder without pages: it
/// can't be sent, and freeing it does nothing.
#[derive(Debug, Default)]
#[must_use = "a frame that is dropped is lost: send or free it"]
// `head` and `len` are in the order in which transmit requests have them.
#[repr(C, align(8))]
pub struct Frame {
    pub(crate) head: u16,
    pub(crate) len: u16,
    /// Slots, checksum state, kind of large packet, pool: see [`kind`].
    pub(crate) kind: u32,
}

/// The fields of [`Frame::kind`], packed so that the one test which finds a plain frame of the
/// right pool is one comparison.
pub(crate) mod kind {
    pub(crate) const SLOTS: u32 = 0x1f;
    /// It doesn't begin at the start of its first page, or has several pages.
    pub(crate) const PARTS: u32 = 1 << 5;
    pub(crate) const TCPV4: u32 = 1 << 6;
    pub(crate) const TCPV6: u32 = 1 << 7;
    /// It is longer than its `len` by 65,536, which is only possible for large packets.
    pub(crate) const LONG: u32 = 1 << 8;
    /// The checksum state is where a transmit request has it.
    pub(crate) const CHECKSUM_SHIFT: u32 = 16;
    pub(crate) const BLANK: u32 = 1 << CHECKSUM_SHIFT;
    pub(crate) const VALIDATED: u32 = 2 << CHECKSUM_SHIFT;
    pub(crate) const POOL_SHIFT: u32 = 18;
    pub(crate) const POOL: u32 = u32::MAX << POOL_SHIFT;
    pub(crate) const POOLS: u16 = 1 << (32 - POOL_SHIFT);
}

/// Information about a frame besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameInfo {
    /// The length including the Ethernet header, in bytes.
    pub len: u32,
    /// The number of its pages.
    pub slots: u8,
    /// The state of its TCP or UDP checksum.
    pub checksum: Checksum,
    /// Its segmentation, if it is a large frame.
    pub gso: Option<Gso>,
}

impl FrameInfo {
    /// Returns the information about a frame of a single page.
    #[must_use]
    #[inline]
    pub fn of_one_page(len: u16, checksum: Checksum) -> Self {
        Self {
            len: len.into(),
            slots: 1,
            checksum,
            gso: None,
        }
    }
}

impl Frame {
    /// Returns the length including the Ethernet header, in bytes.
    #[must_use]
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "no frame is empty")]
    pub fn len(&self) -> usize {
        usize::from(self.len) | ((self.kind & kind::LONG) as usize) << 8
    }

    /// Sets the length, less than 2^17 bytes.
    pub(crate) fn set_len(&mut self, len: usize) {
        self.len = (len & 0xffff) as u16;
        self.kind &= !kind::LONG;
        self.kind |= (len >> 8) as u32 & kind::LONG;
    }

    /// Returns the low 16 bits of [`Frame::len`], as netif.h has them in a request.
    #[must_use]
    #[inline]
    pub fn size(&self) -> u16 {
        self.len
    }

    /// Returns the index of its first page.
    #[must_use]
    #[inline]
    pub fn first_page(&self) -> u16 {
        self.head
    }

    /// Returns the number of its pages.
    #[must_use]
    #[inline]
    pub fn slots(&self) -> usize {
        (self.kind & kind::SLOTS) as usize
    }

    /// Returns the number of transmit slots that it needs: one per page, and one for the GSO extra
    /// info of a large frame.
    #[must_use]
    #[inline]
    pub fn tx_slots(&self) -> usize {
        Self::tx_slots_of(self.slots(), self.is_gso())
    }

    /// Returns the number of transmit slots that a frame of this many pages needs. Frames in more
    /// slots than a peer accepts are copied into fewer pages before they are sent.
    #[must_use]
    #[inline]
    pub fn tx_slots_of(pages: usize, gso: bool) -> usize {
        pages.min(MAX_SLOTS) + usize::from(gso)
    }

    /// Returns the state of its TCP or UDP checksum.
    #[must_use]
    #[inline]
    pub fn checksum(&self) -> Checksum {
        Checksum::from_bits_truncate((self.kind >> kind::CHECKSUM_SHIFT & 3) as u8)
    }

    /// Sets the state of its TCP or UDP checksum, for instance after it was completed.
    #[inline]
    pub fn set_checksum(&mut self, checksum: Checksum) {
        self.kind &= !(kind::BLANK | kind::VALIDATED);
        self.kind |= u32::from(checksum.bits()) << kind::CHECKSUM_SHIFT;
    }

    /// Returns `true` if it is a large frame ([`PagePool::gso`](crate::PagePool::gso)).
    #[must_use]
    #[inline]
    pub fn is_gso(&self) -> bool {
        self.kind & (kind::TCPV4 | kind::TCPV6) != 0
    }
}

/// Creates and recognizes the frames of a pool that have a single page and begin at its start.
#[derive(Clone, Copy, Debug)]
pub struct OnePageFrames {
    /// What [`Frame::kind`] is for one of which nothing is known.
    plain: u32,
    /// The value after masking; a value that no frame has if none is to be recognized.
    wanted: u32,
    mask: u32,
}

impl OnePageFrames {
    /// Returns those of the pool whose bits are `pool` ([`kind::POOL`]).
    pub(crate) fn of(pool: u32, blank: bool) -> Self {
        let accepted = kind::VALIDATED | if blank { kind::BLANK } else { 0 };
        let plain = 1 | pool;
        Self {
            plain,
            wanted: plain,
            mask: !accepted,
        }
    }

    /// Excludes all frames from now on.
    pub fn exclude_all(&mut self) {
        // The mask takes this bit off whatever is compared.
        self.wanted = kind::VALIDATED;
    }

    /// Returns `true` if `frame` is one of these.
    #[inline]
    pub fn include(&self, frame: &Frame) -> bool {
        frame.kind & self.mask == self.wanted
    }

    /// Creates a frame of `len` bytes, 1 to 4096, that was received into `page`.
    #[inline]
    pub fn received(&self, page: u16, len: u16, checksum: Checksum) -> Frame {
        let kind = self.plain | u32::from(checksum.bits()) << kind::CHECKSUM_SHIFT;
        Frame {
            head: page,
            len,
            kind,
        }
    }
}
