//! The messages of the control ring (netif.h, "Control ring").

use bitflags::bitflags;

use super::{high, low, word};

/// Words of a slot of the control ring (16 octets).
pub const CTRL_WORDS: usize = 4;

bitflags! {
    /// What a hash is calculated over (`XEN_NETIF_CTRL_HASH_TYPE_*`). Of several that fit a
    /// packet, it is the one of more fields.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct HashTypes: u32 {
        /// Addresses of IPv4.
        const IPV4 = 1 << 0;
        /// Addresses of IPv4 and ports of TCP.
        const IPV4_TCP = 1 << 1;
        /// Addresses of IPv6.
        const IPV6 = 1 << 2;
        /// Addresses of IPv6 and ports of TCP.
        const IPV6_TCP = 1 << 3;
    }
}

/// `XEN_NETIF_CTRL_HASH_ALGORITHM_NONE`: the backend chooses queues as it likes.
pub const HASH_ALGORITHM_NONE: u32 = 0;
/// `XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ`.
pub const HASH_ALGORITHM_TOEPLITZ: u32 = 1;

/// The most entries of the hash mapping: those that Linux's netback has room for
/// (`XEN_NETBK_MAX_HASH_MAPPING_SIZE`).
pub const MAX_HASH_MAPPING_SIZE: u32 = 128;

/// What is asked for on the control ring (`XEN_NETIF_CTRL_TYPE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CtrlType {
    /// Which [`HashTypes`] the backend can calculate.
    GetHashFlags = 1,
    /// Calculate those in `data[0]`.
    SetHashFlags = 2,
    /// Take a key of `data[1]` octets from the start of the page granted as `data[0]`.
    SetHashKey = 3,
    /// The number of entries that the hash mapping may have.
    GetHashMappingSize = 4,
    /// The hash mapping has `data[0]` entries, all 0; with none, the queue is the hash
    /// modulo the number of queues.
    SetHashMappingSize = 5,
    /// Take `data[1]` entries of the hash mapping, from number `data[2]` on, from the start of the
    /// page granted as `data[0]`.
    SetHashMapping = 6,
    /// Hash as `data[0]` says: `HASH_ALGORITHM_*`.
    SetHashAlgorithm = 7,
    /// The number of pages that can be granted for good.
    GetGrefMappingSize = 8,
    /// Grant pages for good.
    AddGrefMapping = 9,
    /// No longer.
    DelGrefMapping = 10,
}

/// `struct xen_netif_ctrl_request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CtrlRequest {
    /// Echoed in the response.
    pub id: u16,
    /// A [`CtrlType`], echoed in the response.
    pub kind: u16,
    /// As the type says; 0 where it says nothing.
    pub data: [u32; 3],
}

impl CtrlRequest {
    /// As words of the slot.
    #[must_use]
    pub const fn encode(self) -> [u32; CTRL_WORDS] {
        let [a, b, c] = self.data;
        [word(self.id, self.kind), a, b, c]
    }

    /// From words of the slot, for a backend.
    #[must_use]
    pub const fn decode(words: [u32; CTRL_WORDS]) -> Self {
        let [first, a, b, c] = words;
        Self {
            id: low(first),
            kind: high(first),
            data: [a, b, c],
        }
    }
}

/// What became of a request (`XEN_NETIF_CTRL_STATUS_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CtrlStatus {
    /// It was done.
    Success,
    /// The backend can't do such a thing.
    NotSupported,
    /// It makes no sense to the backend.
    InvalidParameter,
    /// It is more than the backend has room for.
    BufferOverflow,
    /// A status from after this was written, so not a success.
    Unknown(u32),
}

impl CtrlStatus {
    const fn decode(status: u32) -> Self {
        match status {
            0 => Self::Success,
            1 => Self::NotSupported,
            2 => Self::InvalidParameter,
            3 => Self::BufferOverflow,
            _ => Self::Unknown(status),
        }
    }

    const fn encode(self) -> u32 {
        match self {
            Self::Success => 0,
            Self::NotSupported => 1,
            Self::InvalidParameter => 2,
            Self::BufferOverflow => 3,
            Self::Unknown(status) => status,
        }
    }
}

impl core::fmt::Display for CtrlStatus {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Success => f.write_str("success"),
            Self::NotSupported => f.write_str("not supported"),
            Self::InvalidParameter => f.write_str("invalid parameter"),
            Self::BufferOverflow => f.write_str("too large"),
            Self::Unknown(status) => write!(f, "unknown status {status}"),
        }
    }
}

/// `struct xen_netif_ctrl_response`, three words of the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CtrlResponse {
    /// Reflects the id of the request.
    pub id: u16,
    /// Reflects its type.
    pub kind: u16,
    /// What became of it.
    pub status: CtrlStatus,
    /// As the type says, if it was a success.
    pub data: u32,
}

impl CtrlResponse {
    /// From words of the slot.
    #[must_use]
    pub const fn decode(words: [u32; 3]) -> Self {
        let [first, status, data] = words;
        Self {
            id: low(first),
            kind: high(first),
            status: CtrlStatus::decode(status),
            data,
        }
    }

    /// As words of the slot, for a backend.
    #[must_use]
    pub const fn encode(self) -> [u32; 3] {
        let first = word(self.id, self.kind);
        [first, self.status.encode(), self.data]
    }
}
