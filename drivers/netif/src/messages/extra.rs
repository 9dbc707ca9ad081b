//! Extra infos about a packet, in the slots after its first one (`netif_extra_info_t`).

use core::fmt;

/// The type of a large packet (`XEN_NETIF_GSO_TYPE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoKind {
    /// TCP in IPv4.
    TcpV4,
    /// TCP in IPv6.
    TcpV6,
}

/// The segmentation of a large packet (`u.gso` of `netif_extra_info_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// Its type.
    pub kind: GsoKind,
    /// The payload of each segment, in octets; not 0.
    pub size: u16,
}

/// `netif_extra_info_t`, the 8 octets that fit either slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtraInfo {
    /// Its contents.
    pub extra: Extra,
    /// `true` if another one follows (`XEN_NETIF_EXTRA_FLAG_MORE`).
    pub more: bool,
}

/// The contents of an extra info (`XEN_NETIF_EXTRA_TYPE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// Segmentation.
    Gso(Gso),
    /// Accept packets for a multicast address.
    McastAdd([u8; 6]),
    /// No longer accept them.
    McastDel([u8; 6]),
    /// The packet's hash.
    Hash {
        /// `_XEN_NETIF_CTRL_HASH_TYPE_*`.
        kind: u8,
        /// `XEN_NETIF_CTRL_HASH_ALGORITHM_*`.
        algorithm: u8,
        /// The hash.
        value: u32,
    },
    /// An unknown type.
    Unknown(u8),
}

/// Returns `true` if a slot contains a hash and no other extra info follows.
#[inline]
#[must_use]
pub fn is_lone_hash(words: [u32; 2]) -> bool {
    let [kind, flags, ..] = words[0].to_le_bytes();
    kind == EXTRA_HASH && flags & EXTRA_FLAG_MORE == 0
}

/// An invalid extra info: without a type, or with segments of size 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadExtra {
    /// The type it gave.
    pub kind: u8,
}

impl fmt::Display for BadExtra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad extra info of type {}", self.kind)
    }
}

impl core::error::Error for BadExtra {}

const EXTRA_GSO: u8 = 1;
const EXTRA_MCAST_ADD: u8 = 2;
const EXTRA_MCAST_DEL: u8 = 3;
const EXTRA_HASH: u8 = 4;
const EXTRA_FLAG_MORE: u8 = 1;

impl ExtraInfo {
    /// Parses the words of the slot.
    ///
    /// # Errors
    /// [`BadExtra`].
    pub const fn decode(words: [u32; 2]) -> Result<Self, BadExtra> {
        let [kind, flags, a, b] = words[0].to_le_bytes();
        let [c, d, e, f] = words[1].to_le_bytes();
        let extra = match kind {
            EXTRA_GSO => {
                let size = u16::from_le_bytes([a, b]);
                let kind = match c {
                    1 if size != 0 => GsoKind::TcpV4,
                    2 if size != 0 => GsoKind::TcpV6,
                    _ => return Err(BadExtra { kind }),
                };
                Extra::Gso(Gso { kind, size })
            }
            EXTRA_MCAST_ADD => Extra::McastAdd([a, b, c, d, e, f]),
            EXTRA_MCAST_DEL => Extra::McastDel([a, b, c, d, e, f]),
            EXTRA_HASH => Extra::Hash {
                kind: a,
                algorithm: b,
                value: words[1],
            },
            0 => return Err(BadExtra { kind }),
            _ => Extra::Unknown(kind),
        };
        Ok(Self {
            extra,
            more: flags & EXTRA_FLAG_MORE != 0,
        })
    }

    /// Returns the words of the slot.
    #[must_use]
    pub const fn encode(self) -> [u32; 2] {
        let flags = if self.more { EXTRA_FLAG_MORE } else { 0 };
        let (kind, a) = match self.extra {
            Extra::Gso(Gso { kind, size }) => {
                let [low, high] = size.to_le_bytes();
                let kind = match kind {
                    GsoKind::TcpV4 => 1,
                    GsoKind::TcpV6 => 2,
                };
                (EXTRA_GSO, [low, high, kind, 0, 0, 0])
            }
            Extra::McastAdd(address) => (EXTRA_MCAST_ADD, address),
            Extra::McastDel(address) => (EXTRA_MCAST_DEL, address),
            Extra::Hash {
                kind,
                algorithm,
                value,
            } => {
                let [v0, v1, v2, v3] = value.to_le_bytes();
                (EXTRA_HASH, [kind, algorithm, v0, v1, v2, v3])
            }
            Extra::Unknown(kind) => (kind, [0; 6]),
        };
        [
            u32::from_le_bytes([kind, flags, a[0], a[1]]),
            u32::from_le_bytes([a[2], a[3], a[4], a[5]]),
        ]
    }
}
