//! The messages of Xen's io/netif.h, as the 32-bit words of a ring slot.
//!
//! Names are those of the header; "tx" and "rx" are from the frontend's point of view. All messages
//! are whole words in little-endian order (the only one supported), so they are parsed with shifts,
//! and a shared page is never viewed as a struct.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod control;
mod extra;

use bitflags::bitflags;
use xen_hal::GrantRef;

pub use self::control::{
    CTRL_WORDS, CtrlRequest, CtrlResponse, CtrlStatus, CtrlType, HASH_ALGORITHM_NONE,
    HASH_ALGORITHM_TOEPLITZ, HashTypes, MAX_HASH_MAPPING_SIZE,
};
pub use self::extra::{BadExtra, Extra, ExtraInfo, Gso, GsoKind, is_lone_hash};

/// Words of a transmit slot (12 octets).
pub const TX_WORDS: usize = 3;
/// Words of a receive slot (8 octets).
pub const RX_WORDS: usize = 2;
/// The number of slots of a packet that every backend has to accept (`XEN_NETIF_NR_SLOTS_MIN`).
pub const MAX_SLOTS: usize = 18;
/// The maximum number of slots of a received packet, not counting extra infos. netif.h has no such
/// limit; this is what Linux's netfront accepts.
pub const MAX_RX_SLOTS: usize = MAX_SLOTS + 1;
/// The maximum length of a packet that can be sent, in octets (`XEN_NETIF_MAX_TX_SIZE`).
pub const MAX_TX_SIZE: u32 = 0xffff;

bitflags! {
    /// Flags of a transmit request (`NETTXF_*`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct TxFlags: u16 {
        /// The TCP or UDP checksum field contains only the sum of the pseudo-header.
        const CSUM_BLANK = 1 << 0;
        /// The packet's data is known to be undamaged.
        const DATA_VALIDATED = 1 << 1;
        /// The packet continues in the next request.
        const MORE_DATA = 1 << 2;
        /// Extra info follows.
        const EXTRA_INFO = 1 << 3;
    }

    /// Flags of a receive response (`NETRXF_*`). The first two are swapped against
    /// [`TxFlags`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct RxFlags: u16 {
        /// The packet's data is known to be undamaged.
        const DATA_VALIDATED = 1 << 0;
        /// The TCP or UDP checksum field contains only the sum of the pseudo-header.
        const CSUM_BLANK = 1 << 1;
        /// The packet continues in the next response.
        const MORE_DATA = 1 << 2;
        /// Extra info follows.
        const EXTRA_INFO = 1 << 3;
        /// The former way to announce a large packet; never requested, so never valid.
        const GSO_PREFIX = 1 << 4;
    }

    /// The state of a packet's TCP or UDP checksum. The bits are those of [`TxFlags`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Checksum: u8 {
        /// The checksum field contains only the sum of the pseudo-header, and has to be completed
        /// before the packet reaches a wire.
        const BLANK = 1 << 0;
        /// The data is known to be undamaged, no matter what the checksum says.
        const VALIDATED = 1 << 1;
    }
}

/// `NETIF_RSP_NULL`: the slot of an extra info.
pub const RSP_NULL: i16 = 1;
/// `NETIF_RSP_OKAY`.
pub const RSP_OKAY: i16 = 0;
/// `NETIF_RSP_ERROR`.
pub const RSP_ERROR: i16 = -1;
/// `NETIF_RSP_DROPPED`.
pub const RSP_DROPPED: i16 = -2;

/// Returns the low half of a word.
#[inline]
const fn low(word: u32) -> u16 {
    (word & 0xffff) as u16
}

/// Returns the high half of a word.
#[inline]
const fn high(word: u32) -> u16 {
    (word >> 16) as u16
}

/// Returns a word from its halves.
#[inline]
const fn word(low: u16, high: u16) -> u32 {
    low as u32 | (high as u32) << 16
}

/// `netif_tx_request_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxRequest {
    /// The page.
    pub gref: GrantRef,
    /// The offset of the fragment in it.
    pub offset: u16,
    /// `NETTXF_*`.
    pub flags: TxFlags,
    /// Echoed in the response.
    pub id: u16,
    /// The size of the whole packet in its first slot, of the fragment in the others.
    pub size: u16,
}

impl TxRequest {
    /// Returns the words of the slot.
    #[must_use]
    #[inline]
    pub const fn encode(self) -> [u32; TX_WORDS] {
        [
            self.gref.0,
            word(self.offset, self.flags.bits()),
            word(self.id, self.size),
        ]
    }

    /// Parses the words of the slot, for a backend.
    #[must_use]
    pub const fn decode(words: [u32; TX_WORDS]) -> Self {
        Self {
            gref: GrantRef(words[0]),
            offset: low(words[1]),
            flags: TxFlags::from_bits_retain(high(words[1])),
            id: low(words[2]),
            size: high(words[2]),
        }
    }
}

/// `netif_tx_response_t`, one word of the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxResponse {
    /// The id of the request; meaningless for [`RSP_NULL`].
    pub id: u16,
    /// `NETIF_RSP_*`.
    pub status: i16,
}

impl TxResponse {
    /// Parses the first word of the slot.
    #[must_use]
    #[inline]
    pub const fn decode([first]: [u32; 1]) -> Self {
        Self {
            id: low(first),
            status: high(first).cast_signed(),
        }
    }

    /// Returns the first word of the slot, for a backend.
    #[must_use]
    pub const fn encode(self) -> [u32; 1] {
        [word(self.id, self.status.cast_unsigned())]
    }
}

