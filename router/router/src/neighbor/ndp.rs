//! Neighbor Discovery (RFC 4861): handling of received messages. Solicitations are in
//! [`solicit`](crate::neighbor::solicit), their states are in [`nud`](crate::neighbor::nud), those
//! of the router's own addresses in [`dad`](crate::interface::dad).

use alloc::format;
use core::net::Ipv6Addr;

use wire::addr::Mac;
use wire::ipv6::{ALL_NODES, Ipv6, ON_LINK_HOPS};
use wire::ndp::Ndp;

use crate::DropReason;
use crate::frame::InterfaceId;
use crate::interface::addresses::DadState;
use crate::interface::output::send_ndp;
use crate::local::source_address::source6;
use crate::neighbor::table::State;
use crate::step::Step;

/// A Neighbor Solicitation.
struct Solicitation {
    /// The MAC address that its frame came from.
    sender: Mac,
    source: Ipv6Addr,
    target: Ipv6Addr,
    /// The source link-layer address option.
    mac: Option<Mac>,
}

impl Step<'_> {
    /// Handles a Neighbor Discovery message with a valid checksum. `sender` is the source MAC
    /// address of its frame.
    pub(crate) fn ndp_input(&mut self, input: InterfaceId, sender: Mac, ip: &Ipv6, message: &[u8]) {
        let parsed = Ndp::parse(message, ip.source, ip.destination);
        let Some(ndp) = parsed.filter(|_| ip.hop_limit == ON_LINK_HOPS) else {
            return self.cx.drop_frames(input, DropReason::BadNd, 1);
        };
        if self.dad_state(input, ip.source) == Some(DadState::Unique) {
            return self.conflict(input, sender, ip.source);
        }
        match ndp {
            Ndp::Solicitation {
                target,
                link_layer_address,
            } => self.solicitation(
                input,
                &Solicitation {
                    sender,
                    source: ip.source,
                    target,
                    mac: link_layer_address,
                },
            ),
            Ndp::Advertisement { target, .. } => {
                match self.dad_state(input, target) {
                    Some(DadState::Unique) => return self.conflict(input, sender, target),
                    Some(DadState::Tentative) => self.duplicate(input, target),
                    // The owner of a duplicate address is a neighbor.
                    Some(DadState::Duplicate) | None => self.advertisement(input, ndp),
                }
                self.cx.count(input, |c| c.consumed += 1);
            }
            Ndp::RouterSolicitation { link_layer_address } => {
                self.cx.count(input, |c| c.consumed += 1);
                if let Some(mac) = link_layer_address {
                    self.learn(input, ip.source, mac);
                }
                if let Some(machines) = self.state.machines.get_mut(input.index()) {
                    machines.advertiser.solicited(&mut self.cx);
                }
            }
        }
    }

    /// Returns the state of one of the router's addresses on a link.
    fn dad_state(&self, input: InterfaceId, address: Ipv6Addr) -> Option<DadState> {
        let interface = self.tables.interface(input)?;
        interface.v6.as_ref()?.state(address)
    }

    fn solicitation(&mut self, input: InterfaceId, asked: &Solicitation) {
        let &Solicitation {
            sender,
            source,
            target,
            mac,
        } = asked;
        let Some(interface) = self.tables.interface(input) else {
            return;
        };
        let local_mac = interface.mac;
        let anycast = interface
            .v6
            .as_ref()
            .is_some_and(|v6| v6.is_anycast(target));
        let state = self.dad_state(input, target);
        self.cx.count(input, |c| c.consumed += 1);
        let unspecified = source.is_unspecified();
        if unspecified {
            match state {
                // Another host probes for this address, or the router's own solicitation was looped
                // back.
                Some(DadState::Tentative) if sender != local_mac => {
                    return self.duplicate(input, target);
                }
                Some(DadState::Unique) => {}
                _ => return,
            }
        } else {
            if !anycast && state != Some(DadState::Unique) {
                return;
            }
            if let Some(mac) = mac {
                self.learn(input, source, mac);
            }
        }
        let answer = Ndp::Advertisement {
            target,
            link_layer_address: Some(local_mac),
            router: true,
            solicited: !unspecified,
            overrides: !anycast,
        };
        // The answer for an anycast address is sent from a unicast address.
        let from = match anycast && state.is_none() {
            true => source6(self.tables, input, source),
            false => Some(target),
        };
        let (Some(from), Some(interface)) = (from, self.tables.interface(input)) else {
            return;
        };
        let (to, to_mac) = match unspecified {
            true => (ALL_NODES, Mac::of_group(ALL_NODES)),
            false => (source, mac.unwrap_or(sender)),
        };
        send_ndp(&mut self.cx, (input, interface), (from, to), to_mac, answer);
    }

    /// Records the link-layer address from a neighbor's own message, which doesn't confirm
    /// reachability (RFC 4861 7.2.3).
    fn learn(&mut self, input: InterfaceId, address: Ipv6Addr, mac: Mac) {
        let interface = self.tables.interface(input);
        let here = interface.is_some_and(|i| i.has_host(address.into()));
        if here && let Some(index) = self.nud().learn(input, address.into()) {
            self.nud().heard(index, mac);
        }
    }

    /// Handles a neighbor advertisement (RFC 4861 7.2.5).
    fn advertisement(&mut self, input: InterfaceId, ndp: Ndp) {
        let Ndp::Advertisement {
            target,
            link_layer_address,
            solicited,
            overrides,
            ..
        } = ndp
        else {
            return;
        };
        // A host that advertises a new address will soon receive replies (RFC 9131 6.1.2).
        let Some(index) = self.tables.adjacencies.find(input, target.into()) else {
            if let Some(mac) = link_layer_address {
                self.learn(input, target, mac);
            }
            return;
        };
        let mut nud = self.nud();
        let Some(state) = nud.table.entry(index).map(|e| e.state) else {
            return;
        };
        let Some(known) = nud.adjacencies.mac(index).filter(|_| state.is_known()) else {
            if let Some(mac) = link_layer_address {
                match solicited {
                    true => nud.confirm(index, mac),
                    false => nud.heard(index, mac),
                }
            }
            return;
        };
        let other = link_layer_address.filter(|&s| s != known);
        match (other, overrides) {
            // Override flag clear: mark STALE (RFC 4861 7.2.5).
            (Some(_), false) => {
                if state == State::Reachable {
                    nud.make_stale(index);
                }
            }
            (Some(other), true) if solicited => nud.confirm(index, other),
            (Some(other), true) => nud.heard(index, other),
            (None, _) if solicited => nud.confirm(index, known),
            (None, _) => {}
        }
    }

    /// Handles a message from `sender` that shows an address conflict. Both keep the address, as
    /// RFC 4862 defines no defense of an address in use.
    fn conflict(&mut self, input: InterfaceId, sender: Mac, address: Ipv6Addr) {
        let local_mac = self.tables.interface(input).map(|i| i.mac);
        if local_mac == Some(sender) {
            // Our own, come back.
            return self.cx.drop_frames(input, DropReason::OwnSource, 1);
        }
        self.cx.drop_frames(input, DropReason::NdConflict, 1);
        let name = self.name_of(input);
        if let Some(machines) = self.state.machines.get_mut(input.index())
            && (machines.conflicts6).note(self.cx.now, address.into(), sender)
        {
            let text =
                format!("{name}: duplicate address {address} detected, also used by {sender}");
            self.cx.out.notice(text);
        }
    }

    /// Handles the detection of a duplicate address (RFC 4862 5.4).
    fn duplicate(&mut self, input: InterfaceId, address: Ipv6Addr) {
        let (Some(machines), Some(interface)) = (
            self.state.machines.get_mut(input.index()),
            self.tables.interface_mut(input),
        ) else {
            return;
        };
        let disabled = machines.duplicate(self.cx.now, interface, address);
        let name = self.name_of(input);
        let text = match disabled {
            true => format!("{name}: duplicate address {address} detected, IPv6 is disabled"),
            false => format!("{name}: duplicate address {address} detected, it isn't used"),
        };
        self.cx.out.notice(text);
        if disabled {
            self.nud()
                .forget_all(|e| e.interface == input && e.address.is_ipv6());
        }
        self.rebuild();
    }
}
