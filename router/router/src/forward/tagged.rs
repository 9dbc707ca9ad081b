//! Dispatch of frames with IEEE 802.1Q tags to the interfaces of a vif.

use wire::vlan::Tags;

use crate::forward::lane::Lane;
use crate::frame::{FrameMeta, HEADER_LEN, Header, InterfaceId, Verdict};
use crate::tables::Tables;

impl Tables {
    /// Returns the verdict about a tagged frame if an interface has its tags. The frame is then not
    /// counted as received here.
    pub(crate) fn tagged(
        &self,
        lane: &mut Lane,
        input: InterfaceId,
        header: &Header,
        meta: &FrameMeta,
    ) -> Option<Verdict> {
        // Only frames from a vif have tags.
        let (vif, own) = self.vlans.port(input);
        if vif != input || !own.is_empty() {
            return None;
        }
        let len = HEADER_LEN.min(meta.len as usize);
        let (tags, _) = Tags::parse(header.0.get(..len)?)?;
        let interface = self.vlans.find(vif, tags)?;
        lane.for_others.packets += 1;
        lane.for_others.bytes += u64::from(meta.len);
        Some(Verdict::Tagged(interface))
    }
}
