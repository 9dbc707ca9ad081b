//! Limits how much is read from a vif's receive ring by the room at the outputs.
//!
//! The output of a frame is only known after it has been read. So the next frames of a vif are
//! assumed to go where those of its last burst went. If there is no room for a burst, frames are
//! left unread with the backend: room may come, and until then they cost nothing. But behind them
//! may be frames for elsewhere, which lose time and, once the ring is full, are lost. So they are
//! left unread for at most [`UNREAD_NS`] at a time. Then outputs without room are given up for all
//! that is there: it is read, and what is for them waits in their share of pages, or is dropped.
//!
//! Where there is no other vif that frames could leave by, they are left unread for up to
//! [`PATIENCE_NS`] after all was last read: a backend with one processor that is busy delivering
//! then turns to what it was sent, while what is read and dropped has it deliver more. If that
//! wasn't enough, it is the shorter time again for [`IMPATIENT_NS`].
//!
//! An output that completes nothing is given up at once. Where the CPU has nothing else to do,
//! frames are read sooner if half of the ring has come, before there is no page for more.

use netfront_rs::Queue;
use xen_hal::Hal;

/// How long frames are left unread at a time, in ns.
const UNREAD_NS: u64 = 1_000_000;
/// The same for each page of the receive ring if it is half full, in ns: 100 us for a full one.
const HURRY_NS: u64 = 400;
/// How long frames are left unread if they can go nowhere else, in ns.
const PATIENCE_NS: u64 = 16_000_000;
/// How long that isn't done after it was in vain, in ns.
const IMPATIENT_NS: u64 = 200_000_000;

/// A time in which frames are left unread, in ns.
#[derive(Clone, Copy)]
pub(crate) struct Unread {
    since: u64,
    pub(crate) until: u64,
    /// They can go nowhere else.
    alone: bool,
}

/// Outputs that have no room.
#[derive(Default)]
pub(crate) struct FullOutputs {
    /// A bit for each vif.
    pub(crate) vifs: u64,
    /// When one of them last completed something, in ns.
    pub(crate) progress: u64,
    /// There are no others.
    pub(crate) are_all: bool,
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
    /// Until when frames are left unread for the shorter time in any case, in ns.
    impatient_until: u64,
    /// Since when there have been frames that weren't read, in ns, as of `sleeps`.
    behind: u64,
    /// How often the CPU had slept when there was last no room.
    sleeps: u64,
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

    /// Returns `true` if frames are to be left unread, now or still, where they are expected to go
    /// to `full`. The CPU has slept `sleeps` times.
    pub(crate) fn leaves_unread(&mut self, full: &FullOutputs, now: u64, sleeps: u64) -> bool {
        if sleeps > self.sleeps + 1 {
            // It slept when all was read.
            self.behind = now;
        }
        self.sleeps = sleeps;
        if let Some(unread) = self.unread {
            if now < unread.until {
                return true;
            }
            self.unread = None;
            if unread.alone {
                self.impatient_until = now + IMPATIENT_NS;
            }
            return false;
        }
        let only_there = full.are_all && self.outputs & !full.vifs == 0;
        let alone = only_there && now >= self.impatient_until;
        let (since, time) = if alone {
            (self.behind, PATIENCE_NS)
        } else {
            (now, UNREAD_NS)
        };
        let until = since + time;
        if now < until && now.saturating_sub(full.progress) <= time {
            self.unread = Some(Unread {
                since,
                until,
                alone,
            });
            return true;
        }
        if alone {
            self.impatient_until = now + IMPATIENT_NS;
        }
        false
    }

    /// Receive responses of `queue` that are worth an event, where `usual` would be if none were
    /// left unread. `None` if those that are there are to stay unread for a while.
    pub(crate) fn worth_an_event<H: Hal>(&mut self, queue: &Queue<H>, usual: u32) -> Option<u32> {
        let Some(unread) = &mut self.unread else {
            return Some(usual);
        };
        if unread.alone {
            return None;
        }
        let posted = queue.rx_posted();
        let half = (posted / 2).max(1);
        if queue.rx_available() < half {
            return u32::try_from(half).ok();
        }
        unread.until = unread.until.min(unread.since + HURRY_NS * posted as u64);
        None
    }
}
