//! The router's own entries in its forwarding tables: connected networks, local addresses, and
//! destinations that are never forwarded to.

use alloc::vec::Vec;

use wire::addr::Mac;

use crate::DropReason;
use crate::frame::InterfaceId;
use crate::interface::Interface;
use crate::interface::addresses::DadState;
use crate::local::addresses::LocalAddresses;
use crate::neighbor::table::{NEVER, State};
use crate::route::overlay::Overlay;
use crate::route::target::Target;
use crate::step::Step;

/// Destinations that are never forwarded to (RFC 1812 5.3.7, RFC 1122 3.2.1.3). Address 0 has an
/// entry of its own so that no shorter route can change its answer.
const SPECIAL: [(u32, u8, DropReason); 6] = [
    (0x0000_0000, 32, DropReason::MartianDestination),
    (0x0000_0000, 8, DropReason::MartianDestination),
    (0x7f00_0000, 8, DropReason::MartianDestination),
    (0xe000_0000, 4, DropReason::Multicast),
    (0xf000_0000, 4, DropReason::MartianDestination),
    (0xffff_ffff, 32, DropReason::Broadcast),
];

/// Link-local addresses: only forwarded by networks and routes within this prefix (RFC 3927 2.7).
const LINK_LOCAL: (u32, u8) = (0xa9fe_0000, 16);

/// IPv6 destinations that are never forwarded to (RFC 4291 2.5.2, 2.5.3, 2.5.5.2, 2.5.6, 2.7).
const SPECIAL6: [(u128, u8, DropReason); 5] = [
    (0, 128, DropReason::MartianDestination),
    (1, 128, DropReason::MartianDestination),
    (0xffff_0000_0000, 96, DropReason::MartianDestination),
    (0xfe80 << 112, 10, DropReason::BeyondScope),
    (0xff << 120, 8, DropReason::Multicast),
];

impl Step<'_> {
    /// Updates the forwarding tables for the state of the links.
    pub(crate) fn rebuild(&mut self) {
        self.pin_static_neighbors();
        let news = self.routes().note_links();
        for vrf in self.tables.vrfs.numbers() {
            let (mut four, mut six) = (Overlay::new(), Overlay::new());
            let all = (0u8..).zip(&*self.tables.interfaces);
            let links: Vec<_> = all.filter(|(_, i)| i.vrf == vrf).collect();
            let mut own = LocalAddresses::clone(&self.tables.vrfs.get(vrf).local_addresses);
            own.clear();
            connect(&links, &mut own, &mut four);
            connect6(&links, &mut own, &mut six);
            self.tables.vrfs.get_mut(vrf).set_local_addresses(own);
            self.connect_broadcasts(vrf, &mut four);
            let has_lanes = self.state.has_lanes;
            self.routes()
                .replace_overlay(vrf, four, six, news, has_lanes);
        }
    }

    /// Opens the adjacencies of static neighbors whose links are up.
    fn pin_static_neighbors(&mut self) {
        for neighbor in &self.config.neighbors {
            let Some(id) = self.state.ids.of(neighbor.interface) else {
                continue;
            };
            let interface = self.tables.interface(id);
            let disabled6 = interface.is_some_and(|i| i.disabled6.is_some());
            if neighbor.address.is_ipv6() && disabled6 {
                continue;
            }
            if let Some(index) = self.tables.adjacencies.find(id, neighbor.address) {
                self.state.neighbors.set(index, State::Static, NEVER);
                self.nud().open(index, id, neighbor.mac);
            }
        }
    }

    /// Adds the broadcast addresses of a table's links where directed broadcasts are allowed (RFC
    /// 2644). Such an address is a neighbor with the broadcast MAC address; packets received in a
    /// link-layer broadcast aren't forwarded to it (RFC 1812 5.3.4).
    fn connect_broadcasts(&mut self, vrf: u8, fib: &mut Overlay<u32>) {
        let mut ends = Vec::new();
        for (at, interface) in (0u8..).zip(&*self.tables.interfaces) {
            if interface.up && interface.vrf == vrf && interface.allow.directed_broadcast {
                let all = interface.addresses.iter().filter_map(|n| n.broadcast());
                ends.extend(all.map(|end| (InterfaceId(at), end)));
            }
        }
        for (interface, end) in ends {
            let known = self.tables.adjacencies.find(interface, end.into());
            let pinned = known.filter(|&at| self.state.neighbors.is_pinned(at));
            let Some(index) = pinned.or_else(|| self.routes().pin_at(interface, end.into())) else {
                continue;
            };
            self.state.neighbors.set(index, State::Static, NEVER);
            self.nud().open(index, interface, Mac::BROADCAST);
            if let Ok(index) = u32::try_from(index) {
                fib.add(end.to_bits(), 32, Target::Neighbor(index));
            }
        }
    }
}

/// Adds the IPv4 networks of a table's links, and the router's addresses on them.
fn connect(links: &[(u8, &Interface)], own: &mut LocalAddresses, fib: &mut Overlay<u32>) {
    let (prefix, len) = LINK_LOCAL;
    fib.add(prefix, len, Target::Drop(DropReason::MartianDestination));
    for &(at, interface) in links.iter().filter(|(_, i)| i.up) {
        for network in &interface.addresses {
            fib.add(network.first(), network.len, Target::OnLink(at));
        }
    }
    let networks = || links.iter().flat_map(|(_, i)| &i.addresses);
    for network in networks() {
        let ends = [network.network_address(), network.broadcast()];
        for end in ends.into_iter().flatten() {
            fib.add(end.to_bits(), 32, Target::Drop(DropReason::Broadcast));
            own.add(end, DropReason::MartianSource);
        }
    }
    for network in networks() {
        fib.add(network.address.to_bits(), 32, Target::Local);
        own.add(network.address, DropReason::OwnSource);
    }
    for (prefix, len, reason) in SPECIAL {
        fib.add(prefix, len, Target::Drop(reason));
    }
}

/// Adds the same for IPv6. Link-local addresses are only meaningful on their link, and aren't in
/// the table.
fn connect6(links: &[(u8, &Interface)], own: &mut LocalAddresses, fib: &mut Overlay<u128>) {
    let global = || {
        let all = links
            .iter()
            .filter_map(|(at, i)| Some((*at, i.up, i.v6.as_ref()?)));
        let all = all.flat_map(|(at, up, v6)| v6.iter().map(move |a| (at, up, a)));
        all.filter(|(_, _, a)| !a.network.address.is_unicast_link_local())
    };
    for (at, _, address) in global().filter(|&(_, up, _)| up) {
        let network = address.network;
        fib.add(network.first(), network.len, Target::OnLink(at));
    }
    for (_, _, address) in global().filter(|(_, _, a)| a.state == DadState::Unique) {
        if let Some(anycast) = address.network.anycast() {
            fib.add(anycast.to_bits(), 128, Target::Local);
            own.add6(anycast);
        }
    }
    for (_, _, address) in global() {
        let bits = address.network.address.to_bits();
        match address.state {
            DadState::Unique => {
                fib.add(bits, 128, Target::Local);
                own.add6(address.network.address);
            }
            DadState::Tentative => {
                fib.add(bits, 128, Target::Drop(DropReason::TentativeAddress));
            }
            // Another host's.
            DadState::Duplicate => {}
        }
    }
    for (prefix, len, reason) in SPECIAL6 {
        fib.add(prefix, len, Target::Drop(reason));
    }
}
