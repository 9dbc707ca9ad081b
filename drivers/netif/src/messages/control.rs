//! The messages of the control ring (netif.h, "Control ring").

use bitflags::bitflags;

use super::{high, low, word};

/// Words of a slot of the control ring (16 octets).
pub const CTRL_WORDS: usize = 4;

bitflags! {
    /// The fields that a hash is calculated over (`XEN_NETIF_CTRL_HASH_TYPE_*`). If several match a
    /// packet, the one with more fields is used.
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

/// `XEN_NETIF_CTRL_HASH_ALGORITHM_NONE`: the backend chooses queues on its own.
pub const HASH_ALGORITHM_NONE: u32 = 0;
/// `XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ`.
pub const HASH_ALGORITHM_TOEPLITZ: u32 = 1;

/// The maximum number of entries of the hash mapping: as many as Linux's netback supports
/// (`XEN_NETBK_MAX_HASH_MAPPING_SIZE`).
pub const MAX_HASH_MAPPING_SIZE: u32 = 128;

/// The type of a control request (`XEN_NETIF_CTRL_TYPE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CtrlType {
    /// Get the [`HashTypes`] that the backend supports.
    GetHashFlags = 1,
    /// Set the hash types to `data[0]`.
    SetHashFlags = 2,
    /// Set the key to the first `data[1]` octets of the page granted as `data[0]`.
    SetHashKey = 3,
    /// Get the maximum number of entries of the hash mapping.
    GetHashMappingSize = 4,
    /// Set the hash mapping to `data[0]` entries of 0; without entries, the queue is the hash
    /// modulo the number of queues.
    SetHashMappingSize = 5,
    /// Set `data[1]` entries of the hash mapping, starting with entry `data[2]`, from the start of
    /// the page granted as `data[0]`.
    SetHashMapping = 6,
    /// Set the hash algorithm to `data[0]` (`HASH_ALGORITHM_*`).
    SetHashAlgorithm = 7,
    /// Get the maximum number of staging grants.
    GetGrefMappingSize = 8,
    /// Add staging grants.
    AddGrefMapping = 9,
    /// Remove staging grants.
    DelGrefMapping = 10,
}

/// `struct xen_netif_ctrl_request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CtrlRequest {
    /// Echoed in the response.
    pub id: u16,
    /// A [`CtrlType`], echoed in the response.
    pub kind: u16,
    /// The arguments of the type; unused ones are 0.
    pub data: [u32; 3],
}

impl CtrlRequest {
    /// Returns the words of the slot.
    #[must_use]
    pub const fn encode(self) -> [u32; CTRL_WORDS] {
        let [a, b, c] = self.data;
        [word(self.id, self.kind), a, b, c]
    }

    /// Parses the words of the slot, for a backend.
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

/// The status of a request (`XEN_NETIF_CTRL_STATUS_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CtrlStatus {
    /// Success.
    Success,
    /// The backend doesn't support the request.
    NotSupported,
    /// A parameter is invalid.
    InvalidParameter,
    /// The backend has no room for it.
    BufferOverflow,
    /// An unknown status, which is not a success.
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
    /// The type of the request.
    pub kind: u16,
    /// The status.
    pub status: CtrlStatus,
    /// The result, if the type has one and the request succeeded.
    pub data: u32,
}

impl CtrlResponse {
    /// Parses the words of the slot.
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

    /// Returns the words of the slot, for a backend.
    #[must_use]
    pub const fn encode(self) -> [u32; 3] {
        let first = word(self.id, self.kind);
        [first, self.status.encode(), self.data]
    }
}
