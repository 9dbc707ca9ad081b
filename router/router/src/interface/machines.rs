//! The protocol machines of an interface.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use config::InterfaceConfig;

use crate::cx::Cx;
use crate::frame::InterfaceId;
use crate::interface::Interface;
use crate::interface::acd::Acd;
use crate::interface::addresses::DadState;
use crate::interface::conflicts::Conflicts;
use crate::interface::dad::Dad;
use crate::interface::mld::MldListener;
use crate::interface::router_advert::RouterAdvertiser;
use crate::interface::unsolicited::Unsolicited;
use crate::slow::icmp_limits::ErrorRates;
use crate::time::Instant;

/// The state of an interface that lanes don't read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machines {
    /// Address Conflict Detection, for its IPv4 addresses.
    pub(crate) acd: Acd,
    /// Duplicate Address Detection, for its tentative IPv6 addresses.
    pub(crate) dad: Dad,
    /// The conflicts of its IPv6 addresses.
    pub(crate) conflicts6: Conflicts,
    /// Unsolicited advertisements of its IPv6 addresses.
    pub(crate) unsolicited: Unsolicited,
    /// Multicast Listener Discovery, for the groups it listens to.
    pub(crate) mld: MldListener,
    /// Its router advertisements.
    pub(crate) advertiser: RouterAdvertiser,
    /// The rates of ICMP errors about packets received here; `None` if none are sent.
    pub(crate) icmp_error_rates: Option<ErrorRates>,
}

impl Machines {
    /// Creates the machines of an interface whose link is down.
    pub(crate) fn new(config: &InterfaceConfig) -> Self {
        Self {
            acd: Acd::default(),
            dad: Dad::default(),
            conflicts6: Conflicts::default(),
            unsolicited: Unsolicited::default(),
            mld: MldListener::default(),
            advertiser: RouterAdvertiser::new(config.advertise.clone()),
            icmp_error_rates: ErrorRates::per_second(config.icmp_error_rate),
        }
    }

    /// Starts IPv6 on a link that is up. After a change of the configuration, `old` is the
    /// interface's previous state, from which its machines continue.
    pub(crate) fn start6(&mut self, now: Instant, interface: &Interface, old: Option<&Self>) {
        let Some(v6) = &interface.v6 else { return };
        self.dad.start(now, v6, old.map(|old| &old.dad));
        self.conflicts6 = old.map_or_else(Conflicts::default, |old| old.conflicts6.clone());
        self.unsolicited = old.map_or_else(Unsolicited::default, |old| old.unsolicited.clone());
        self.mld = old.map_or_else(MldListener::default, |old| old.mld.clone());
        self.mld.listen(now, v6.groups());
        self.advertiser.start(now, old.map(|old| &old.advertiser));
    }

    /// Returns when the next of them is due; `None` if none is, as while the link is down.
    pub(crate) fn due(&self, interface: &Interface) -> Option<Instant> {
        if !interface.up {
            return None;
        }
        let Some(v6) = &interface.v6 else {
            return self.acd.due();
        };
        let advertiser = self.advertiser.due().filter(|_| v6.source().is_some());
        let all = [
            self.acd.due(),
            self.dad.due(),
            self.conflicts6.due(),
            self.unsolicited.due(),
            self.mld.due(),
            advertiser,
        ];
        all.into_iter().flatten().min()
    }

    /// Asks and answers what is due for IPv6; `dad_transmits` is DupAddrDetectTransmits (RFC 4862 5.1).
    /// Returns the addresses that may be used from now on.
    pub(crate) fn poll6(
        &mut self,
        cx: &mut Cx<'_>,
        on: InterfaceId,
        interface: &Interface,
        dad_transmits: u8,
    ) -> Vec<Ipv6Addr> {
        if !interface.up || interface.v6.is_none() {
            return Vec::new();
        }
        self.conflicts6.forget_old(cx.now);
        self.mld.poll(cx, on, interface);
        self.dad.poll(cx, on, interface, dad_transmits)
    }

    /// Announces what is due for IPv6, and the addresses in `proven`, which may be used from now on.
    pub(crate) fn announce6(
        &mut self,
        cx: &mut Cx<'_>,
        on: InterfaceId,
        interface: &Interface,
        proven: &[Ipv6Addr],
    ) {
        if !interface.up || interface.v6.is_none() {
            return;
        }
        // Until now, reports had no source and multicast routers ignored them (RFC 3590 4).
        if proven.iter().any(Ipv6Addr::is_unicast_link_local) {
            self.mld.repeat(cx.now);
        }
        self.unsolicited.begin(cx.now, proven);
        self.unsolicited.poll(cx, on, interface);
        self.advertiser.poll(cx, on, interface);
    }

    /// Gives up a tentative address that is a duplicate. Returns `true` if this disables IPv6 on
    /// the interface, because the address is derived from the MAC address (RFC 4862 5.4.5).
    pub(crate) fn duplicate(
        &mut self,
        now: Instant,
        interface: &mut Interface,
        address: Ipv6Addr,
    ) -> bool {
        self.dad.stop(address);
        if let Some(v6) = &mut interface.v6 {
            v6.set_state(address, DadState::Duplicate);
        }
        let disabled = interface.disable_duplicate6();
        if let Some(v6) = &interface.v6 {
            self.mld.listen(now, v6.groups());
        }
        disabled
    }
}

#[cfg(test)]
mod tests;
