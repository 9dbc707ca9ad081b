//! The features that the two ends negotiate through keys in xenstore.

use bitflags::bitflags;

bitflags! {
    /// The features of one end (netif.h; [`KEYS`] has their keys).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Features: u32 {
        /// Packets are copied into the frontend's pages. Backends announce this with
        /// `feature-rx-copy`, frontends request it with `request-rx-copy`.
        const RX_COPY = 1 << 0;
        /// Notifications of receive requests (`feature-rx-notify`, of a frontend).
        const RX_NOTIFY = 1 << 1;
        /// Separate event channels for transmit and receive
        /// (`feature-split-event-channels`, of a backend).
        const SPLIT_EVENT_CHANNELS = 1 << 2;
        /// Packets in several slots (`feature-sg`).
        const SG = 1 << 3;
        /// Large TCP packets in IPv4 (`feature-gso-tcpv4`).
        const GSO_TCPV4 = 1 << 4;
        /// Large TCP packets in IPv6 (`feature-gso-tcpv6`).
        const GSO_TCPV6 = 1 << 5;
        /// Blank checksums in IPv4: on unless `feature-no-csum-offload` is set.
        const CSUM_IPV4 = 1 << 6;
        /// Blank checksums in IPv6: off unless `feature-ipv6-csum-offload` is set.
        const CSUM_IPV6 = 1 << 7;
        /// A control ring (`feature-ctrl-ring`, of a backend).
        const CTRL_RING = 1 << 8;
        /// A filter of multicast addresses (`feature-multicast-control`, of a backend).
        const MULTICAST_CONTROL = 1 << 9;
        /// Multicast filtering can be switched at any time (`feature-dynamic-multicast-control`, of
        /// a backend).
        const DYNAMIC_MULTICAST_CONTROL = 1 << 10;
    }
}

/// A key in xenstore for a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name, below the directory of the end that has the feature.
    pub name: &'static str,
    /// The feature.
    pub feature: Features,
    /// `true` if "1" means that the feature is absent.
    pub negated: bool,
}

const fn key(name: &'static str, feature: Features) -> Key {
    Key {
        name,
        feature,
        negated: false,
    }
}

/// The keys of all features. A missing key means "0".
pub const KEYS: [Key; 11] = [
    key("feature-rx-copy", Features::RX_COPY),
    key("feature-rx-notify", Features::RX_NOTIFY),
    key(
        "feature-split-event-channels",
        Features::SPLIT_EVENT_CHANNELS,
    ),
    key("feature-sg", Features::SG),
    key("feature-gso-tcpv4", Features::GSO_TCPV4),
    key("feature-gso-tcpv6", Features::GSO_TCPV6),
    Key {
        name: "feature-no-csum-offload",
        feature: Features::CSUM_IPV4,
        negated: true,
    },
    key("feature-ipv6-csum-offload", Features::CSUM_IPV6),
    key("feature-ctrl-ring", Features::CTRL_RING),
    key("feature-multicast-control", Features::MULTICAST_CONTROL),
    key(
        "feature-dynamic-multicast-control",
        Features::DYNAMIC_MULTICAST_CONTROL,
    ),
];

impl Features {
    /// Reads the features of one end. `is_set` must return `true` for a key that exists with a
    /// value other than 0.
    #[must_use]
    pub fn read(mut is_set: impl FnMut(&'static str) -> bool) -> Self {
        KEYS.into_iter()
            .filter(|key| is_set(key.name) != key.negated)
            .map(|key| key.feature)
            .collect()
    }

    /// Returns the keys and values by which a frontend announces these features.
    /// (`request-rx-copy`, which isn't a feature but a request, is not among them.)
    pub fn frontend_keys(self) -> impl Iterator<Item = (&'static str, bool)> {
        const OF_FRONTENDS: Features = Features::RX_NOTIFY
            .union(Features::SG)
            .union(Features::GSO_TCPV4)
            .union(Features::GSO_TCPV6)
            .union(Features::CSUM_IPV4)
            .union(Features::CSUM_IPV6);
        KEYS.into_iter()
            .filter(|key| OF_FRONTENDS.contains(key.feature))
            .map(move |key| (key.name, self.contains(key.feature) != key.negated))
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_backend_that_says_nothing_can_checksum_ipv4() {
        assert_eq!(Features::read(|_| false), Features::CSUM_IPV4);
        let all = Features::read(|key| key != "feature-no-csum-offload");
        assert_eq!(all, Features::all());
        assert_eq!(
            Features::read(|key| key == "feature-no-csum-offload"),
            Features::empty()
        );
    }

    #[test]
    fn a_frontend_is_understood() {
        for bits in 0..1 << 8 {
            let said = Features::from_bits_truncate(bits)
                - Features::RX_COPY
                - Features::SPLIT_EVENT_CHANNELS;
            let keys: BTreeMap<_, _> = said.frontend_keys().collect();
            assert_eq!(Features::read(|key| keys.get(key) == Some(&true)), said);
        }
    }
}
