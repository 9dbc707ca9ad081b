//! VLAN tags (IEEE 802.1Q and 802.1ad).

use crate::ethernet::ETHERNET_LEN;
use crate::{be16, ethernet};

/// The length of a tag in bytes: EtherType (TPID), and priority and VLAN identifier (TCI).
pub const TAG_LEN: usize = 4;
/// The maximum number of tags in a frame: a customer's within a provider's (QinQ).
pub const MAX_TAGS: usize = 2;
/// The highest VLAN identifier; 0 and 0xfff are reserved (802.1Q 9.6, table 9-2).
pub const VID_MAX: u16 = 0xffe;

/// The offset of tags in a frame: after the two MAC addresses.
const TAGS_AT: usize = ETHERNET_LEN - 2;
/// The bits of a TCI that name the VLAN.
const VID: u16 = 0xfff;

/// The type of a tag.
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

    /// Returns the protocol's name, as in `ip link`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customer => "802.1Q",
            Self::Service => "802.1ad",
        }
    }
}

/// The tag that distinguishes the frames of a sub-interface from others of its parent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag {
    /// The type of the tag.
    pub protocol: TagProtocol,
    /// The VLAN identifier, 1 to [`VID_MAX`].
    pub vid: u16,
}

/// The tags of an interface's frames, outermost first, as they follow the two MAC addresses. Their
/// priority is 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Tags {
    bytes: [u8; MAX_TAGS * TAG_LEN],
    len: u8,
}

impl Tags {
    /// No tags.
    pub const NONE: Self = Self {
        bytes: [0; MAX_TAGS * TAG_LEN],
        len: 0,
    };

    /// Returns these tags with another one inside them; `None` if there would be more than
    /// [`MAX_TAGS`].
    #[must_use]
    pub fn with(mut self, tag: Tag) -> Option<Self> {
        let [a, b] = tag.protocol.ethertype().to_be_bytes();
        let [c, d] = (tag.vid & VID).to_be_bytes();
        let free = self.bytes.get_mut(usize::from(self.len)..)?;
        *free.first_chunk_mut()? = [a, b, c, d];
        self.len += TAG_LEN as u8;
        Some(self)
    }

    /// Returns the bytes to insert after the two MAC addresses.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Returns `true` if there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the tags of a frame without their priorities, and their length in bytes including
    /// priority tags (VID 0). Returns `None` if there are more than [`MAX_TAGS`], or if no
    /// EtherType follows.
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

/// Removes `len` bytes of tags from the start of a frame, `header`. The gap at the end is filled
/// from `next`, which are the bytes that followed `header` in the original frame.
pub fn untag(header: &mut [u8], len: usize, next: &[u8; MAX_TAGS * TAG_LEN]) {
    let (Some(next), Some(rest)) = (next.get(..len), header.get_mut(TAGS_AT..)) else {
        return;
    };
    if rest.len() < len {
        return;
    }
    // Byte by byte from the front: this can't panic, and there are few.
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
