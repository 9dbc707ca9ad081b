//! The mapping between VLAN tags and interfaces.
//!
//! The router doesn't handle tags: the caller removes them when told to
//! ([`Verdict::Tagged`](crate::Verdict::Tagged)), and adds those of the outgoing interface
//! ([`Tables::port`](crate::Tables::port)).

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;

use wire::vlan::{MAX_TAGS, TAG_LEN, Tags};

use crate::frame::{Header, InterfaceId};
use crate::interface::ids::InterfaceIds;
use config::{Attachment, Config};

impl Header {
    /// Returns the length of its tags, in bytes.
    pub fn tags_len(&self) -> usize {
        Tags::parse(&self.0).map_or(0, |(_, len)| len)
    }

    /// Removes the tags. The gap at the end is filled from `next`, the bytes of the original frame
    /// from [`HEADER_LEN`](crate::HEADER_LEN) on.
    pub fn untag(&mut self, next: [u8; MAX_TAGS * TAG_LEN]) {
        let len = self.tags_len();
        wire::vlan::untag(&mut self.0, len, &next);
    }
}

/// The interfaces of each vif and their tags.
#[derive(Debug, Default)]
pub(crate) struct VlanMap {
    /// The vif of each interface, as the number of the interface that is the vif, and its tags.
    ports: Vec<(InterfaceId, Tags)>,
    /// Interfaces with tags, sorted by vif and tags.
    tagged: Vec<(InterfaceId, Tags, InterfaceId)>,
}

impl VlanMap {
    /// Creates the map of a configuration whose interfaces have these numbers.
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
        // A heap's code is a tenth of a quicksort's, and there are few entries.
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
