//! A large frame that a vif's backend doesn't take: its segments, sent over several turns if they
//! don't find room at once.

use netfront_rs::Queue;
use page_pool::{Frame, PagePool};
use xen_hal::Hal;

use crate::egress::Segmenter;
use crate::tx::{TxDrops, TxPath};

/// A transmit ring that is full and whose backend completed nothing for this long, in ns, is
/// stuck: frames for it are dropped instead of holding up everything else.
pub(crate) const STUCK_NS: u64 = 100_000_000;

/// A large frame of which segments wait, and all that comes after it with them.
pub(crate) struct PendingSegments {
    pub(crate) segmenter: Segmenter,
    pub(crate) path: TxPath,
    /// When a segment was last sent, in ns.
    progress: u64,
}

impl PendingSegments {
    /// When what is left of it is dropped if no segment finds room before, in ns.
    pub(crate) fn deadline(&self) -> u64 {
        self.progress + STUCK_NS + 1
    }
}

/// Begins to segment a large frame for a queue whose pool is `pool`. The frame's pool is `source`
/// if that is another.
#[cold]
pub(crate) fn begin_segmentation<H: Hal>(
    queue: &mut Queue<H>,
    pending: &mut Option<PendingSegments>,
    pool: &mut PagePool<H>,
    mut source: Option<&mut PagePool<H>>,
    path: &TxPath,
    frame: Frame,
) -> TxDrops {
    let len = frame.len();
    let begun = if pending.is_none() {
        let tags = path.tags.as_bytes();
        Segmenter::new(source.as_deref().unwrap_or(pool), frame, tags)
    } else {
        Err(frame)
    };
    match begun {
        Ok(segmenter) => {
            *pending = Some(PendingSegments {
                segmenter,
                path: *path,
                progress: path.now,
            });
            resume_segmentation(queue, pending, pool, source, path.now)
        }
        Err(frame) => {
            source.take().unwrap_or(pool).free(frame);
            TxDrops::of(len)
        }
    }
}

/// Sends segments of the pending frame, as many as there is room for. They wait no longer than
/// frames on a ring do.
pub(crate) fn resume_segmentation<H: Hal>(
    queue: &mut Queue<H>,
    pending: &mut Option<PendingSegments>,
    pool: &mut PagePool<H>,
    source: Option<&mut PagePool<H>>,
    now: u64,
) -> TxDrops {
    let Some(this) = pending else {
        return TxDrops::default();
    };
    if this.segmenter.send(queue, pool, source.as_deref()) > 0 {
        this.progress = now;
    }
    let done = this.segmenter.is_done();
    if (done || now.saturating_sub(this.progress) > STUCK_NS)
        && let Some(PendingSegments { segmenter, .. }) = pending.take()
    {
        let remaining = segmenter.remaining_bytes();
        source.unwrap_or(pool).free(segmenter.into_frame());
        if !done {
            return TxDrops::of(remaining);
        }
    }
    TxDrops::default()
}
