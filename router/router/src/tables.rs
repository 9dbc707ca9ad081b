//! What lanes read: interfaces, adjacencies, forwarding tables.

use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lpm::epochs::Epochs;
use wire::vlan::Tags;

use crate::DropReason;
use crate::frame::InterfaceId;
use crate::interface::Interface;
use crate::interface::vlan_map::VlanMap;
use crate::neighbor::adjacency::Adjacencies;
use crate::rng::Rng;
use crate::route::target::Target;
use crate::route::vrf::{Vrf, Vrfs};

/// What decides about each packet that is plainly forwarded, and nothing else: no queue, no timer
/// and no state of a protocol. Any number of [lanes](crate::Lane) read it at the same time.
///
/// A clone is small: it shares all that is large. Routes and neighbors change in what clones share; of what
/// else changes a clone has what it was.
#[derive(Clone)]
pub struct Tables {
    /// By [`InterfaceId`].
    pub(crate) interfaces: Arc<[Interface]>,
    /// Which interfaces share a vif.
    pub(crate) vlans: Arc<VlanMap>,
    /// How to send to each neighbor.
    pub(crate) adjacencies: Adjacencies,
    /// The routing tables.
    pub(crate) vrfs: Vrfs,
    /// The epochs by which lanes announce that they have finished lookups in the routing tables.
    pub(crate) epochs: Arc<Epochs>,
    /// The key of the flow hash.
    pub(crate) flow_key: u64,
}

impl Tables {
    /// Creates tables without interfaces, addresses and routes. `rng` makes what must be hard to guess so.
    pub(crate) fn new(rng: &mut Rng, lanes: usize) -> Self {
        let epochs = Arc::new(Epochs::new(lanes));
        Self {
            interfaces: Arc::new([]),
            vlans: Arc::default(),
            adjacencies: Adjacencies::new(rng.next()),
            vrfs: Vrfs::new(Vrf::new(rng.next(), &epochs)),
            epochs,
            flow_key: rng.next(),
        }
    }

    /// Returns `true` if a lane finds the same in these and in `other`.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.interfaces, &other.interfaces)
            && Arc::ptr_eq(&self.vlans, &other.vlans)
            && self.adjacencies.is_same(&other.adjacencies)
            && self.vrfs.is_same(&other.vrfs)
    }

    /// Returns an interface, to be changed.
    pub(crate) fn interface_mut(&mut self, id: InterfaceId) -> Option<&mut Interface> {
        Arc::make_mut(&mut self.interfaces).get_mut(id.index())
    }

    /// Returns an interface, if there is one with this number.
    #[inline]
    pub(crate) fn interface(&self, id: InterfaceId) -> Option<&Interface> {
        self.interfaces.get(id.index())
    }

    /// Returns `true` if an interface's link is up.
    #[inline]
    pub fn is_up(&self, interface: InterfaceId) -> bool {
        self.interface(interface).is_some_and(|i| i.up)
    }

    /// Returns the vif of an interface, as the interface that is the vif, and the tags of its
    /// frames.
    #[inline]
    pub fn port(&self, interface: InterfaceId) -> (InterfaceId, Tags) {
        self.vlans.port(interface)
    }

    /// Returns `true` if an interface is a vif that has sub-interfaces.
    pub fn has_vlans(&self, interface: InterfaceId) -> bool {
        self.vlans.has_tagged(interface)
    }

    /// Returns the number of the routing table that an interface uses.
    #[inline]
    pub(crate) fn vrf_of(&self, interface: InterfaceId) -> u8 {
        self.interface(interface).map_or(0, |i| i.vrf)
    }

    /// Returns the interfaces that use a routing table.
    pub(crate) fn interfaces_in(&self, vrf: u8) -> impl Iterator<Item = &Interface> {
        self.interfaces.iter().filter(move |i| i.vrf == vrf)
    }

    /// Returns the target for a destination of packets from an interface. Groups aren't resolved.
    pub(crate) fn route_to(&self, input: InterfaceId, destination: IpAddr) -> Target {
        self.vrfs.find(self.vrf_of(input), destination).1
    }

    /// Returns `true` if an address is the network or broadcast address of a connected network in a
    /// table.
    pub(crate) fn is_network_end(&self, vrf: u8, address: Ipv4Addr) -> bool {
        let (vrf, _) = self.vrfs.find(vrf, address.into());
        self.vrfs.get(vrf).local_addresses.reason(address) == Some(DropReason::MartianSource)
    }

    /// Returns `true` if this is one of the router's unicast addresses, as seen from an interface.
    pub(crate) fn is_local6(&self, input: InterfaceId, address: Ipv6Addr) -> bool {
        let has = |interface: &Interface| {
            let v6 = interface.v6.as_ref();
            v6.is_some_and(|v6| v6.usable().any(|n| n.address == address))
        };
        if address.is_unicast_link_local() {
            return self.interface(input).is_some_and(has);
        }
        // Or in a table that a route leads to.
        let (vrf, _) = self.vrfs.find(self.vrf_of(input), address.into());
        self.interfaces_in(vrf).any(has)
    }

    /// Returns one of the router's IPv4 addresses in the same table, for an interface that has
    /// none.
    pub(crate) fn any_address(&self, interface: InterfaceId) -> Option<Ipv4Addr> {
        let interfaces = self.interfaces_in(self.vrf_of(interface));
        let mut addresses = interfaces.flat_map(|i| &i.addresses);
        addresses.next().map(|n| n.address)
    }
}
