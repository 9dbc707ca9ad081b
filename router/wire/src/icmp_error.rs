//! ICMP errors, independent of the address family.

/// An error to report to the sender of an IPv4 or IPv6 packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IcmpError {
    /// No route to the destination.
    NetUnreachable,
    /// The destination is on a link of the router but doesn't answer.
    HostUnreachable,
    /// The destination doesn't support the transport protocol (IPv4 only; for IPv6 it is a
    /// [`Parameter::NextHeader`]).
    ProtocolUnreachable,
    /// The port is closed at the destination.
    PortUnreachable,
    /// The packet exceeds the MTU of the next link, which is given in bytes (RFC 1191, RFC 4443
    /// 3.2).
    FragmentationNeeded(u16),
    /// Communication is administratively prohibited.
    Prohibited,
    /// TTL or hop limit exceeded in transit.
    TimeExceeded,
    /// Fragment reassembly time exceeded.
    ReassemblyTime,
    /// The next address of a source route can't be reached as the route requires.
    SourceRouteFailed,
    /// The packet would leave the scope of its source address (IPv6 only).
    BeyondScope,
    /// A parameter problem, with the field's offset in the packet.
    Parameter(Parameter, u32),
}

/// The kind of a parameter problem. The discriminants are the ICMPv6 codes (RFC 4443 3.4); IPv4
/// uses code 0 for all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Parameter {
    /// A header field.
    Field = 0,
    /// An unrecognized next header.
    NextHeader = 1,
    /// An unrecognized option that is reported unless the packet was multicast.
    Option = 2,
    /// An unrecognized option that is reported for multicast packets as well.
    OptionEvenForMulticast = 3,
}

impl IcmpError {
    /// Returns the ICMP type and code for IPv4 (RFC 792, RFC 1812 5.2.7.1).
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

    /// Returns the ICMPv6 type, code and the 32 bits after the checksum (RFC 4443 3).
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
            Self::Parameter(Parameter::OptionEvenForMulticast, at) => (4, 2, at),
            Self::Parameter(what, at) => (4, what as u8, at),
        }
    }

    /// Returns `true` if the error is reported for multicast packets as well (RFC 4443 2.4 (e.3)).
    pub fn is_reported_for_multicast(self) -> bool {
        matches!(
            self,
            Self::FragmentationNeeded(_) | Self::Parameter(Parameter::OptionEvenForMulticast, _)
        )
    }
}
