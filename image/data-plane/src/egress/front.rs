//! The first bytes of an outgoing frame.

use netif::Checksum;
use page_pool::{Frame, FrameHeader, HEADER_LEN, PagePool};
use router::vlan::{MAX_TAGS, TAG_LEN};
use xen_hal::Hal;

/// The length of the two MAC addresses at the start of a frame, which tags follow, in bytes.
const ADDRESSES: usize = 12;
/// The maximum length of a front.
const LONGEST: usize = HEADER_LEN + MAX_TAGS * TAG_LEN;

/// The first bytes of a frame, from the private copy that was checked, with the frame's new tags
/// behind the two MAC addresses.
pub(super) struct Front {
    bytes: [u8; LONGEST],
    len: usize,
    tags: usize,
}

impl Front {
    /// Creates the front of a frame that had `frame_len` bytes without the tags.
    pub(super) fn new(header: &FrameHeader, frame_len: usize, tags: &[u8]) -> Self {
        let (addresses, rest) = header.split_at(ADDRESSES);
        let mut bytes = [0; LONGEST];
        let all = addresses.iter().chain(tags).chain(rest);
        for (to, from) in bytes.iter_mut().zip(all) {
            *to = *from;
        }
        Self {
            bytes,
            len: tags.len() + frame_len.min(HEADER_LEN),
            tags: tags.len(),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }

    /// Returns the number of bytes of the untagged frame that these replace.
    pub(super) fn replaced(&self) -> usize {
        self.len - self.tags
    }
}

/// Reads bytes of a frame from `at` on, as it was without the `tags` bytes that it may have got
/// since: its first bytes from their private copy, the others from its pages.
pub(super) fn read<H: Hal>(
    pool: &PagePool<H>,
    frame: &Frame,
    header: &FrameHeader,
    tags: usize,
    at: usize,
    to: &mut [u8],
) {
    let known = header.get(at..).unwrap_or(&[]);
    let (first, rest) = to.split_at_mut(known.len().min(to.len()));
    first.copy_from_slice(known.get(..first.len()).unwrap_or(&[]));
    if !rest.is_empty() {
        pool.copy_out(frame, at + first.len() + tags, rest);
    }
}

/// Fills in the checksum that a frame's sender left blank, in its pages and in the private copy of
/// its first bytes. One that can't be found stays as it is; either way the backend isn't asked
/// for it. `tags` bytes were put behind the frame's MAC addresses.
pub(super) fn complete_checksum<H: Hal>(
    pool: &PagePool<H>,
    frame: &mut Frame,
    header: &mut FrameHeader,
    tags: usize,
) {
    let len = frame.len() - tags;
    let found = router::completed_checksum(len, |at, to| {
        read(pool, frame, header, tags, at, to);
    });
    if let Some((at, checksum)) = found {
        match header.get_mut(at..at + checksum.len()) {
            Some(known) => known.copy_from_slice(&checksum),
            None => {
                pool.copy_in(frame, at + tags, &checksum);
            }
        }
    }
    frame.set_checksum(Checksum::VALIDATED);
}
