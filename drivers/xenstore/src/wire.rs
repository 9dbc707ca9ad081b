//! Messages between a guest and xenstored (`io/xs_wire.h`).
//!
//! A message is a header of four 32-bit words (`struct xsd_sockmsg`) and at most
//! [`PAYLOAD_MAX`] bytes. Both directions are byte streams: [`Decoder`] finds the messages in
//! one, however it is cut.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use alloc::vec::Vec;
use core::fmt;

/// Bytes of a header (`struct xsd_sockmsg`).
pub const HEADER_LEN: usize = 16;
/// The most bytes a message may carry (`XENSTORE_PAYLOAD_MAX`). xenstored ends the connection
/// of a guest that sends more.
pub const PAYLOAD_MAX: usize = 4096;
/// The longest absolute path (`XENSTORE_ABS_PATH_MAX`).
pub const ABS_PATH_MAX: usize = 3072;
/// The longest path relative to the domain's own (`XENSTORE_REL_PATH_MAX`).
pub const REL_PATH_MAX: usize = 2048;

/// The type of a message (`enum xsd_sockmsg_type`); only those that a guest may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// `XS_DIRECTORY`: names of a node's children.
    Directory = 1,
    /// `XS_READ`.
    Read = 2,
    /// `XS_WATCH`.
    Watch = 4,
    /// `XS_UNWATCH`.
    Unwatch = 5,
    /// `XS_TRANSACTION_START`.
    TransactionStart = 6,
    /// `XS_TRANSACTION_END`.
    TransactionEnd = 7,
    /// `XS_WRITE`.
    Write = 11,
    /// `XS_MKDIR`.
    Mkdir = 12,
    /// `XS_RM`.
    Remove = 13,
    /// `XS_WATCH_EVENT`: sent by xenstored unasked.
    WatchEvent = 15,
    /// `XS_ERROR`: the answer to a request that failed.
    Error = 16,
    /// `XS_RESET_WATCHES`.
    ResetWatches = 21,
    /// `XS_DIRECTORY_PART`: a piece of a directory too large for one message.
    DirectoryPart = 22,
}

/// `struct xsd_sockmsg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// A [`Kind`], as a number: the peer may send any.
    pub kind: u32,
    /// The requester's id, repeated in the reply.
    pub req_id: u32,
    /// The transaction, or 0.
    pub tx_id: u32,
    /// Bytes that follow.
    pub len: u32,
}

impl Header {
    /// Returns the header as it goes over the wire (little endian, as every Xen guest on x86).
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let words = [self.kind, self.req_id, self.tx_id, self.len];
        for (slot, word) in bytes.chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Parses a header.
    #[must_use]
    pub fn from_bytes(bytes: [u8; HEADER_LEN]) -> Self {
        let [
            k0,
            k1,
            k2,
            k3,
            r0,
            r1,
            r2,
            r3,
            t0,
            t1,
            t2,
            t3,
            l0,
            l1,
            l2,
            l3,
        ] = bytes;
        Self {
            kind: u32::from_le_bytes([k0, k1, k2, k3]),
            req_id: u32::from_le_bytes([r0, r1, r2, r3]),
            tx_id: u32::from_le_bytes([t0, t1, t2, t3]),
            len: u32::from_le_bytes([l0, l1, l2, l3]),
        }
    }

    /// Returns `true` if this is a message of `kind`.
    #[must_use]
    pub fn is(&self, kind: Kind) -> bool {
        self.kind == kind as u32
    }
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its header; `header.len` is the length of `payload`.
    pub header: Header,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// Error returned when a header announces more bytes than a message may have, after which the
/// stream can't be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversize {
    /// The announced length.
    pub len: u32,
}

impl fmt::Display for Oversize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a message of {} bytes exceeds the limit", self.len)
    }
}

impl core::error::Error for Oversize {}

/// Finds messages in a byte stream.
///
/// Holds at most one incomplete message beyond what [`Decoder::push`] was last given.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// Bytes at the front that were already decoded.
    taken: usize,
}

impl Decoder {
    /// Adds bytes that arrived. Take the messages out before adding more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next whole message, if there is one.
    ///
    /// # Errors
    /// [`Oversize`], and from then on at every call.
    pub fn next_message(&mut self) -> Result<Option<Message>, Oversize> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let Some((header, rest)) = rest.split_first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let header = Header::from_bytes(*header);
        let len = match usize::try_from(header.len) {
            Ok(len) if len <= PAYLOAD_MAX => len,
            _ => return Err(Oversize { len: header.len }),
        };
        let Some(payload) = rest.get(..len) else {
            return Ok(None);
        };
        let payload = payload.to_vec();
        self.taken = self.taken.saturating_add(HEADER_LEN).saturating_add(len);
        Ok(Some(Message { header, payload }))
    }
}

