//! Reasons why frames are dropped.

use wire::icmp_error::IcmpError;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// The reason why a frame was dropped. Each interface has a counter for each reason.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[$doc])* $variant,)*
        }

        impl DropReason {
            /// All reasons, in ascending order of their numbers.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// Returns the reason's name in counters: stable, in `snake_case`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

reasons! {
    /// Shorter than its headers say.
    Truncated => "truncated",
    /// Sent to another MAC address.
    OtherHost => "other_host",
    /// Has an 802.1Q or 802.1ad tag that no interface has, or more than two tags.
    Vlan => "vlan",
    /// An EtherType other than ARP, IPv4, IPv6 and VLAN tags.
    UnknownEthertype => "unknown_ethertype",
    /// IPv6 on an interface that has no IPv6 address.
    Ipv6Disabled => "ipv6_disabled",
    /// The IP version isn't that of the EtherType (RFC 1812 5.2.2 (3)).
    BadVersion => "bad_version",
    /// The IP header length is below 20 bytes or beyond the packet (RFC 1812 5.2.2 (4)).
    BadHeaderLength => "bad_header_length",
    /// The IP total length is below the header's or beyond the frame (RFC 1812 5.2.2 (5)).
    BadTotalLength => "bad_total_length",
    /// The IP header checksum is wrong (RFC 1812 5.2.2 (2)).
    BadChecksum => "bad_checksum",
    /// An IP option is malformed, or unknown with an action that rejects the packet (RFC 8200 4.2).
    BadOptions => "bad_options",
    /// A source address that no host may have (RFC 1812 5.3.7, RFC 4291).
    MartianSource => "martian_source",
    /// A link-local source or destination of a packet for another link (RFC 4291 2.5.6).
    BeyondScope => "beyond_scope",
    /// A source address that reverse-path filtering rejects (RFC 3704).
    ReversePath => "reverse_path",
    /// To an address of this router that isn't known to be unique (RFC 4862 5.4).
    TentativeAddress => "tentative_address",
    /// One of this router's own addresses as source, or a looped-back ARP packet.
    OwnSource => "own_source",
    /// A destination address that can't be forwarded to (RFC 1812 5.3.7).
    MartianDestination => "martian_destination",
    /// A unicast packet in a link-layer broadcast or multicast (RFC 1122 3.3.6).
    LinkBroadcast => "link_broadcast",
    /// Multicast that isn't for the router; multicast is never forwarded.
    Multicast => "multicast",
    /// The limited broadcast, or a directed one that isn't allowed (RFC 2644).
    Broadcast => "broadcast",
    /// A source route that isn't allowed (RFC 7126 4.3, 4.4), or a strict one whose next address
    /// isn't on a link.
    SourceRoute => "source_route",
    /// TTL or hop limit 0 or 1 on a packet to be forwarded.
    TtlExpired => "ttl_expired",
    /// No route to the destination.
    NoRoute => "no_route",
    /// Routes between routing tables form a cycle, which can happen while the link of another route
    /// is down.
    VrfLoop => "vrf_loop",
    /// A blackhole route.
    Blackhole => "blackhole",
    /// An unreachable route.
    Unreachable => "unreachable",
    /// A prohibit route.
    Prohibited => "prohibited",
    /// Larger than the next link's MTU, and not to be fragmented.
    TooBig => "too_big",
    /// The neighbor doesn't answer.
    NeighborUnreachable => "neighbor_unreachable",
    /// Too many frames wait for a neighbor to answer.
    NeighborQueueFull => "neighbor_queue_full",
    /// The neighbor table is full.
    NeighborTableFull => "neighbor_table_full",
    /// Too many new neighbors in a short time (RFC 6583 7.1).
    NeighborRateLimited => "neighbor_rate_limited",
    /// A malformed Neighbor Discovery message, or one from another link (RFC 4861 7.1).
    BadNd => "bad_nd",
    /// A neighbor uses an IPv6 address of the router's: a duplicate address.
    NdConflict => "nd_conflict",
    /// An ICMPv6 message whose checksum is wrong.
    BadIcmp => "bad_icmp",
    /// A packet for the router of a protocol that it doesn't support.
    UnknownProtocol => "unknown_protocol",
    /// A fragment for the router that is malformed, a duplicate, or overlaps another (RFC 8200 4.5,
    /// RFC 5722).
    BadFragment => "bad_fragment",
    /// Too many incomplete packets for the router.
    ReassemblyFull => "reassembly_full",
    /// A malformed ARP packet.
    BadArp => "bad_arp",
    /// An ARP packet about addresses that aren't on this link.
    ForeignArp => "foreign_arp",
    /// A neighbor uses an IPv4 address of the router's: an address conflict (RFC 5227).
    ArpConflict => "arp_conflict",
    /// Too many frames wait for the slow path.
    PuntFull => "punt_full",
    /// The outgoing interface is down.
    LinkDown => "link_down",
    /// The outgoing interface had no room: its ring was full, or its share of the pages was used
    /// up.
    TxFull => "tx_full",
    /// A large frame for a backend that accepts none, which can't be segmented: it isn't TCP, or
    /// its segments would be too small or too many ([`wire::offload::LEAST_MSS`]).
    BadGso => "bad_gso",
    /// No buffer to receive into.
    NoBuffer => "no_buffer",
    /// The backend reported an error with a received frame.
    RxError => "rx_error",
}

impl DropReason {
    /// The number of reasons.
    pub const COUNT: usize = Self::ALL.len();

    /// Returns `true` if the frame was lost before [`Router::process`](crate::Router::process) saw
    /// it, and isn't counted as received.
    pub const fn before_receive(self) -> bool {
        matches!(self, Self::NoBuffer | Self::RxError)
    }
}

impl From<wire::Error> for DropReason {
    fn from(error: wire::Error) -> Self {
        match error {
            wire::Error::Truncated => Self::Truncated,
            wire::Error::BadVersion => Self::BadVersion,
            wire::Error::BadHeaderLength => Self::BadHeaderLength,
            wire::Error::BadTotalLength => Self::BadTotalLength,
            wire::Error::BadChecksum => Self::BadChecksum,
            wire::Error::BadOptions => Self::BadOptions,
            wire::Error::UnknownProtocol => Self::UnknownProtocol,
            wire::Error::BadFragment => Self::BadFragment,
        }
    }
}

/// The reason why a packet is rejected, and the ICMP error to report, if any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refused(pub(crate) DropReason, pub(crate) Option<IcmpError>);

impl From<wire::ipv6_extension::Refused> for Refused {
    fn from(refused: wire::ipv6_extension::Refused) -> Self {
        Self(refused.0.into(), refused.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_numbers_are_indices() {
        for (i, a) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*a as usize, i);
            for b in &DropReason::ALL[i + 1..] {
                assert_ne!(a.name(), b.name());
            }
        }
    }
}
