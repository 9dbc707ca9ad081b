//! Tags of IEEE 802.1Q and 802.1ad.

use crate::ethernet::ETHERNET_LEN;
use crate::{be16, ethernet};

/// Bytes of a tag: its EtherType (TPID), and priority and VLAN identifier (TCI).
pub const TAG_LEN: usize = 4;
/// The most tags of a frame: a customer's within a provider's (QinQ).
pub const MAX_TAGS: usize = 2;
/// The highest VLAN identifier; 0 and 0xfff are reserved (802.1Q 9.6, table 9-2).
pub const VID_MAX: u16 = 0xffe;

/// Where tags begin: behind the two MAC addresses.
const TAGS_AT: usize = ETHERNET_LEN - 2;
/// The bits of a TCI that name the VLAN.
const VID: u16 = 0xfff;

/// The kind of a tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TagProtocol {
    /// A customer's (C-TAG), EtherType 0x8100.
    Customer,
    /// A provider's (S-TAG, 802.1ad), EtherType 0x88a8.
    Service,
}

impl TagProtocol {
    const fn ethertype(self) -> u16 {
        match self {
            Self::Customer => ethernet::VLAN,
            Self::Service => ethernet::SERVICE_VLAN,
        }
    }

    /// As Linux names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customer => "802.1Q",
            Self::Service => "802.1ad",
        }
    }
}

/// What tells the frames of a sub-interface from others of its parent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag {
    /// The kind of tag.
    pub protocol: TagProtocol,
    /// The VLAN identifier, 1 to [`VID_MAX`].
    pub vid: u16,
}

/// The tags of an interface's frames, the outermost first, as they stand behind the two
/// MAC addresses. Their priority is 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Tags {
    bytes: [u8; MAX_TAGS * TAG_LEN],
    len: u8,
}

impl Tags {
    /// No tags: frames go out as they are.
    pub const NONE: Self = Self {
        bytes: [0; MAX_TAGS * TAG_LEN],
        len: 0,
    };

    /// These tags and another one inside of them, if there may be that many.
    #[must_use]
    pub fn with(mut self, tag: Tag) -> Option<Self> {
        let [a, b] = tag.protocol.ethertype().to_be_bytes();
        let [c, d] = (tag.vid & VID).to_be_bytes();
        let free = self.bytes.get_mut(usize::from(self.len)..)?;
        *free.first_chunk_mut()? = [a, b, c, d];
        self.len += TAG_LEN as u8;
        Some(self)
    }

    /// The bytes to insert behind the two MAC addresses.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Returns `true` if there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The tags of a frame without their priorities, and how many bytes they are with those
    /// that have only a priority (VID 0). `None` if there are more than [`MAX_TAGS`], or no
    /// EtherType follows them.
    pub fn parse(frame: &[u8]) -> Option<(Self, usize)> {
        let mut tags = Self::NONE;
        let mut at = TAGS_AT;
        loop {
            let protocol = match be16(frame.get(at..at + 2)?, 0) {
                ethernet::VLAN => TagProtocol::Customer,
                ethernet::SERVICE_VLAN => TagProtocol::Service,
                _ => return Some((tags, at - TAGS_AT)),
            };
            if at == TAGS_AT + MAX_TAGS * TAG_LEN {
                return None;
            }
            let vid = be16(frame.get(at + 2..at + TAG_LEN)?, 0) & VID;
            if vid != 0 {
                tags = tags.with(Tag { protocol, vid })?;
            }
            at += TAG_LEN;
        }
    }
}

/// Takes the tags of the frame that starts with `header` off, of which there are `len` bytes. The
/// bytes that thereby come into reach, those behind `header` in the frame as it was, are `next`; as
/// many of them as the tags had are used.
pub fn untag(header: &mut [u8], len: usize, next: &[u8; MAX_TAGS * TAG_LEN]) {
    let (Some(next), Some(rest)) = (next.get(..len), header.get_mut(TAGS_AT..)) else {
        return;
    };
    if rest.len() < len {
        return;
    }
    // Byte by byte, from the front: nothing here can panic, and there are few.
    for at in 0..rest.len() {
        let from = at + len;
        let byte = match rest.get(from) {
            Some(&byte) => Some(byte),
            None => next.get(from - rest.len()).copied(),
        };
        if let (Some(to), Some(byte)) = (rest.get_mut(at), byte) {
            *to = byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER_LEN: usize = 64;

    fn header(tail: &[u8]) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        for (at, byte) in header.iter_mut().enumerate() {
            *byte = at as u8;
        }
        header[TAGS_AT..TAGS_AT + tail.len()].copy_from_slice(tail);
        header
    }

    #[test]
    fn tags_are_read_without_priority() {
        let customer = |vid| Tag {
            protocol: TagProtocol::Customer,
            vid,
        };
        let service = |vid| Tag {
            protocol: TagProtocol::Service,
            vid,
        };
        let one = Tags::NONE.with(customer(100)).unwrap();
        let two = Tags::NONE.with(service(7)).unwrap();
        let two = two.with(customer(0xffe)).unwrap();
        assert_eq!(one.as_bytes(), [0x81, 0, 0, 100]);
        assert_eq!(two.as_bytes(), [0x88, 0xa8, 0, 7, 0x81, 0, 0xf, 0xfe]);
        assert_eq!(two.with(customer(1)), None);
        for (tail, wanted) in [
            (&[8, 0][..], Some((Tags::NONE, 0))),
            (&[0x81, 0, 0xe0, 100, 8, 0], Some((one, 4))),
            (&[0x81, 0, 0xe0, 0, 8, 6], Some((Tags::NONE, 4))),
            (&[0x81, 0, 0, 0, 0x81, 0, 0, 100, 8, 0], Some((one, 8))),
            (
                &[0x88, 0xa8, 0x10, 7, 0x81, 0, 0x2f, 0xfe, 8, 0],
                Some((two, 8)),
            ),
            (&[0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 8, 0], None),
        ] {
            assert_eq!(Tags::parse(&header(tail)), wanted, "{tail:?}");
            // Without an EtherType there is no frame.
            assert_eq!(Tags::parse(&header(tail)[..TAGS_AT + tail.len() - 1]), None);
        }
    }

    #[test]
    fn a_header_without_its_tags() {
        for tags in [
            &[][..],
            &[0x81, 0, 0, 1],
            &[0x88, 0xa8, 0, 2, 0x81, 0, 0, 1],
        ] {
            let mut header = header(&[tags, &[8, 0]].concat());
            let after = header;
            let next = [64, 65, 66, 67, 68, 69, 70, 71];
            untag(&mut header, tags.len(), &next);
            let all = [&after[..], &next].concat();
            let wanted = [&all[..TAGS_AT], &all[TAGS_AT + tags.len()..]].concat();
            assert_eq!(header[..], wanted[..HEADER_LEN]);
        }
    }
}