/// `netif_rx_request_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxRequest {
    /// Echoed in the response.
    pub id: u16,
    /// The page to receive into.
    pub gref: GrantRef,
}

impl RxRequest {
    /// Returns the words of the slot.
    #[must_use]
    #[inline]
    pub const fn encode(self) -> [u32; RX_WORDS] {
        [word(self.id, 0), self.gref.0]
    }

    /// Parses the words of the slot, for a backend.
    #[must_use]
    pub const fn decode(words: [u32; RX_WORDS]) -> Self {
        Self {
            id: low(words[0]),
            gref: GrantRef(words[1]),
        }
    }
}

/// `netif_rx_response_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxResponse {
    /// The id of the request.
    pub id: u16,
    /// The offset of the fragment in its page.
    pub offset: u16,
    /// `NETRXF_*`.
    pub flags: RxFlags,
    /// Negative: `NETIF_RSP_*`; positive: the fragment's size.
    pub status: i16,
}

impl RxResponse {
    /// Parses the words of the slot.
    #[must_use]
    #[inline]
    pub const fn decode(words: [u32; RX_WORDS]) -> Self {
        Self {
            id: low(words[0]),
            offset: high(words[0]),
            flags: RxFlags::from_bits_retain(low(words[1])),
            status: high(words[1]).cast_signed(),
        }
    }

    /// Returns the words of the slot, for a backend.
    #[must_use]
    pub const fn encode(self) -> [u32; RX_WORDS] {
        [
            word(self.id, self.offset),
            word(self.flags.bits(), self.status.cast_unsigned()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Octets of the words, as they lie in the page.
    fn octets<const N: usize>(words: [u32; N]) -> impl Iterator<Item = u8> {
        words.into_iter().flat_map(u32::to_le_bytes)
    }

    #[test]
    fn messages_lie_as_in_the_header() {
        let tx = TxRequest {
            gref: GrantRef(0x0403_0201),
            offset: 0x0605,
            flags: TxFlags::CSUM_BLANK | TxFlags::MORE_DATA,
            id: 0x0a09,
            size: 0x0c0b,
        };
        assert!(octets(tx.encode()).eq([1, 2, 3, 4, 5, 6, 5, 0, 9, 10, 11, 12]));
        let rx = RxRequest {
            id: 0x0201,
            gref: GrantRef(0x0807_0605),
        };
        assert!(octets(rx.encode()).eq([1, 2, 0, 0, 5, 6, 7, 8]));
        let rsp = RxResponse {
            id: 0x0201,
            offset: 0x0403,
            flags: RxFlags::CSUM_BLANK,
            status: -2,
        };
        assert!(octets(rsp.encode()).eq([1, 2, 3, 4, 2, 0, 0xfe, 0xff]));
        let rsp = TxResponse {
            id: 0x0201,
            status: RSP_ERROR,
        };
        assert!(octets(rsp.encode()).eq([1, 2, 0xff, 0xff]));
        let ctrl = CtrlRequest {
            id: 0x0201,
            kind: CtrlType::SetHashKey as u16,
            data: [0x0807_0605, 40, 0],
        };
        let expected = [1, 2, 3, 0, 5, 6, 7, 8, 40, 0, 0, 0, 0, 0, 0, 0];
        assert!(octets(ctrl.encode()).eq(expected));
        let rsp = CtrlResponse {
            id: 0x0201,
            kind: CtrlType::GetHashFlags as u16,
            status: CtrlStatus::BufferOverflow,
            data: 0x0807_0605,
        };
        assert!(octets(rsp.encode()).eq([1, 2, 1, 0, 3, 0, 0, 0, 5, 6, 7, 8]));
        let gso = Extra::Gso(Gso {
            kind: GsoKind::TcpV6,
            size: 0x0403,
        });
        let extra = ExtraInfo {
            extra: gso,
            more: true,
        };
        assert!(octets(extra.encode()).eq([1, 1, 3, 4, 2, 0, 0, 0]));
    }

    #[test]
    fn extras_that_cannot_be() {
        for bytes in [
            [0_u8, 0, 0, 0, 0, 0, 0, 0], // of no type
            [0, 1, 9, 9, 1, 0, 0, 0],
            [1, 0, 0, 0, 1, 0, 0, 0],   // cut into nothing
            [1, 0, 100, 0, 0, 0, 0, 0], // no kind
            [1, 0, 100, 0, 3, 0, 0, 0], // an unknown kind
        ] {
            let (halves, _) = bytes.as_chunks::<4>();
            let words = [u32::from_le_bytes(halves[0]), u32::from_le_bytes(halves[1])];
            assert_eq!(
                ExtraInfo::decode(words),
                Err(BadExtra { kind: bytes[0] }),
                "{bytes:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(a: u32, b: u32, c: u32, d: u32) {
            let words = [a, b, c, d];
            prop_assert_eq!(CtrlRequest::decode(words).encode(), words);
            prop_assert_eq!(CtrlResponse::decode([a, b, c]).encode(), [a, b, c]);
            prop_assert_eq!(CtrlResponse::decode([a, b % 5, c]).encode(), [a, b % 5, c]);
            prop_assert_eq!(TxRequest::decode([a, b, c]).encode(), [a, b, c]);
            prop_assert_eq!(RxResponse::decode([a, b]).encode(), [a, b]);
            prop_assert_eq!(TxResponse::decode([a]).encode(), [a]);
            prop_assert_eq!(RxRequest::decode([a & 0xffff, b]).encode(), [a & 0xffff, b]);
            if let Ok(extra) = ExtraInfo::decode([a, b]) {
                prop_assert_eq!(ExtraInfo::decode(extra.encode()), Ok(extra));
            }
        }
    }
}
