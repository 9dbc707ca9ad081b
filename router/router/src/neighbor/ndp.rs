//! Neighbor Discovery (RFC 4861): what is asked and answered. The states are in
//! [`nud`](crate::neighbor::nud), the router's own addresses in
//! [`dad`](crate::interface::dad).

use core::net::Ipv6Addr;

use crate::DropReason;
use crate::frame::{ETHERNET_LEN, InterfaceId};
use crate::interface::link::DadState;
use crate::neighbor::table::{Purpose, State};
use crate::router::{Egress, Router};
use crate::time::Instant;
use wire::addr::{Mac, solicited_node};
use wire::icmpv6;
use wire::ipv6::{ALL_NODES, Ipv6, ON_LINK_HOPS};
use wire::ndp::Ndp;

impl Router {
    /// Handles a message of Neighbor Discovery whose checksum is right. `sender` is the
    /// station that its frame came from.
    pub(crate) fn nd_input(
        &mut self,
        now: Instant,
        input: InterfaceId,
        sender: Mac,
        ip: &Ipv6,
        message: &[u8],
        out: &mut dyn Egress,
    ) {
        let parsed = Ndp::parse(message, ip.source, ip.destination);
        let Some(nd) = parsed.filter(|_| ip.hop_limit == ON_LINK_HOPS) else {
            return self.drop_frames(input, DropReason::BadNd, 1);
        };
        match nd {
            Ndp::Solicitation { target, station } => {
                self.solicitation(now, input, sender, ip, target, station, out);
            }
            Ndp::Advertisement { target, .. } => {
                let own = self.dad_state_of(input, target);
                match own {
                    Some(DadState::Unique) => {
                        return self.drop_frames(input, DropReason::NdConflict, 1);
                    }
                    Some(_) => self.duplicate_detected(now, input, target),
                    None => self.advertisement(now, input, nd, out),
                }
                self.with_counters(input, |c| c.consumed += 1);
            }
            Ndp::RouterSolicitation { station } => {
                self.with_counters(input, |c| c.consumed += 1);
                if let Some(station) = station {
                    self.learn(now, input, ip.source, station, out);
                }
                self.solicited(now, input);
            }
        }
    }

    /// One of the router's addresses on a link.
    fn dad_state_of(&self, input: InterfaceId, address: Ipv6Addr) -> Option<DadState> {
        let v6 = self.links.get(input.index())?.v6.as_ref()?;
        v6.address(address).map(|a| a.state)
    }

    #[expect(clippy::too_many_arguments, reason = "all that one message says")]
    fn solicitation(
        &mut self,
        now: Instant,
        input: InterfaceId,
        sender: Mac,
        ip: &Ipv6,
        target: Ipv6Addr,
        station: Option<Mac>,
        out: &mut dyn Egress,
    ) {
        let Some(link) = self.links.get(input.index()) else {
            return;
        };
        let mac = link.mac;
        let anycast = link.v6.as_ref().is_some_and(|v6| v6.is_anycast(target));
        let own = self.dad_state_of(input, target);
        self.with_counters(input, |c| c.consumed += 1);
        if ip.source.is_unspecified() {
            match own {
                // Somebody wants this address, or our own question came back.
                Some(DadState::Tentative { .. }) if sender != mac => {
                    return self.duplicate_detected(now, input, target);
                }
                Some(DadState::Unique) => {}
                _ => return,
            }
        } else {
            if !anycast && own != Some(DadState::Unique) {
                return;
            }
            if let Some(station) = station {
                self.learn(now, input, ip.source, station, out);
            }
        }
        let unspecified = ip.source.is_unspecified();
        let answer = Ndp::Advertisement {
            target,
            station: Some(mac),
            router: true,
            solicited: !unspecified,
            overrides: !anycast,
        };
        // The answer to an anycast address comes from one of its own.
        let source = if anycast && own.is_none() {
            self.source6(input, ip.source)
        } else {
            Some(target)
        };
        let Some(source) = source else { return };
        if unspecified {
            self.send_nd(
                input,
                source,
                ALL_NODES,
                Mac::of_group(ALL_NODES),
                answer,
                out,
            );
        } else {
            let to = station.unwrap_or(sender);
            self.send_nd(input, source, ip.source, to, answer, out);
        }
    }

    /// Takes in who has an address on a link, heard from itself: worth to be tried, not known
    /// to be true (RFC 4861 7.2.3).
    fn learn(
        &mut self,
        now: Instant,
        input: InterfaceId,
        address: Ipv6Addr,
        station: Mac,
        out: &mut dyn Egress,
    ) {
        let here = self
            .links
            .get(input.index())
            .is_some_and(|l| l.has_host(address.into()));
        if here && let Some(index) = self.neighbor(now, input, address.into(), Purpose::Learn) {
            self.heard(now, index, station, out);
        }
    }

    /// A neighbour's advertisement (RFC 4861 7.2.5).
    fn advertisement(&mut self, now: Instant, input: InterfaceId, nd: Ndp, out: &mut dyn Egress) {
        let Ndp::Advertisement {
            target,
            station,
            solicited,
            overrides,
            ..
        } = nd
        else {
            return;
        };
        // Only who was asked for is taken note of.
        let Some(index) = self.neighbors.find(input, target.into()) else {
            return;
        };
        let Some(state) = self.neighbors.entry(index).map(|e| e.state) else {
            return;
        };
        let known = self.neighbors.station(index).filter(|_| state.is_known());
        let Some(known) = known else {
            if let Some(station) = station {
                if solicited {
                    self.confirm(now, index, station, out);
                } else {
                    self.heard(now, index, station, out);
                }
            }
            return;
        };
        let other = station.filter(|&s| s != known);
        match (other, overrides) {
            // It isn't where it was, as somebody says who isn't sure.
            (Some(_), false) => {
                if state == State::Reachable {
                    self.make_stale(now, index);
                }
            }
            (Some(other), true) if solicited => self.confirm(now, index, other, out),
            (Some(other), true) => self.heard(now, index, other, out),
            (None, _) if solicited => self.confirm(now, index, known, out),
            (None, _) => {}
        }
    }

    /// Asks for a neighbour, all that could have its address or, by its station, itself.
    /// Whether that could be sent.
    pub(crate) fn ask_nd(
        &mut self,
        interface: InterfaceId,
        target: Ipv6Addr,
        station: Option<Mac>,
        out: &mut dyn Egress,
    ) -> bool {
        let Some(link) = self.links.get(interface.index()).filter(|l| l.up) else {
            return true;
        };
        let Some(v6) = &link.v6 else { return true };
        let Some(source) = v6
            .source()
            .or_else(|| v6.usable().next().map(|n| n.address))
        else {
            return false;
        };
        let question = Ndp::Solicitation {
            target,
            station: Some(link.mac),
        };
        let group = solicited_node(target);
        let (destination, to) = match station {
            Some(station) => (target, station),
            None => (group, Mac::of_group(group)),
        };
        self.send_nd(interface, source, destination, to, question, out)
    }

    /// Sends a message to a station.
    pub(crate) fn send_nd(
        &mut self,
        interface: InterfaceId,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        station: Mac,
        nd: Ndp,
        out: &mut dyn Egress,
    ) -> bool {
        let message = nd.message();
        let frame = icmpv6::packet(source, destination, ON_LINK_HOPS, ETHERNET_LEN, message);
        self.send_own(interface, station, frame, out)
    }
}
