//! A lane: what each forwarding CPU has to itself, so that it doesn't write to memory that others
//! use.

use alloc::vec::Vec;

use lpm::epochs;

use crate::forward::punt_queue::{PuntQueue, Punted};
use crate::frame::{FrameFlags, FrameMeta, InterfaceId, MAX_INTERFACES};
use crate::tables::Tables;
use crate::{Counters, DropReason};

/// A number of frames and of their bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// The counters of one forwarding CPU, and the frames that it leaves to the slow path.
///
/// Any number of lanes can forward at the same time, since they only read the [`Tables`]
/// ([`Lane::process`]). The router periodically collects from the lanes:
/// [`Router::gather_punts`](crate::Router::gather_punts) before
/// [`Router::poll`](crate::Router::poll), and
/// [`Router::gather_counters`](crate::Router::gather_counters) before counters are read or
/// interfaces change.
#[derive(Debug, Default)]
pub struct Lane {
    /// What was sent on each interface; [`MAX_INTERFACES`] of them.
    pub(crate) traffic: Vec<Traffic>,
    /// All other counters, by interface.
    pub(crate) counters: Vec<Counters>,
    pub(crate) punts: PuntQueue,
    /// Frames being processed whose tags belong to other interfaces.
    pub(crate) for_others: Traffic,
    /// `true` if the interface that frames come in on may send a redirect now.
    pub(crate) redirect_due: bool,
    /// Announces that the lane has finished its lookups. The router's own lane has none, since
    /// nothing changes while it looks up.
    pub(crate) epoch: Option<epochs::Lane>,
}

impl Lane {
    /// Creates a lane for this many interfaces.
    pub(crate) fn new(interfaces: usize) -> Self {
        Self {
            traffic: alloc::vec![Traffic::default(); MAX_INTERFACES],
            counters: alloc::vec![Counters::default(); interfaces],
            ..Self::default()
        }
    }

    /// Returns the lane with an `epoch`, which announces when it has finished its lookups.
    pub(crate) fn with(mut self, epoch: epochs::Lane) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// Announces that nothing is processed for a while, as before a sleep. Otherwise memory that
    /// route changes free is only reused after this lane's next burst.
    pub fn rest(&mut self) {
        if let Some(epoch) = &mut self.epoch {
            epoch.offline();
        }
    }

    /// Queues a whole frame for the slow path. `read` is called with a slice of `meta.len` bytes
    /// and fills it with the frame. Returns `false` if the queue is full; `read` isn't called then,
    /// and the frame is counted as dropped.
    ///
    /// A large frame is punted as its segments. All but the first have
    /// [`FrameFlags::LATER_SEGMENT`], and count as made by the router.
    pub fn punt(
        &mut self,
        tables: &Tables,
        input: InterfaceId,
        meta: FrameMeta,
        read: impl FnOnce(&mut [u8]),
    ) -> bool {
        let (vif, _) = tables.vlans.port(input);
        if meta.flags.contains(FrameFlags::LATER_SEGMENT) {
            self.with_counters(input, |c| c.originated += 1);
        }
        let taken = self.punts.push(Punted { input, vif, meta }, read);
        if !taken {
            self.drop_frames(input, DropReason::PuntFull, 1);
        }
        taken
    }

    /// Returns `true` if frames wait for the slow path.
    #[inline]
    pub fn has_punts(&self) -> bool {
        self.punts.len() > 0
    }

    /// Counts received frames that the caller lost without forwarding them as dropped.
    #[inline]
    pub fn count_drop(&mut self, interface: InterfaceId, reason: DropReason, frames: u64) {
        self.drop_frames(interface, reason, frames);
    }

    /// Counts segments of a large frame, other than the first, for which there was no room in the
    /// slow path and [`punt`](Self::punt) wasn't called.
    pub fn count_unpunted_segments(&mut self, input: InterfaceId, segments: u64) {
        self.with_counters(input, |c| c.originated += segments);
        self.drop_frames(input, DropReason::PuntFull, segments);
    }

    /// Corrects the counters for frames that were to be forwarded but found no room on the outgoing
    /// interface `out`: they are counted as [`DropReason::TxFull`] there instead of as sent.
    #[inline]
    pub fn count_tx_full(&mut self, out: InterfaceId, frames: u64, bytes: u64) {
        self.count_unsent(out, DropReason::TxFull, frames, bytes);
    }

    /// Corrects the counters for frames that were to be forwarded but can't be sent on the outgoing
    /// interface `out`: they are counted as dropped there instead of as sent.
    #[inline]
    pub fn count_unsent(&mut self, out: InterfaceId, reason: DropReason, frames: u64, bytes: u64) {
        if let Some(traffic) = self.traffic.get_mut(out.index()) {
            traffic.packets = traffic.packets.wrapping_sub(frames);
            traffic.bytes = traffic.bytes.wrapping_sub(bytes);
        }
        self.drop_frames(out, reason, frames);
    }

    #[inline]
    pub(crate) fn with_counters(&mut self, interface: InterfaceId, f: impl FnOnce(&mut Counters)) {
        if let Some(counters) = self.counters.get_mut(interface.index()) {
            f(counters);
        }
    }

    #[inline]
    pub(crate) fn drop_frames(&mut self, interface: InterfaceId, reason: DropReason, frames: u64) {
        self.with_counters(interface, |c| c.drop(reason, frames));
    }

    #[inline]
    pub(crate) fn count_received(&mut self, interface: InterfaceId, frames: u64, bytes: u64) {
        self.with_counters(interface, |c| {
            c.rx_packets += frames;
            c.rx_bytes += bytes;
        });
    }

    #[inline(always)]
    pub(crate) fn count_sent(&mut self, out: u8, len: u32) {
        if let Some(traffic) = self.traffic.get_mut(usize::from(out)) {
            traffic.packets += 1;
            traffic.bytes += u64::from(len);
        }
    }

    /// Resizes the counters to the first `interfaces` numbers.
    pub(crate) fn resize(&mut self, interfaces: usize) {
        self.counters.resize_with(interfaces, Counters::default);
    }

    /// Resets the counters of an interface.
    pub(crate) fn forget(&mut self, interface: InterfaceId) {
        if let Some(counters) = self.counters.get_mut(interface.index()) {
            *counters = Counters::default();
        }
        if let Some(traffic) = self.traffic.get_mut(interface.index()) {
            *traffic = Traffic::default();
        }
    }

    /// Returns the counters of an interface, if it exists.
    pub(crate) fn counters(&self, interface: InterfaceId) -> Option<Counters> {
        let mut counters = self.counters.get(interface.index())?.clone();
        let traffic = self.traffic.get(interface.index())?;
        counters.tx_packets = traffic.packets;
        counters.tx_bytes = traffic.bytes;
        Some(counters)
    }

    /// Adds another lane's counters, and resets those to 0 for as many interfaces as this lane has.
    pub(crate) fn gather_counters(&mut self, other: &mut Self) {
        for (mine, theirs) in self.traffic.iter_mut().zip(&mut other.traffic) {
            let Traffic { packets, bytes } = core::mem::take(theirs);
            mine.packets = mine.packets.wrapping_add(packets);
            mine.bytes = mine.bytes.wrapping_add(bytes);
        }
        for (mine, theirs) in self.counters.iter_mut().zip(&other.counters) {
            mine.add(theirs);
        }
        other.counters.clear();
        other
            .counters
            .resize_with(self.counters.len(), Counters::default);
    }
}
