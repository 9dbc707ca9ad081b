//! What a vif receives is read as far as there is room where it goes, or may be lost there.
//!
//! Where a frame goes is known only when it was read. So it is taken for granted that the next
//! frames of a vif go where those of its last burst went. If there is no room for a burst, frames
//! are left unread with the backend: room may come, and until then they cost nothing. But behind
//! them may be frames for elsewhere, which lose time and, once the ring is full, are lost. So they
//! are left unread for at most [`UNREAD_NS`] at a time. Then outputs without room are given up for
//! all that is there: it is read, and what is for them waits in their share of pages, or is dropped.
//!
//! An output that completes nothing is given up at once. Where the CPU has nothing else to do,
//! frames are read sooner if half of the ring has come, before there is no page for more.

use netfront_rs::Queue;
use xen_hal::Hal;

/// How long frames are left unread at a time, in ns.
pub(crate) const UNREAD_NS: u64 = 1_000_000;
/// The same for each page of the receive ring if it is half full, in ns: 100 us for a full one.
const HURRY_NS: u64 = 400;

/// A time in which frames are left unread, in ns.
#[derive(Clone, Copy)]
pub(crate) struct Unread {
    pub(crate) since: u64,
    pub(crate) until: u64,
}

/// What is known of the frames that a vif receives.
#[derive(Default)]
pub(crate) struct Intake {
    /// The vifs that frames of its last burst left by, a bit for each.
    pub(crate) outputs: u64,
    /// Frames are left unread.
    pub(crate) unread: Option<Unread>,
    /// Vifs that nothing is left unread for now, a bit for each.
    pub(crate) given_up: u64,
    /// Slots of the ring for which that is so.
    pub(crate) owed: usize,
}

impl Intake {
    /// Counts slots that were read while outputs are given up.
    #[cold]
    pub(crate) fn count_read(&mut self, slots: usize) {
        self.owed = self.owed.saturating_sub(slots);
        if self.owed == 0 {
            self.given_up = 0;
        }
    }

    /// Receive responses of `queue` that are worth an event, where `usual` would be if none were
    /// left unread. `None` if those that are there are to stay unread for a while.
    pub(crate) fn worth_an_event<H: Hal>(&mut self, queue: &Queue<H>, usual: u32) -> Option<u32> {
        let Some(unread) = &mut self.unread else {
            return Some(usual);
        };
        let posted = queue.rx_posted();
        let half = (posted / 2).max(1);
        if queue.rx_available() < half {
            return u32::try_from(half).ok();
        }
        unread.until = unread.until.min(unread.since + HURRY_NS * posted as u64);
        None
    }
}
