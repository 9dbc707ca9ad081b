//! What is due on links.

use crate::frame::InterfaceId;
use crate::router::{Egress, Router};
use crate::time::Instant;

impl Router {
    /// Does what is due on links, and says when the next thing is.
    pub(crate) fn link_timers(&mut self, now: Instant, out: &mut dyn Egress) -> Option<Instant> {
        for at in 0..self.links.len() {
            let Ok(interface) = u8::try_from(at).map(InterfaceId) else {
                break;
            };
            if self.links.get(at).is_some_and(|l| l.up && l.v6.is_some()) {
                self.mld_due(now, interface, out);
                self.dad_due(now, interface, out);
                self.advertise_due(now, interface, out);
            }
        }
        let up = self.links.iter().filter(|l| l.up);
        up.filter_map(|l| {
            let v6 = l.v6.as_ref().and_then(|v6| v6.due());
            v6.into_iter().chain(l.acd.due()).min()
        })
        .min()
    }
}
