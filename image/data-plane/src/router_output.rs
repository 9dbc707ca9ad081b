//! The output of frames that the router makes.

use netif::Checksum;
use page_pool::{HEADER_LEN, HomeId, PagePool};
use router::vlan::Tags;
use router::{Egress, FrameMeta, InterfaceId, MAX_INTERFACES, NoRoom};
use xen_hal::Hal;

use crate::vif::Vif;
use crate::worker::LOCAL_PAGES_PER_VIF;

/// The vifs and pools of the worker that the slow path sends through.
pub(crate) struct RouterOutput<'a, H: Hal> {
    /// Where the frames of each interface leave: the vif, and their tags.
    pub(crate) ports: [(InterfaceId, Tags); MAX_INTERFACES],
    pub(crate) vifs: &'a mut [Option<Vif<H>>],
    pub(crate) pools: &'a mut [Option<PagePool<H>>],
}

impl<H: Hal> Egress for RouterOutput<'_, H> {
    fn room(&self, out: InterfaceId) -> usize {
        let port = self.ports.get(out.index());
        let vif = port.and_then(|(vif, _)| self.vifs.get(vif.index())?.as_ref());
        vif.filter(|vif| vif.up).map_or(0, |vif| {
            let own = LOCAL_PAGES_PER_VIF.saturating_sub(vif.unanswered);
            own.min(vif.queue.tx_free())
        })
    }

    fn send(&mut self, out: InterfaceId, bytes: &[u8], meta: FrameMeta) -> Result<(), NoRoom> {
        let &(vif, tags) = self.ports.get(out.index()).ok_or(NoRoom)?;
        let vif = self
            .vifs
            .get_mut(vif.index())
            .and_then(Option::as_mut)
            .ok_or(NoRoom)?;
        let pool = self
            .pools
            .get_mut(vif.pool)
            .and_then(Option::as_mut)
            .ok_or(NoRoom)?;
        if !vif.up || vif.unanswered >= LOCAL_PAGES_PER_VIF {
            return Err(NoRoom);
        }
        let mut frame = pool.alloc_frame(HomeId::LOCAL, bytes).ok_or(NoRoom)?;
        frame.set_checksum(Checksum::from_bits_truncate(meta.flags.bits()));
        let mut header = [0; HEADER_LEN];
        for (to, from) in header.iter_mut().zip(bytes) {
            *to = *from;
        }
        let (mut output, ..) = vif.output(pool);
        match output.send(frame, &header, tags.as_bytes()) {
            Ok(()) => {
                vif.unanswered += 1;
                Ok(())
            }
            Err((frame, _)) => {
                pool.free(frame);
                Err(NoRoom)
            }
        }
    }
}