macro_rules! errnos {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The error of a refused request (`xsd_errors`), which is transmitted by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Errno {
            $($(#[$doc])* $variant,)*
            /// A name that `xs_wire.h` doesn't have.
            Other,
        }

        impl Errno {
            /// Every error with a name.
            pub const NAMED: &[Errno] = &[$(Errno::$variant),*];

            /// Returns the error that an `XS_ERROR` payload names.
            #[must_use]
            pub fn parse(payload: &[u8]) -> Self {
                match payload.strip_suffix(b"\0").unwrap_or(payload) {
                    $(name if name == $name.as_bytes() => Self::$variant,)*
                    _ => Self::Other,
                }
            }

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other => "an unknown error",
                }
            }
        }
    };
}

errnos! {
    /// The request makes no sense to xenstored.
    Invalid = "EINVAL",
    /// Not for this domain.
    Access = "EACCES",
    /// Already there.
    Exists = "EEXIST",
    /// It is a directory.
    IsDirectory = "EISDIR",
    /// No such node.
    NoEntry = "ENOENT",
    /// xenstored has no memory left.
    NoMemory = "ENOMEM",
    /// A quota of this domain is used up.
    NoSpace = "ENOSPC",
    /// xenstored failed.
    Io = "EIO",
    /// The directory is not empty.
    NotEmpty = "ENOTEMPTY",
    /// xenstored doesn't know this request.
    NoSys = "ENOSYS",
    /// Read only.
    ReadOnly = "EROFS",
    /// Busy.
    Busy = "EBUSY",
    /// The transaction met another one.
    Again = "EAGAIN",
    /// Already connected.
    IsConnected = "EISCONN",
    /// The answer would exceed one message.
    TooBig = "E2BIG",
    /// Not permitted.
    Permission = "EPERM",
    /// A quota is used up (`oxenstored`).
    Quota = "EQUOTA",
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for Errno {}

/// Splits a payload into its NUL-terminated strings; a last one without its NUL counts too.
///
/// Like C's string lists: `a\0b\0` is two strings, the empty payload none.
pub fn strings(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let list = payload.strip_suffix(b"\0").unwrap_or(payload);
    let none = payload.is_empty();
    list.split(|byte| *byte == 0).filter(move |_| !none)
}

/// One piece of a large directory (`XS_DIRECTORY_PART`).
#[derive(Debug, PartialEq, Eq)]
pub struct DirectoryPart<'a> {
    /// Changes whenever the directory does.
    pub generation: &'a [u8],
    /// The piece of the list, in which every name ends in NUL.
    pub list: &'a [u8],
    /// `true` if the list ends with this piece.
    pub last: bool,
}

