//! The counters of an interface.

use crate::DropReason;

/// The counters of an interface since it was first configured.
///
/// Over all interfaces, `rx + originated = tx + consumed + dropped + pending`, where
/// dropped leaves out what was lost before it was received
/// ([`DropReason::before_receive`]) and pending is what [`Router::pending`] returns.
///
/// [`Router::pending`]: crate::Router::pending
#[derive(Clone, Debug)]
pub struct Counters {
    /// Frames received.
    pub rx_packets: u64,
    /// Bytes received, Ethernet headers included.
    pub rx_bytes: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes sent, Ethernet headers included.
    pub tx_bytes: u64,
    /// Received frames that were for the router itself: its addresses, ARP.
    pub consumed: u64,
    /// Frames that the router made itself: replies, ICMP errors, ARP, further fragments, and
    /// further segments of a large frame that didn't pass as one.
    pub originated: u64,
    /// ICMP errors sent because of frames received here.
    pub icmp_errors: u64,
    /// ICMP errors not sent because of the rate limit (RFC 1812 4.3.2.8) or because a queue was
    /// full.
    pub icmp_suppressed: u64,
    /// Redirects sent because of frames received here.
    pub icmp_redirects: u64,
    /// Neighbors replaced by newer ones.
    pub neighbors_evicted: u64,
    drops: [u64; DropReason::COUNT],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            rx_packets: 0,
            rx_bytes: 0,
            tx_packets: 0,
            tx_bytes: 0,
            consumed: 0,
            originated: 0,
            icmp_errors: 0,
            icmp_suppressed: 0,
            icmp_redirects: 0,
            neighbors_evicted: 0,
            drops: [0; DropReason::COUNT],
        }
    }
}

impl Counters {
    /// Returns the number of frames dropped here for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason as usize).copied().unwrap_or(0)
    }

    /// Returns the number of frames dropped here for any reason but those of
    /// [`DropReason::before_receive`].
    pub fn dropped_total(&self) -> u64 {
        DropReason::ALL
            .iter()
            .filter(|r| !r.before_receive())
            .map(|&r| self.dropped(r))
            .sum()
    }

    /// Adds the counts of another lane.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self {
            rx_packets,
            rx_bytes,
            tx_packets,
            tx_bytes,
            consumed,
            originated,
            icmp_errors,
            icmp_suppressed,
            icmp_redirects,
            neighbors_evicted,
            drops,
        } = other;
        let add = |mine: &mut u64, theirs: &u64| *mine = mine.wrapping_add(*theirs);
        add(&mut self.rx_packets, rx_packets);
        add(&mut self.rx_bytes, rx_bytes);
        add(&mut self.tx_packets, tx_packets);
        add(&mut self.tx_bytes, tx_bytes);
        add(&mut self.consumed, consumed);
        add(&mut self.originated, originated);
        add(&mut self.icmp_errors, icmp_errors);
        add(&mut self.icmp_suppressed, icmp_suppressed);
        add(&mut self.icmp_redirects, icmp_redirects);
        add(&mut self.neighbors_evicted, neighbors_evicted);
        for (mine, theirs) in self.drops.iter_mut().zip(drops) {
            add(mine, theirs);
        }
    }

    pub(crate) fn drop(&mut self, reason: DropReason, n: u64) {
        if let Some(count) = self.drops.get_mut(reason as usize) {
            *count = count.wrapping_add(n);
        }
    }
}
