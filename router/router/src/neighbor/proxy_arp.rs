//! Proxy ARP: answering for hosts that are reached through another interface (RFC 1027).

use core::net::Ipv4Addr;

use crate::frame::InterfaceId;
use crate::route::target::Target;
use crate::router::Router;

impl Router {
    /// Whether the router answers on an interface for this address, which isn't one of that link:
    /// if that was asked for, and packets to it don't go back there.
    pub(crate) fn is_proxy_for(&self, input: InterfaceId, address: Ipv4Addr) -> bool {
        let link = self.links.get(input.index());
        link.is_some_and(|l| l.allow.proxy_arp)
            && self.leads_elsewhere(input, self.vrfs.find(self.vrf_of(input), address.into()).1)
    }

    fn leads_elsewhere(&self, input: InterfaceId, target: Target) -> bool {
        match target {
            Target::Local => true,
            Target::Drop(_) | Target::Vrf(_) => false,
            Target::OnLink(at) => at != input.0,
            Target::Neighbor(index) => {
                let adjacency = self.neighbors.adjacencies.get(index as usize);
                adjacency.is_some_and(|a| a.out != input.0)
            }
            Target::Group(group) => self
                .vrfs
                .members(group)
                .all(|member| self.leads_elsewhere(input, member)),
        }
    }
}