impl<'a> DirectoryPart<'a> {
    /// Takes a reply apart. `None` if it can't be one.
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let end = payload.iter().position(|byte| *byte == 0)?;
        let (generation, rest) = payload.split_at(end);
        let rest = rest.strip_prefix(b"\0")?;
        // The end of the list is marked by an empty string.
        let (list, last) = match rest {
            [list @ .., 0] if list.is_empty() || list.ends_with(b"\0") => (list, true),
            [.., 0] => (rest, false),
            _ => return None,
        };
        Some(Self {
            generation,
            list,
            last,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: u32, req_id: u32, payload: &[u8]) -> Message {
        let len = u32::try_from(payload.len()).unwrap();
        Message {
            header: Header {
                kind,
                req_id,
                tx_id: 0,
                len,
            },
            payload: payload.to_vec(),
        }
    }

    fn encode(message: &Message) -> Vec<u8> {
        let mut bytes = message.header.to_bytes().to_vec();
        bytes.extend_from_slice(&message.payload);
        bytes
    }

    #[test]
    fn kinds_have_the_numbers_of_xs_wire_h() {
        let table = [
            (Kind::Directory, 1),
            (Kind::Read, 2),
            (Kind::Watch, 4),
            (Kind::Unwatch, 5),
            (Kind::TransactionStart, 6),
            (Kind::TransactionEnd, 7),
            (Kind::Write, 11),
            (Kind::Mkdir, 12),
            (Kind::Remove, 13),
            (Kind::WatchEvent, 15),
            (Kind::Error, 16),
            (Kind::ResetWatches, 21),
            (Kind::DirectoryPart, 22),
        ];
        for (kind, number) in table {
            assert_eq!(kind as u32, number, "{kind:?}");
        }
    }

    #[test]
    fn header_is_four_words_in_order() {
        let header = Header {
            kind: 2,
            req_id: 0x0403_0201,
            tx_id: 7,
            len: 258,
        };
        let bytes = [2, 0, 0, 0, 1, 2, 3, 4, 7, 0, 0, 0, 2, 1, 0, 0];
        assert_eq!(header.to_bytes(), bytes);
        assert_eq!(Header::from_bytes(bytes), header);
    }

    #[test]
    fn the_largest_payload_passes_and_one_more_byte_ends_the_stream() {
        let largest = message(2, 1, &[b'x'; PAYLOAD_MAX]);
        let mut decoder = Decoder::default();
        decoder.push(&encode(&largest));
        assert_eq!(decoder.next_message(), Ok(Some(largest)));
        assert_eq!(decoder.next_message(), Ok(None));

        for len in [4097, 0x8000_0000, u32::MAX] {
            let mut decoder = Decoder::default();
            decoder.push(
                &Header {
                    kind: 2,
                    req_id: 1,
                    tx_id: 0,
                    len,
                }
                .to_bytes(),
            );
            assert_eq!(decoder.next_message(), Err(Oversize { len }));
            decoder.push(b"anything");
            assert_eq!(decoder.next_message(), Err(Oversize { len }));
        }
    }

    #[test]
    fn errors_by_name() {
        for errno in Errno::NAMED {
            let mut payload = errno.name().as_bytes().to_vec();
            assert_eq!(Errno::parse(&payload), *errno);
            payload.push(0);
            assert_eq!(Errno::parse(&payload), *errno);
        }
        let table: [&[u8]; 7] = [
            b"",
            b"\0",
            b"enoent\0",
            b"ENOENT\0\0",
            b"ENOEN",
            b"ENOENT ",
            b"\xff\xfe",
        ];
        for payload in table {
            assert_eq!(Errno::parse(payload), Errno::Other, "{payload:?}");
        }
    }

    #[test]
    fn string_lists() {
        let table: [(&[u8], &[&[u8]]); 8] = [
            (b"", &[]),
            (b"\0", &[b""]),
            (b"a", &[b"a"]),
            (b"a\0", &[b"a"]),
            (b"a\0b\0", &[b"a", b"b"]),
            (b"a\0b", &[b"a", b"b"]),
            (b"\0\0", &[b"", b""]),
            (b"a\0\0b\0", &[b"a", b"", b"b"]),
        ];
        for (payload, expected) in table {
            assert_eq!(
                strings(payload).collect::<Vec<_>>(),
                expected,
                "{payload:?}"
            );
        }
    }

    #[test]
    fn directory_parts() {
        let part = |generation, list, last| {
            Some(DirectoryPart {
                generation,
                list,
                last,
            })
        };
        let table: [(&[u8], Option<DirectoryPart<'_>>); 9] = [
            (b"12\0a\0b\0", part(b"12", b"a\0b\0", false)),
            (b"12\0a\0b\0\0", part(b"12", b"a\0b\0", true)),
            (b"12\0\0", part(b"12", b"", true)),
            (b"\0a\0\0", part(b"", b"a\0", true)),
            (b"", None),
            (b"12", None),
            (b"12\0", None),
            (b"12\0a", None),
            (b"12\0a\0b", None),
        ];
        for (payload, expected) in table {
            assert_eq!(DirectoryPart::parse(payload), expected, "{payload:?}");
        }
    }

    proptest! {
        #[test]
        fn however_the_stream_is_cut_the_messages_are_the_same(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..12),
            cuts in prop::collection::vec(1usize..64, 1..40),
        ) {
            let sent: Vec<Message> =
                payloads.iter().zip(0..).map(|(p, id)| message(id * 7, id, p)).collect();
            let stream: Vec<u8> = sent.iter().flat_map(encode).collect();
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, tail) = rest.split_at((*cut).min(rest.len()));
                rest = tail;
                decoder.push(piece);
                while let Some(message) = decoder.next_message().unwrap() {
                    got.push(message);
                }
            }
            prop_assert_eq!(got, sent);
        }
    }
}
