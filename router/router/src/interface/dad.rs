//! Whether the router's IPv6 addresses are its own: Duplicate Address Detection (RFC 4862 5.4).

use alloc::format;
use alloc::string::String;
use core::net::Ipv6Addr;
use core::time::Duration;

use crate::frame::InterfaceId;
use crate::interface::link::DadState;
use crate::neighbor::nud::CONGESTED;
use crate::neighbor::table::Entry;
use crate::router::{Egress, Router};
use crate::time::Instant;
use wire::addr::{Mac, solicited_node};
use wire::ipv6::ALL_NODES;
use wire::ndp::Ndp;

/// How long others have to object (RetransTimer, RFC 4861 10).
const OBJECTION: Duration = Duration::from_secs(1);

impl Router {
    /// Asks and decides about the addresses of an interface where that is due.
    pub(crate) fn dad_due(&mut self, now: Instant, interface: InterfaceId, out: &mut dyn Egress) {
        let transmits = self
            .config()
            .interfaces
            .get(interface.index())
            .map_or(1, |i| i.dad_transmits);
        let mut proven = alloc::vec::Vec::new();
        for at in 0.. {
            let link = self.links.get_mut(interface.index()).filter(|l| l.up);
            let v6 = link.and_then(|l| l.v6.as_mut());
            let Some(address) = v6.and_then(|v6| v6.addresses.get_mut(at)) else {
                break;
            };
            let DadState::Tentative { asked, due } = address.state else {
                continue;
            };
            let target = address.network.address;
            if due > now {
                continue;
            }
            if asked >= transmits {
                address.state = DadState::Unique;
                proven.push(target);
                continue;
            }
            let group = solicited_node(target);
            let question = Ndp::Solicitation {
                target,
                station: None,
            };
            let nobody = Ipv6Addr::UNSPECIFIED;
            let sent = self.send_nd(
                interface,
                nobody,
                group,
                Mac::of_group(group),
                question,
                out,
            );
            let (asked, pause) = if sent {
                (asked + 1, OBJECTION)
            } else {
                (asked, CONGESTED)
            };
            let due = now.saturating_add(pause);
            self.set_dad_state(interface, target, DadState::Tentative { asked, due });
        }
        if !proven.is_empty() {
            self.rebuild();
            self.announce6(now, interface, &proven, out);
        }
    }

    /// Somebody else has an address that we were about to use: nobody gets it from us.
    pub(crate) fn duplicate_detected(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        address: Ipv6Addr,
    ) {
        self.set_dad_state(interface, address, DadState::Duplicate);
        let name = self.config().interfaces.get(interface.index());
        let name = String::from(name.map_or("", |i| i.name.as_str()));
        let Some(link) = self.links.get_mut(interface.index()) else {
            return;
        };
        if link.disable_duplicate6() {
            self.forget_neighbors6(interface);
            self.rebuild();
            let text = format!("{name}: IPv6 is disabled, somebody has {address} already");
            return self.notice(text);
        }
        if let Some(v6) = &mut link.v6 {
            v6.listener.listen(now, v6.groups());
        }
        self.notice(format!(
            "{name}: {address} isn't used, somebody has it already"
        ));
    }

    /// Nothing is sent to the IPv6 neighbours on an interface any more.
    fn forget_neighbors6(&mut self, interface: InterfaceId) {
        for index in 0..self.neighbors.slots() {
            let gone = |e: &&Entry| e.interface == interface && e.address.is_ipv6();
            if self.neighbors.entry(index).filter(gone).is_some() {
                self.forget(index);
            }
        }
    }

    fn set_dad_state(&mut self, interface: InterfaceId, address: Ipv6Addr, state: DadState) {
        let link = self.links.get_mut(interface.index());
        let all = link.and_then(|l| l.v6.as_mut()).map(|v6| &mut v6.addresses);
        for own in all.into_iter().flatten() {
            if own.network.address == address {
                own.state = state;
            }
        }
    }

    /// Tells the link of an interface that it has these addresses (RFC 4861 7.2.6), so that
    /// who knew them elsewhere forgets that.
    fn announce6(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        addresses: &[Ipv6Addr],
        out: &mut dyn Egress,
    ) {
        let Some(link) = self.links.get_mut(interface.index()) else {
            return;
        };
        let mac = link.mac;
        // Reports on groups had no source before (RFC 3590 4).
        if addresses.iter().any(|a| a.is_unicast_link_local())
            && let Some(v6) = &mut link.v6
        {
            v6.listener.repeat(now);
        }
        for &target in addresses {
            let announcement = Ndp::Advertisement {
                target,
                station: Some(mac),
                router: true,
                solicited: false,
                overrides: true,
            };
            let all = Mac::of_group(ALL_NODES);
            self.send_nd(interface, target, ALL_NODES, all, announcement, out);
        }
    }
}
