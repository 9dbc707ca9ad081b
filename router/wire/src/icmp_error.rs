//! The errors that ICMP reports to senders, of either family.

/// An error to report to a packet's sender, of either family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IcmpError {
    /// No route to the destination.
    NetUnreachable,
    /// The destination, on a link of the router's, doesn't answer.
    HostUnreachable,
    /// The destination doesn't know the transport protocol (IPv4 only: in IPv6 it is a
    /// [`Parameter::NextHeader`]).
    ProtocolUnreachable,
    /// Nobody serves the port at the destination.
    PortUnreachable,
    /// With the MTU of the next link (RFC 1191, RFC 4443 3.2).
    FragmentationNeeded(u16),
    /// A policy forbids it.
    Prohibited,
    /// TTL or hop limit exceeded in transit.
    TimeExceeded,
    /// Fragments that never came.
    ReassemblyTime,
    /// The next address of a source route can't be reached as it says.
    SourceRouteFailed,
    /// A source address that has no meaning where the packet would go (IPv6 only).
    BeyondScope,
    /// A field that makes no sense, by its offset in the packet.
    Parameter(Parameter, u32),
}

/// What is wrong with a field (RFC 4443 3.4); the numbers are those of the code. IPv4 has one code
/// for all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Parameter {
    /// A header field.
    Field = 0,
    /// An unrecognized next header.
    NextHeader = 1,
    /// An option that is to be reported; for packets to groups only if it says so.
    Option = 2,
    /// An option that is to be reported for packets to groups as well.
    OptionEvenForGroups = 3,
}

impl IcmpError {
    /// Type and code in ICMP for IPv4 (RFC 792, RFC 1812 5.2.7.1).
    pub(crate) fn v4(self) -> (u8, u8) {
        match self {
            Self::NetUnreachable => (3, 0),
            Self::HostUnreachable => (3, 1),
            Self::ProtocolUnreachable => (3, 2),
            Self::PortUnreachable => (3, 3),
            Self::FragmentationNeeded(_) => (3, 4),
            Self::SourceRouteFailed => (3, 5),
            Self::Prohibited | Self::BeyondScope => (3, 13),
            Self::TimeExceeded => (11, 0),
            Self::ReassemblyTime => (11, 1),
            Self::Parameter(..) => (12, 0),
        }
    }

    /// Type, code and the 32 bits behind the checksum in ICMPv6 (RFC 4443 3).
    pub fn v6(self) -> (u8, u8, u32) {
        match self {
            Self::NetUnreachable => (1, 0, 0),
            Self::Prohibited => (1, 1, 0),
            Self::BeyondScope => (1, 2, 0),
            Self::HostUnreachable => (1, 3, 0),
            Self::ProtocolUnreachable | Self::PortUnreachable => (1, 4, 0),
            Self::SourceRouteFailed => (1, 7, 0),
            Self::FragmentationNeeded(mtu) => (2, 0, mtu.into()),
            Self::TimeExceeded => (3, 0, 0),
            Self::ReassemblyTime => (3, 1, 0),
            Self::Parameter(Parameter::OptionEvenForGroups, at) => (4, 2, at),
            Self::Parameter(what, at) => (4, what as u8, at),
        }
    }

    /// Returns `true` if it is reported for packets to groups as well (RFC 4443 2.4 (e.3)).
    pub fn even_for_groups(self) -> bool {
        matches!(
            self,
            Self::FragmentationNeeded(_) | Self::Parameter(Parameter::OptionEvenForGroups, _)
        )
    }
}
