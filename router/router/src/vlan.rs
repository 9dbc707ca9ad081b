//! Tags of IEEE 802.1Q: which sub-interface a frame is for, and how it is to be tagged.
//!
//! The router itself never sees a tag: whoever receives for it takes them off when it is told
//! so ([`Verdict::Tagged`]), and puts those of the outgoing interface on ([`Router::port`]).

use alloc::vec::Vec;

use crate::config::{Attachment, Config};
use crate::frame::{ETHERNET_LEN, FrameMeta, HEADER_LEN, Header, InterfaceId, Verdict};
use crate::lane::Lane;
use crate::router::Router;
use crate::wire::{be16, ethernet};

/// Bytes of a tag: its EtherType (TPID), and priority and VLAN identifier (TCI).
pub const TAG_LEN: usize = 4;
/// The most tags of a frame: a customer's within a provider's (QinQ).
pub const MAX_TAGS: usize = 2;
/// The highest VLAN identifier; 0 and 0xfff are reserved (802.1Q 9.6, table 9-2).
pub const VID_MAX: u16 = 0xffe;

/// Where tags begin: behind the two stations.
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
/// stations. Their priority is 0.
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

    /// These tags and another one inside of them, if there may be so many.
    #[must_use]
    pub fn with(mut self, tag: Tag) -> Option<Self> {
        let [a, b] = tag.protocol.ethertype().to_be_bytes();
        let [c, d] = (tag.vid & VID).to_be_bytes();
        let free = self.bytes.get_mut(usize::from(self.len)..)?;
        *free.first_chunk_mut()? = [a, b, c, d];
        self.len += TAG_LEN as u8;
        Some(self)
    }

    /// The bytes to insert behind the two stations.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The tags of a frame without their priorities, and how many bytes they are with those
    /// that have only a priority (VID 0). Nothing if there are more than the router knows, or
    /// no EtherType follows them.
    fn of(frame: &[u8]) -> Option<(Self, usize)> {
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

impl Header {
    /// How many bytes of tags it has.
    pub fn tags_len(&self) -> usize {
        Tags::of(&self.0).map_or(0, |(_, len)| len)
    }

    /// Takes the tags off. The bytes that thereby come into reach, those from
    /// [`HEADER_LEN`] on of the frame as it was, are `next`; as many of them as the tags had
    /// are used.
    pub fn untag(&mut self, next: [u8; MAX_TAGS * TAG_LEN]) {
        let len = self.tags_len();
        self.0.copy_within(TAGS_AT + len.., TAGS_AT);
        let end = self.0.get_mut(HEADER_LEN - len..);
        if let (Some(end), Some(next)) = (end, next.get(..len)) {
            end.copy_from_slice(next);
        }
    }
}

/// Which interfaces share a vif, and which tags tell them apart.
#[derive(Debug, Default)]
pub(crate) struct Vlans {
    /// The vif of each interface, named by the interface that is the vif, and its tags.
    ports: Vec<(InterfaceId, Tags)>,
    /// The same by vif and tags, in order, for those with tags.
    tagged: Vec<(InterfaceId, Tags, InterfaceId)>,
}

impl Vlans {
    pub(crate) fn new(config: &Config) -> Self {
        let mut vlans = Self::default();
        for (interface, config) in (0u8..).map(InterfaceId).zip(&config.interfaces) {
            let port = match config.attachment {
                Attachment::Vlan { parent, tag } => {
                    // Parents come first.
                    let parent = vlans.ports.get(parent).copied();
                    parent.and_then(|(vif, tags)| Some((vif, tags.with(tag)?)))
                }
                Attachment::Vif(_) | Attachment::Mac(_) | Attachment::Loopback => None,
            };
            let (vif, tags) = port.unwrap_or((interface, Tags::NONE));
            vlans.ports.push((vif, tags));
            if !tags.is_empty() {
                vlans.tagged.push((vif, tags, interface));
            }
        }
        vlans.tagged.sort_unstable();
        vlans
    }

    /// The vif of an interface and its tags.
    pub(crate) fn port(&self, interface: InterfaceId) -> (InterfaceId, Tags) {
        let port = self.ports.get(interface.index()).copied();
        port.unwrap_or((interface, Tags::NONE))
    }

    /// The interface on this vif whose frames have these tags.
    fn find(&self, vif: InterfaceId, tags: Tags) -> Option<InterfaceId> {
        if tags.is_empty() {
            return Some(vif);
        }
        let at = |&(v, t, _): &(InterfaceId, Tags, InterfaceId)| (v, t).cmp(&(vif, tags));
        let found = self.tagged.binary_search_by(at).ok()?;
        self.tagged.get(found).map(|&(_, _, interface)| interface)
    }
}

impl Router {
    /// Where frames for an interface leave: the interface that is the vif, and the tags they
    /// get.
    pub fn port(&self, interface: InterfaceId) -> (InterfaceId, Tags) {
        self.vlans.port(interface)
    }

    /// The verdict on a tagged frame, if its tags are those of an interface. It no longer
    /// counts as received here.
    pub(crate) fn tagged(
        &self,
        lane: &mut Lane,
        input: InterfaceId,
        header: &Header,
        meta: &FrameMeta,
    ) -> Option<Verdict> {
        // Only what comes from a vif has tags.
        let (vif, own) = self.vlans.port(input);
        if vif != input || !own.is_empty() {
            return None;
        }
        let len = HEADER_LEN.min(meta.len as usize);
        let (tags, _) = Tags::of(header.0.get(..len)?)?;
        let interface = self.vlans.find(vif, tags)?;
        lane.for_others.packets += 1;
        lane.for_others.bytes += u64::from(meta.len);
        Some(Verdict::Tagged(interface))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(tail: &[u8]) -> Header {
        let mut header = Header::default();
        for (at, byte) in header.0.iter_mut().enumerate() {
            *byte = at as u8;
        }
        header.0[TAGS_AT..TAGS_AT + tail.len()].copy_from_slice(tail);
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
            assert_eq!(Tags::of(&header(tail).0), wanted, "{tail:?}");
            // Without an EtherType there is no frame.
            assert_eq!(Tags::of(&header(tail).0[..TAGS_AT + tail.len() - 1]), None);
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
            let after = header.0;
            let next = [64, 65, 66, 67, 68, 69, 70, 71];
            header.untag(next);
            let all = [&after[..], &next].concat();
            let wanted = [&all[..TAGS_AT], &all[TAGS_AT + tags.len()..]].concat();
            assert_eq!(header.0[..], wanted[..HEADER_LEN]);
        }
    }
}
