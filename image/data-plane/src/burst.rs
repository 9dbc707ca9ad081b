//! One burst on its way through a worker.

use alloc::boxed::Box;

use netfront_rs::{Budget, PeerFault, Queue};
use page_pool::{FirstBytes, Frame, FrameInfo, PagePool};
use router::{BURST, FrameFlags, FrameMeta, Header, InterfaceId, Verdict, Verdicts};
use xen_hal::Hal;

/// The frames of a burst and what is known about them, kept so that it isn't made again for each.
pub(crate) struct Burst {
    pub(crate) headers: [Header; BURST],
    pub(crate) frames: [Frame; BURST],
    pub(crate) metas: [FrameMeta; BURST],
    pub(crate) verdicts: [Verdict; BURST],
    /// The interfaces that frames came in on, if some had tags.
    pub(crate) inputs: [InterfaceId; BURST],
    pub(crate) in_common: Verdicts,
}

impl Burst {
    /// An empty one.
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
        gso_size: info.gso.map_or(0, |gso| gso.size),
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
