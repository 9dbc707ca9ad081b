//! A burst in a worker.

use alloc::boxed::Box;

use netfront_rs::{Budget, PeerFault, Queue};
use page_pool::{FirstBytes, Frame, FrameInfo, PagePool};
use router::{BURST, FrameFlags, FrameMeta, HEADER_LEN, Header, InterfaceId, Verdict, Verdicts};
use xen_hal::Hal;

/// Bytes in which the headers of a large frame are told apart, two tags, options and some extension
/// headers included.
const HEADERS_LEN: usize = 128;

/// The buffers of a burst, which are reused.
pub(crate) struct Burst {
    pub(crate) headers: [Header; BURST],
    pub(crate) frames: [Frame; BURST],
    pub(crate) metas: [FrameMeta; BURST],
    pub(crate) verdicts: [Verdict; BURST],
    /// The incoming interfaces of frames, if some had tags.
    pub(crate) inputs: [InterfaceId; BURST],
    pub(crate) in_common: Verdicts,
}

impl Burst {
    /// Creates an empty burst.
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self {
            headers: [Header::default(); BURST],
            frames: core::array::from_fn(|_| Frame::default()),
            metas: [FrameMeta::default(); BURST],
            verdicts: [Verdict::Drop; BURST],
            inputs: [InterfaceId(0); BURST],
            in_common: Verdicts::Mixed,
        })
    }

    /// Receives into it, as many as there are within `budget`. Apart from all else, so that all
    /// of its few values are in registers, and by itself for a backend that sends hashes.
    #[inline(never)]
    pub(crate) fn receive<H: Hal, const HASHED: bool>(
        &mut self,
        queue: &mut Queue<H>,
        pool: &mut PagePool<H>,
        budget: Budget,
    ) -> (usize, Result<usize, PeerFault>) {
        let mut count = 0;
        let sink = |frame: Frame, first: FirstBytes<'_>, info: FrameInfo| {
            self.put(count, frame, first, info);
            count += 1;
        };
        let outcome = if HASHED {
            queue.receive_hashed(pool, budget, sink)
        } else {
            queue.receive(pool, budget, sink)
        };
        (count, outcome)
    }

    /// Determines the segment lengths of the large frames among the first `count`.
    #[cold]
    pub(crate) fn measure_segments<H: Hal>(&mut self, pool: &PagePool<H>, count: usize) {
        let frames = self.frames.iter().zip(&self.headers).zip(&mut self.metas);
        for ((frame, header), meta) in frames.take(count) {
            let Some(gso) = pool.gso(frame) else { continue };
            // What was copied isn't read again, only what is behind it.
            let mut headers = [0; HEADERS_LEN];
            let (first, rest) = headers.split_at_mut(HEADER_LEN);
            first.copy_from_slice(&header.0);
            pool.copy_out(frame, HEADER_LEN, rest);
            meta.segment_len = FrameMeta::segment_len_of(&headers, meta.len, gso.size);
        }
    }

    /// Puts a frame into a place. There is one: a burst has no more frames.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "all have `BURST` places")]
    fn put(&mut self, at: usize, frame: Frame, first: FirstBytes<'_>, info: FrameInfo) {
        if at < BURST {
            first.copy_to(&mut self.headers[at].0);
            self.frames[at] = frame;
            self.metas[at] = meta_of(info);
        }
    }
}

fn meta_of(info: FrameInfo) -> FrameMeta {
    FrameMeta {
        len: info.len,
        // Without headers, which `measure_segments` adds.
        segment_len: info.gso.map_or(0, |gso| gso.size),
        flags: FrameFlags::from_bits_truncate(info.checksum.bits()),
    }
}

/// Returns how many verdicts are like the first.
#[inline(never)]
pub(crate) fn run_len(verdicts: &[Verdict]) -> usize {
    let mut len = 0;
    match verdicts.first() {
        // The usual case by itself, where fewer comparisons do.
        Some(&Verdict::Forward(out)) => {
            while matches!(verdicts.get(len), Some(&Verdict::Forward(it)) if it == out) {
                len += 1;
            }
        }
        first => {
            while len < verdicts.len() && verdicts.get(len) == first {
                len += 1;
            }
        }
    }
    len
}
