//! A lane: what each forwarding CPU has to itself, so that it doesn't write to memory that others
//! use.

use alloc::sync::Arc;
use alloc::vec::Vec;

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

/// Frames that a lane left for the router. Whoever finds them locked goes on without.
pub(crate) type SharedPunts = Arc<spin::Mutex<PuntQueue>>;

/// What one CPU counts while it forwards, and the frames that it leaves to the slow path.
///
/// Any number of lanes can forward at the same time, since they only read the [`Tables`]
/// ([`Lane::process`]), each with a [`View`](crate::View) of them. Between bursts a lane offers what it has
/// for the slow path ([`Lane::offer_punts`]); what it counts the router gathers now and then, before
/// counters are read or interfaces change ([`Router::gather_counters`](crate::Router::gather_counters)).
#[derive(Debug, Default)]
pub struct Lane {
    /// What was sent on each interface; [`MAX_INTERFACES`] of them.
    pub(crate) traffic: Vec<Traffic>,
    /// All other counters, by interface.
    pub(crate) counters: Vec<Counters>,
    pub(crate) punts: PuntQueue,
    /// Where the router takes punted frames from. The router's own lane has none.
    pub(crate) offered: Option<SharedPunts>,
    /// Of the frames that are being processed, those with tags of other interfaces.
    pub(crate) for_others: Traffic,
    /// `true` if the interface that frames come in on may send a redirect now.
    pub(crate) redirect_due: bool,
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

    /// Queues a whole frame for the slow path. `read` fills the slice it is given, of
    /// `meta.len` bytes, with the frame; it isn't called if the queue is full. Returns `false`
    /// then; the frame is counted as dropped.
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

    /// Returns `true` if this lane has frames for the slow path that it didn't offer yet.
    #[inline]
    pub fn has_punts(&self) -> bool {
        self.punts.len() > 0
    }

    /// Lets the router have the punted frames, as far as there is room. Returns `true` if there were
    /// any: [`Router::poll`](crate::Router::poll) has something to do then. Waits for nobody: what can't
    /// be offered just now is to be offered again.
    pub fn offer_punts(&mut self) -> bool {
        if !self.has_punts() {
            return false;
        }
        if let Some(mut offered) = self.offered.as_ref().and_then(|all| all.try_lock()) {
            offered.take_from(&mut self.punts);
        }
        true
    }

    /// Counts frames that the caller lost, and that it didn't forward, as dropped on the interface
    /// that received them.
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
