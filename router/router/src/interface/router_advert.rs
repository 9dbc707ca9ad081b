//! Router advertisements: when they are sent (RFC 4861 6.2).

use alloc::vec::Vec;
use core::time::Duration;

use crate::frame::{ETHERNET_LEN, InterfaceId};
use crate::router::{Egress, Router};
use crate::time::Instant;
use config::AdvertiseConfig;
use wire::icmpv6;
use wire::ipv6::ALL_NODES;
use wire::ipv6::ON_LINK_HOPS;
use wire::ndp_router_advert::{Prefix, RouterAdvert};

/// MAX_INITIAL_RTR_ADVERTISEMENTS and MAX_INITIAL_RTR_ADVERT_INTERVAL (RFC 4861 10): how many
/// are sent at the start, and how long they are apart at most, in ms.
const INITIAL: u8 = 3;
const INITIAL_INTERVAL_MS: u64 = 16_000;
/// MAX_RA_DELAY_TIME: within how long a solicitation is answered, in ms.
const ANSWER_MS: u64 = 500;
/// MIN_DELAY_BETWEEN_RAS.
const APART: Duration = Duration::from_secs(3);

/// When an interface advertises.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Advertiser {
    due: Instant,
    last: Option<Instant>,
    sent: u8,
}

impl Advertiser {
    /// Soon again: what is to be said has changed.
    pub(crate) fn again(self, now: Instant) -> Self {
        Self {
            due: self
                .last
                .map_or(now, |last| now.max(last.saturating_add(APART))),
            sent: 0,
            ..self
        }
    }

    /// Whether anything was ever said.
    pub(crate) fn has_sent(self) -> bool {
        self.last.is_some()
    }

    /// When the next one is due.
    pub(crate) fn due(self) -> Instant {
        self.due
    }
}

impl Router {
    fn advertiser(&mut self, interface: InterfaceId) -> Option<&mut Advertiser> {
        let link = self.links.get_mut(interface.index()).filter(|l| l.up)?;
        link.v6.as_mut()?.advertiser.as_mut()
    }

    /// A host asks who routes here.
    pub(crate) fn solicited(&mut self, now: Instant, input: InterfaceId) {
        let delay = Duration::from_millis(self.random(ANSWER_MS));
        if let Some(advertiser) = self.advertiser(input) {
            let earliest = advertiser
                .last
                .map_or(now, |last| last.saturating_add(APART));
            let at = now.max(earliest).saturating_add(delay);
            advertiser.due = advertiser.due.min(at);
        }
    }

    /// Says where the router advertised itself that it doesn't any more, when it is polled next (RFC
    /// 4861 6.2.5). Whether there is such a link.
    pub fn cease_advertising(&mut self) -> bool {
        let mut any = false;
        for link in self.links.iter_mut().filter(|l| l.up) {
            if let Some(v6) = &mut link.v6 {
                v6.final_ra_pending |= v6.advertiser.take().is_some_and(Advertiser::has_sent);
                any |= v6.final_ra_pending;
            }
        }
        any
    }

    /// Advertises if it is time to.
    pub(crate) fn advertise_due(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        out: &mut dyn Egress,
    ) {
        let v6 = self
            .links
            .get_mut(interface.index())
            .and_then(|l| l.v6.as_mut());
        let Some(v6) = v6.filter(|v6| v6.source().is_some()) else {
            return;
        };
        if core::mem::take(&mut v6.final_ra_pending) {
            self.advertise(interface, &AdvertiseConfig::silent(), 0, out);
        }
        if self.advertiser(interface).is_none_or(|a| a.due > now) {
            return;
        }
        let config = self.config().interfaces.get(interface.index());
        let Some(config) = config.and_then(|i| i.advertise.clone()) else {
            return;
        };
        let sent = self.advertise(interface, &config, config.lifetime_s, out);
        let (least, most) = (config.min_interval_s.into(), config.max_interval_s.into());
        let spread = 1000 * (u64::saturating_sub(most, least));
        let usual = 1000 * u64::from(config.min_interval_s) + self.random(spread);
        if let Some(advertiser) = self.advertiser(interface) {
            let pause = match advertiser.sent {
                0..INITIAL => usual.min(INITIAL_INTERVAL_MS),
                _ => usual,
            };
            // Without room it is said again soon.
            let pause = if sent { pause } else { ANSWER_MS };
            advertiser.due = now.saturating_add(Duration::from_millis(pause));
            if sent {
                advertiser.last = Some(now);
                advertiser.sent = advertiser.sent.saturating_add(1);
            }
        }
    }

    /// Sends one advertisement. Whether there was room.
    fn advertise(
        &mut self,
        interface: InterfaceId,
        config: &AdvertiseConfig,
        lifetime_s: u16,
        out: &mut dyn Egress,
    ) -> bool {
        let Some(link) = self.links.get(interface.index()) else {
            return false;
        };
        let Some(source) = link.v6.as_ref().and_then(|v6| v6.source()) else {
            return false;
        };
        let prefixes: Vec<Prefix> = config
            .prefixes
            .iter()
            .map(|p| Prefix {
                first: p.prefix.first(),
                len: p.prefix.len,
                on_link: p.on_link,
                autonomous: p.autonomous,
                valid_s: p.valid_lifetime_s,
                preferred_s: p.preferred_lifetime_s,
            })
            .collect();
        let mtu = config.mtu.unwrap_or(link.mtu).min(link.mtu);
        let advert = RouterAdvert {
            hop_limit: config.hop_limit,
            managed: config.managed,
            other: config.other,
            preference: config.preference,
            lifetime_s,
            reachable_time_ms: config.reachable_time_ms,
            retrans_timer_ms: config.retrans_timer_ms,
            mac: link.mac,
            mtu,
            prefixes: &prefixes,
            routes: &config.routes,
            dns: &config.dns,
            dns_search: &config.dns_search,
            dns_lifetime_s: config.dns_lifetime_s,
        };
        let message = advert.message();
        let packet = icmpv6::packet(source, ALL_NODES, ON_LINK_HOPS, ETHERNET_LEN, message);
        self.send_group(interface, packet, out)
    }
}
