//! Statistics of a worker.

/// The statistics of a worker since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkerStats {
    /// Turns of the loop.
    pub turns: u64,
    /// Times it slept.
    pub sleeps: u64,
    /// Sleeps with a limit, while events were moderated.
    pub moderated_sleeps: u64,
    /// Sleeps that brought no frame, 1, 2 or 3, 4 to 7, and so on; the last one: 64 and more.
    pub frames_per_wake: [u64; 8],
    /// Bursts received, of one frame or more.
    pub bursts: u64,
    /// Frames received.
    pub frames: u64,
    /// Events sent to backends, each a hypercall.
    pub notifications: u64,
}

impl WorkerStats {
    /// Counts a sleep and what came since the one before: `frames` frames.
    pub(crate) fn count_sleep(&mut self, frames: u64, moderated: bool) {
        let bits = (u64::BITS - frames.leading_zeros()) as usize;
        let last = self.frames_per_wake.len() - 1;
        if let Some(count) = self.frames_per_wake.get_mut(bits.min(last)) {
            *count += 1;
        }
        self.sleeps += 1;
        self.moderated_sleeps += u64::from(moderated);
    }
}
