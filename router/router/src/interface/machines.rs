//! The protocol machines of an interface.

use core::net::Ipv6Addr;

use config::InterfaceConfig;

use crate::cx::Cx;
use crate::frame::InterfaceId;
use crate::interface::Interface;
use crate::interface::acd::Acd;
use crate::interface::addresses::DadState;
use crate::interface::dad::{Dad, announce};
use crate::interface::mld::MldListener;
use crate::interface::router_advert::RouterAdvertiser;
use crate::rate_limit::Rate;
use crate::time::Instant;

/// What an interface has beside what lanes see of it.
#[derive(Clone, Debug)]
pub(crate) struct Machines {
    /// Conflicts about its IPv4 addresses.
    pub(crate) acd: Acd,
    /// Its tentative IPv6 addresses.
    pub(crate) dad: Dad,
    /// The groups it listens to.
    pub(crate) mld: MldListener,
    /// What it advertises.
    pub(crate) advertiser: RouterAdvertiser,
    /// How often ICMP errors may be sent because of what comes from here; `None` if never.
    pub(crate) icmp_error_rate: Option<Rate>,
}

impl Machines {
    /// Those of an interface whose link is down.
    pub(crate) fn new(config: &InterfaceConfig) -> Self {
        Self {
            acd: Acd::default(),
            dad: Dad::default(),
            mld: MldListener::default(),
            advertiser: RouterAdvertiser::new(config.advertise.clone()),
            icmp_error_rate: Rate::per_second(config.icmp_error_rate),
        }
    }

    /// Begins IPv6 on a link that works, going on after `old` if that was there before.
    pub(crate) fn start6(&mut self, now: Instant, interface: &Interface, old: Option<&Self>) {
        let Some(v6) = &interface.v6 else { return };
        self.dad.start(now, v6, old.map(|old| &old.dad));
        self.mld = old.map_or_else(MldListener::default, |old| old.mld.clone());
        self.mld.listen(now, v6.groups());
        self.advertiser.start(now, old.map(|old| &old.advertiser));
    }

    /// When something is due on an interface.
    pub(crate) fn due(&self, interface: &Interface) -> Option<Instant> {
        if !interface.up {
            return None;
        }
        let Some(v6) = &interface.v6 else {
            return self.acd.due();
        };
        let advertiser = self.advertiser.due().filter(|_| v6.source().is_some());
        let all = [self.acd.due(), self.dad.due(), self.mld.due(), advertiser];
        all.into_iter().flatten().min()
    }

    /// Does what is due for IPv6. Returns `true` if the interface has more addresses that may be
    /// used than before.
    pub(crate) fn poll6(
        &mut self,
        cx: &mut Cx<'_>,
        on: InterfaceId,
        interface: &mut Interface,
        dad_transmits: u8,
    ) -> bool {
        if !interface.up || interface.v6.is_none() {
            return false;
        }
        self.mld.poll(cx, on, interface);
        let proven = self.dad.poll(cx, on, interface, dad_transmits);
        // Reports on groups had no source before (RFC 3590 4).
        if proven.iter().any(Ipv6Addr::is_unicast_link_local) {
            self.mld.repeat(cx.now);
        }
        announce(cx, on, interface, &proven);
        self.advertiser.poll(cx, on, interface);
        !proven.is_empty()
    }

    /// Somebody else has an address that was about to be used: it isn't. Returns `true` if IPv6
    /// is disabled on the interface because of that.
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
