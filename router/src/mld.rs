//! Telling multicast routers and snooping switches which groups the router listens to: the
//! listener's part of MLD (RFC 3810), in version 1 for those who know no other.

use core::net::Ipv6Addr;
use core::time::Duration;

use crate::frame::InterfaceId;
use crate::router::{Egress, Router};
use crate::time::Instant;
use crate::wire::mld::{Query, Record, report, report_version_1};

/// How often a change is reported (RFC 3810 9.1).
const ROBUSTNESS: u8 = 2;
/// Within how long it is reported again (RFC 3810 9.11), in milliseconds.
const UNSOLICITED_MS: u64 = 1000;
/// How long a querier of version 1 is remembered (RFC 3810 9.12, with its defaults).
const OLD_QUERIER: Duration = Duration::from_secs(260);

/// What is to be reported on a link, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Listener {
    /// How often a change is still to be reported, and when next.
    changed: Option<(u8, Instant)>,
    /// When to answer a query, and about which group if not all.
    answer: Option<(Instant, Option<Ipv6Addr>)>,
    /// Until when only version 1 is spoken.
    version_1_until: Option<Instant>,
}

impl Listener {
    /// The groups have changed.
    pub(crate) fn changed(&mut self, now: Instant) {
        self.changed = Some((ROBUSTNESS, now));
    }

    /// When something is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        let changed = self.changed.map(|(_, at)| at);
        let answer = self.answer.map(|(at, _)| at);
        changed.into_iter().chain(answer).min()
    }
}

impl Router {
    /// A query arrived.
    pub(crate) fn mld_query(&mut self, now: Instant, input: InterfaceId, query: Query) {
        let millis = u64::try_from(query.within.as_millis()).unwrap_or(u64::MAX);
        let delay = Duration::from_millis(self.random(millis));
        let v6 = self
            .links
            .get_mut(input.index())
            .and_then(|l| l.v6.as_mut());
        let Some(v6) = v6 else { return };
        if query.version_1 {
            v6.listener.version_1_until = Some(now.saturating_add(OLD_QUERIER));
        }
        let at = now.saturating_add(delay);
        // Two questions at a time are answered as one, about everything.
        v6.listener.answer = Some(match v6.listener.answer {
            None => (at, query.group),
            Some((due, group)) if group == query.group => (due.min(at), group),
            Some((due, _)) => (due.min(at), None),
        });
    }

    /// Reports what is due on a link.
    pub(crate) fn mld_due(&mut self, now: Instant, interface: InterfaceId, out: &mut dyn Egress) {
        let again = Duration::from_millis(self.random(UNSOLICITED_MS));
        let v6 = self
            .links
            .get_mut(interface.index())
            .and_then(|l| l.v6.as_mut());
        let Some(v6) = v6.filter(|v6| v6.listener.due().is_some_and(|at| at <= now)) else {
            return;
        };
        // Before the link-local address may be used the report has none (RFC 3590).
        let source = v6.source().unwrap_or(Ipv6Addr::UNSPECIFIED);
        let groups = v6.groups();
        let version_1 = v6.listener.version_1_until.is_some_and(|until| now < until);
        let mut record = Record::IsExclude;
        let mut about = None;
        match v6.listener.changed {
            Some((left, at)) if at <= now => {
                record = Record::ToExclude;
                let next = now.saturating_add(again);
                v6.listener.changed = (left > 1).then_some((left - 1, next));
            }
            _ => about = v6.listener.answer.take().and_then(|(_, group)| group),
        }
        let asked = |g: &&Ipv6Addr| about.is_none_or(|about| about == **g);
        let groups: alloc::vec::Vec<Ipv6Addr> = groups.iter().filter(asked).copied().collect();
        if groups.is_empty() {
            return;
        }
        if version_1 && !source.is_unspecified() {
            for group in groups {
                self.send_group(interface, report_version_1(source, group), out);
            }
        } else {
            self.send_group(interface, report(source, record, &groups), out);
        }
    }
}
