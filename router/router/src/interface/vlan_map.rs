//! Which interface the frames of a VLAN are for.
//!
//! The router itself never sees a tag: whoever receives for it takes them off when it is told
//! so ([`Verdict::Tagged`](crate::Verdict::Tagged)), and puts those of the outgoing interface on ([`Tables::port`](crate::Tables::port)).

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;

use wire::vlan::{MAX_TAGS, TAG_LEN, Tags};

use crate::frame::{Header, InterfaceId};
use crate::interface::ids::InterfaceIds;
use config::{Attachment, Config};

impl Header {
    /// Returns how many bytes of tags it has.
    pub fn tags_len(&self) -> usize {
        Tags::parse(&self.0).map_or(0, |(_, len)| len)
    }

    /// Takes the tags off. The bytes that thereby come into reach, those from
    /// [`HEADER_LEN`](crate::HEADER_LEN) on of the frame as it was, are `next`; as many of them as the tags had
    /// are used.
    pub fn untag(&mut self, next: [u8; MAX_TAGS * TAG_LEN]) {
        let len = self.tags_len();
        wire::vlan::untag(&mut self.0, len, &next);
    }
}

/// Which interfaces share a vif, and which tags tell them apart.
#[derive(Debug, Default)]
pub(crate) struct VlanMap {
    /// The vif of each interface, named by the interface that is the vif, and its tags.
    ports: Vec<(InterfaceId, Tags)>,
    /// The same by vif and tags, in order, for those with tags.
    tagged: Vec<(InterfaceId, Tags, InterfaceId)>,
}

impl VlanMap {
    /// Returns those of a configuration whose interfaces have these numbers.
    pub(crate) fn new(config: &Config, ids: &InterfaceIds) -> Self {
        let untagged = (0u8..).map(|id| (InterfaceId(id), Tags::NONE));
        let mut vlans = Self {
            ports: untagged.take(ids.slots()).collect(),
            tagged: Vec::new(),
        };
        for (interface, config) in ids.iter().zip(&config.interfaces) {
            let port = match config.attachment {
                Attachment::Vlan { parent, tag } => {
                    // Parents come first.
                    let parent = ids.of(parent).map(|parent| vlans.port(parent));
                    parent.and_then(|(vif, tags)| Some((vif, tags.with(tag)?)))
                }
                Attachment::Vif(_) | Attachment::Mac(_) | Attachment::Loopback => None,
            };
            let (vif, tags) = port.unwrap_or((interface, Tags::NONE));
            if let Some(port) = vlans.ports.get_mut(interface.index()) {
                *port = (vif, tags);
            }
            if !tags.is_empty() {
                vlans.tagged.push((vif, tags, interface));
            }
        }
        // A heap's code is a tenth of a quicksort's, and these are few.
        vlans.tagged = BinaryHeap::from(vlans.tagged).into_sorted_vec();
        vlans
    }

    /// Returns the vif of an interface and its tags.
    #[inline]
    pub(crate) fn port(&self, interface: InterfaceId) -> (InterfaceId, Tags) {
        let port = self.ports.get(interface.index()).copied();
        port.unwrap_or((interface, Tags::NONE))
    }

    /// Returns `true` if there are interfaces on this vif whose frames have tags.
    pub(crate) fn has_tagged(&self, vif: InterfaceId) -> bool {
        self.tagged.iter().any(|&(on, ..)| on == vif)
    }

    /// Returns the interface on this vif whose frames have these tags.
    pub(crate) fn find(&self, vif: InterfaceId, tags: Tags) -> Option<InterfaceId> {
        if tags.is_empty() {
            return Some(vif);
        }
        let at = |&(v, t, _): &(InterfaceId, Tags, InterfaceId)| (v, t).cmp(&(vif, tags));
        let found = self.tagged.binary_search_by(at).ok()?;
        self.tagged.get(found).map(|&(_, _, interface)| interface)
    }
}
