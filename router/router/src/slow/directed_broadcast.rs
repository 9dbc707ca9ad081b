//! Directed broadcasts: packets to all hosts of a network here, from elsewhere (RFC 2644).

use alloc::vec::Vec;

use crate::frame::InterfaceId;
use crate::neighbor::table::{NEVER, Purpose, State};
use crate::route::overlay::Overlay;
use crate::route::target::Target;
use crate::router::Router;
use crate::time::Instant;
use wire::addr::Mac;

impl Router {
    /// Lets packets to the broadcast addresses of a table's links go there, where that is allowed.
    /// Such an address is a neighbour whose station is all stations; what came in a link-layer
    /// broadcast already isn't for it (RFC 1812 5.3.4).
    pub(crate) fn connect_broadcasts(&mut self, vrf: u8, fib: &mut Overlay<u32>) {
        for at in 0..self.links.len() {
            let link = self.links.get(at).filter(|l| l.up && l.vrf == vrf);
            let Some(link) = link.filter(|l| l.allow.directed_broadcast) else {
                continue;
            };
            let Ok(interface) = u8::try_from(at).map(InterfaceId) else {
                break;
            };
            let ends = link.addresses.iter().filter_map(|n| n.broadcast());
            for end in ends.collect::<Vec<_>>() {
                let place = self.neighbor(Instant(0), interface, end.into(), Purpose::Learn);
                let Some(index) = place else {
                    continue;
                };
                if let Some(entry) = self.neighbors.entry_mut(index) {
                    entry.pinned = entry.pinned.max(1);
                }
                self.neighbors.set(index, State::Static, NEVER);
                self.open_neighbor(index, interface, Mac::BROADCAST);
                if let Ok(index) = u32::try_from(index) {
                    fib.add(end.to_bits(), 32, Target::Neighbor(index));
                }
            }
        }
    }
}
