//! The schedule of router advertisements (RFC 4861 6.2).

use alloc::vec::Vec;
use core::time::Duration;

use config::AdvertiseConfig;
use wire::icmpv6;
use wire::ipv6::{ALL_NODES, ON_LINK_HOPS};
use wire::ndp_router_advert::{Prefix, RouterAdvert};

use crate::cx::Cx;
use crate::frame::{ETHERNET_LEN, InterfaceId};
use crate::interface::Interface;
use crate::interface::output::send_to_group;
use crate::time::Instant;

/// The number of initial advertisements, which have shorter intervals
/// (MAX_INITIAL_RTR_ADVERTISEMENTS, RFC 4861 10).
const INITIAL: u8 = 3;
/// The maximum interval after each of those (MAX_INITIAL_RTR_ADVERT_INTERVAL).
const INITIAL_INTERVAL_MS: u64 = 16_000;
/// The maximum delay of the answer to a solicitation (MAX_RA_DELAY_TIME).
const ANSWER_MS: u64 = 500;
/// How long to wait if there was no room for an advertisement.
const CONGESTED_MS: u64 = 500;
/// The minimum time between two advertisements (MIN_DELAY_BETWEEN_RAS).
const APART: Duration = Duration::from_secs(3);

/// The state machine of an interface: what it advertises, and when.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouterAdvertiser {
    /// What it advertises; `None` if nothing.
    config: Option<AdvertiseConfig>,
    /// When the next advertisement is due.
    due: Instant,
    /// When the last one was sent; `None` if none was.
    last: Option<Instant>,
    /// The number of advertisements sent, at most `u8::MAX`.
    sent: u8,
    /// When a final advertisement is due, which ends the router's lifetime (RFC 4861 6.2.5); `None`
    /// if none is to be sent.
    final_ra_due: Option<Instant>,
    /// The next advertisement answers somebody who asked.
    solicited: bool,
    /// `true` if the router has a usable default route, or doesn't need one to advertise itself.
    has_default_route: bool,
}

impl RouterAdvertiser {
    /// Creates one that has sent nothing yet.
    pub(crate) fn new(config: Option<AdvertiseConfig>) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// Continues after `old`, which advertised something else on the same link: with an
    /// advertisement soon if this one advertises, otherwise with a final advertisement.
    pub(crate) fn start(&mut self, now: Instant, old: Option<&Self>) {
        let Some(old) = old else { return };
        if self.config.is_none() {
            let advertised = old.config.is_some() && old.last.is_some();
            self.final_ra_due = old.final_ra_due.or(advertised.then_some(now));
        } else if old.config.is_some() {
            self.last = old.last;
            self.due = old.earliest(now);
            self.sent = 0;
        }
    }

    /// Returns `true` if the advertised lifetime depends on a default route.
    pub(crate) fn needs_default_route(&self) -> bool {
        self.config.as_ref().is_some_and(|c| c.needs_default_route)
    }

    /// Records whether the router has a usable default route. A change is advertised as soon as
    /// permitted (RFC 7084 G-5), as often as initial advertisements.
    pub(crate) fn note_default_route(&mut self, now: Instant, is_there: bool) {
        if core::mem::replace(&mut self.has_default_route, is_there) != is_there
            && self.last.is_some()
        {
            self.due = self.earliest(now);
            self.sent = 0;
        }
    }

    /// Returns when the next advertisement may be sent.
    fn earliest(&self, now: Instant) -> Instant {
        let last = self.last.map(|last| last.saturating_add(APART));
        last.map_or(now, |last| now.max(last))
    }

    /// Returns when [`poll`](Self::poll) has something to send; `None` if it never has.
    pub(crate) fn due(&self) -> Option<Instant> {
        let usual = self.config.as_ref().map(|_| self.due);
        usual.or(self.final_ra_due)
    }

    /// Handles a router solicitation, which the next advertisement answers.
    pub(crate) fn solicited(&mut self, cx: &mut Cx<'_>) {
        let delay = Duration::from_millis(cx.rng.up_to(ANSWER_MS));
        let at = self.earliest(cx.now).saturating_add(delay);
        self.due = self.due.min(at);
        self.solicited = true;
    }

    /// Returns how many answers to solicitations are due: one at most, whoever asked.
    pub(crate) fn solicitations(&self) -> usize {
        usize::from(self.solicited)
    }

    /// Stops advertising. Returns `true` if a final advertisement is to be sent (RFC 4861 6.2.5).
    pub(crate) fn cease(&mut self) -> bool {
        let advertised = self.config.take().is_some() && self.last.is_some();
        if advertised {
            self.final_ra_due = Some(Instant(0));
        }
        self.final_ra_due.is_some()
    }

    /// Sends the advertisement that is due, if the interface has a link-local address to send it
    /// from. It is sent later if there is no room for it.
    pub(crate) fn poll(&mut self, cx: &mut Cx<'_>, on: InterfaceId, interface: &Interface) {
        let v6 = interface.v6.as_ref();
        if v6.is_none_or(|v6| v6.source().is_none()) {
            return;
        }
        if self.final_ra_due.take_if(|at| *at <= cx.now).is_some()
            && !advertise(cx, (on, interface), &AdvertiseConfig::silent(), 0)
        {
            self.final_ra_due = Some(cx.now.saturating_add(Duration::from_millis(CONGESTED_MS)));
        }
        let Some(config) = self.config.as_ref().filter(|_| self.due <= cx.now) else {
            return;
        };
        let lifetime_s = match config.needs_default_route && !self.has_default_route {
            true => 0,
            false => config.lifetime_s,
        };
        let sent = advertise(cx, (on, interface), config, lifetime_s);
        self.solicited &= !sent;
        let (least, most) = (config.min_interval_s.into(), config.max_interval_s.into());
        let spread = 1000 * (u64::saturating_sub(most, least));
        let usual = 1000 * u64::from(config.min_interval_s) + cx.rng.up_to(spread);
        let pause = match self.sent {
            // Without room, it is retried soon.
            _ if !sent => CONGESTED_MS,
            0..INITIAL => usual.min(INITIAL_INTERVAL_MS),
            _ => usual,
        };
        self.due = cx.now.saturating_add(Duration::from_millis(pause));
        if sent {
            self.last = Some(cx.now);
            self.sent = self.sent.saturating_add(1);
        }
    }
}

/// Sends one advertisement. Returns `false` if there was no room for it.
fn advertise(
    cx: &mut Cx<'_>,
    (on, interface): (InterfaceId, &Interface),
    config: &AdvertiseConfig,
    lifetime_s: u16,
) -> bool {
    let Some(source) = interface.v6.as_ref().and_then(|v6| v6.source()) else {
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
    let mtu = config.mtu.unwrap_or(interface.mtu).min(interface.mtu);
    let advert = RouterAdvert {
        hop_limit: config.hop_limit,
        managed: config.managed,
        other: config.other,
        preference: config.preference,
        lifetime_s,
        reachable_time_ms: config.reachable_time_ms,
        retrans_timer_ms: config.retrans_timer_ms,
        mac: interface.mac,
        mtu,
        prefixes: &prefixes,
        routes: &config.routes,
        dns: &config.dns,
        dns_search: &config.dns_search,
        dns_lifetime_s: config.dns_lifetime_s,
    };
    let message = advert.message();
    let packet = icmpv6::packet(source, ALL_NODES, ON_LINK_HOPS, ETHERNET_LEN, message);
    send_to_group(cx, (on, interface), packet)
}

#[cfg(test)]
mod tests;
