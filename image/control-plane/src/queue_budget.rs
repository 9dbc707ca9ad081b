//! How many queues a vif may have, so that what xenstored and Xen give a domain is enough for all vifs.
//!
//! Each configured vif has the same part of both, whether it is there or not: one that comes last finds
//! as much as the first one. Fewer queues come before fewer vifs.

/// Entries of xenstore that a domain may own where the administrator of dom0 says nothing else:
/// `quota-maxentity` of oxenstored, `quota nodes` of C xenstored.
const ENTRIES: usize = 1000;
/// Of these, for what isn't a vif's: the toolstack's directories, what the guest says of itself and
/// answers to commands.
const OTHER_ENTRIES: usize = 200;
/// Entries of a vif beside its queues: what the toolstack writes, features, the control ring.
const VIF_ENTRIES: usize = 20;
/// Entries of a queue: a directory, two rings, two event channels.
const QUEUE_ENTRIES: usize = 5;
/// Event channels of a queue: to send and to receive.
const QUEUE_CHANNELS: usize = 2;
/// Event channels of a vif beside its queues: of the control ring.
const VIF_CHANNELS: usize = 1;

/// Returns how many event channels this many vifs need for as many queues each.
#[must_use]
pub(crate) fn channels_for(vifs: usize, queues: usize) -> usize {
    vifs * (VIF_CHANNELS + queues * QUEUE_CHANNELS)
}

/// Returns how many queues each of `vifs` vifs may have if they have `channels` event channels
/// together; one at least.
pub(crate) fn queues_each(vifs: usize, channels: usize) -> usize {
    let share =
        |all: usize, own: usize, queue: usize| (all / vifs.max(1)).saturating_sub(own) / queue;
    let by_entries = share(ENTRIES - OTHER_ENTRIES, VIF_ENTRIES, QUEUE_ENTRIES);
    let by_channels = share(channels, VIF_CHANNELS, QUEUE_CHANNELS);
    by_entries.min(by_channels).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_vifs_have_the_same_part() {
        let plenty = 4096;
        for (vifs, queues) in [(0, 156), (1, 156), (8, 16), (13, 8), (16, 6)] {
            assert_eq!(queues_each(vifs, plenty), queues, "{vifs}");
            let entries = vifs * (VIF_ENTRIES + queues * QUEUE_ENTRIES);
            assert!(entries <= ENTRIES - OTHER_ENTRIES);
        }
        for (channels, queues) in [(272, 6), (127, 3), (48, 1), (0, 1)] {
            assert_eq!(queues_each(16, channels), queues, "{channels}");
        }
        assert_eq!(queues_each(16, channels_for(16, 5)), 5);
    }
}
