//! Telling multicast routers and snooping switches which groups the router listens to: the
//! listener's part of MLD (RFC 3810), in version 1 for those who know no other.

use alloc::vec::Vec;
use core::net::Ipv6Addr;
use core::time::Duration;

use crate::cx::Cx;
use crate::frame::InterfaceId;
use crate::interface::Interface;
use crate::interface::output::send_to_group;
use crate::time::Instant;
use wire::mld::{Query, ROBUSTNESS, Record, message_version_1, report};

/// Unsolicited Report Interval (RFC 3810 9.11), in milliseconds.
const UNSOLICITED_REPORT_INTERVAL_MS: u64 = 1000;
/// How long it is from one query to the next if no querier says (RFC 3810 9.2).
const QUERY_INTERVAL: Duration = Duration::from_secs(125);

/// A group that is listened to from now on, or not any more.
#[derive(Clone, Copy, Debug)]
struct Change {
    group: Ipv6Addr,
    record: Record,
    /// How often this is still to be reported.
    left: u8,
}

/// What is to be reported on a link, and when.
#[derive(Clone, Debug)]
pub(crate) struct MldListener {
    /// The groups that are listened to.
    groups: Vec<Ipv6Addr>,
    /// What has changed, and when to report that next.
    changes: Vec<Change>,
    changes_at: Instant,
    /// How often a change is reported: what the last querier wants.
    robustness: u8,
    /// How long it is to its next query.
    interval: Duration,
    /// When to answer a query, and about which group if not all.
    answer: Option<(Instant, Option<Ipv6Addr>)>,
    /// Until when only version 1 is spoken.
    version_1_until: Option<Instant>,
}

impl Default for MldListener {
    fn default() -> Self {
        Self {
            groups: Vec::new(),
            changes: Vec::new(),
            changes_at: Instant(0),
            robustness: ROBUSTNESS,
            interval: QUERY_INTERVAL,
            answer: None,
            version_1_until: None,
        }
    }
}

impl MldListener {
    /// From now on these groups are listened to, and no others: what is new or gone is
    /// reported (RFC 3810 6.1).
    pub(crate) fn listen(&mut self, now: Instant, groups: Vec<Ipv6Addr>) {
        let old = core::mem::replace(&mut self.groups, groups.clone());
        for &group in groups.iter().filter(|g| !old.contains(g)) {
            self.change(now, group, Record::ToExclude);
        }
        for &group in old.iter().filter(|g| !groups.contains(g)) {
            self.change(now, group, Record::ToInclude);
        }
    }

    /// Reports all groups as if they were new.
    pub(crate) fn repeat(&mut self, now: Instant) {
        for group in self.groups.clone() {
            self.change(now, group, Record::ToExclude);
        }
    }

    /// What was said of the group before doesn't matter any more.
    fn change(&mut self, now: Instant, group: Ipv6Addr, record: Record) {
        self.changes.retain(|c| c.group != group);
        let left = self.robustness;
        self.changes.push(Change {
            group,
            record,
            left,
        });
        self.changes_at = now;
    }

    /// The records of changes that are due; the next ones are `pause` later.
    fn changes(&mut self, now: Instant, pause: Duration) -> Vec<(Record, Ipv6Addr)> {
        if self.changes_at > now {
            return Vec::new();
        }
        self.changes_at = now.saturating_add(pause);
        let records = self.changes.iter().map(|c| (c.record, c.group)).collect();
        // Version 1 says once that it stops (RFC 2710 4).
        let version_1 = self.is_version_1(now);
        self.changes.retain_mut(|c| {
            c.left -= 1;
            c.left > 0 && !(version_1 && c.record == Record::ToInclude)
        });
        records
    }

    /// The records of an answer that is due.
    fn answer(&mut self, now: Instant) -> Vec<(Record, Ipv6Addr)> {
        let Some((_, about)) = self.answer.take_if(|(at, _)| *at <= now) else {
            return Vec::new();
        };
        let asked = self
            .groups
            .iter()
            .filter(|g| about.is_none_or(|a| a == **g));
        asked.map(|&g| (Record::IsExclude, g)).collect()
    }

    fn is_version_1(&self, now: Instant) -> bool {
        self.version_1_until.is_some_and(|until| now < until)
    }

    /// When something is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        let changed = (!self.changes.is_empty()).then_some(self.changes_at);
        let answer = self.answer.map(|(at, _)| at);
        changed.into_iter().chain(answer).min()
    }
}

impl MldListener {
    /// Takes in a query.
    pub(crate) fn query(&mut self, cx: &mut Cx<'_>, query: Query) {
        let millis = u64::try_from(query.within.as_millis()).unwrap_or(u64::MAX);
        let delay = Duration::from_millis(cx.rng.up_to(millis));
        if query.version_1 {
            // RFC 3810 9.12.
            let present = self.interval * self.robustness.into() + query.within;
            self.version_1_until = Some(cx.now.saturating_add(present));
        } else {
            self.robustness = query.robustness;
            self.interval = query.interval;
        }
        if query.group.is_some_and(|g| !self.groups.contains(&g)) {
            return;
        }
        let at = cx.now.saturating_add(delay);
        // Two questions at a time are answered as one, about everything.
        self.answer = Some(match self.answer {
            None => (at, query.group),
            Some((due, group)) if group == query.group => (due.min(at), group),
            Some((due, _)) => (due.min(at), None),
        });
    }

    /// Reports what is due on a link.
    pub(crate) fn poll(&mut self, cx: &mut Cx<'_>, on: InterfaceId, interface: &Interface) {
        let again = Duration::from_millis(cx.rng.up_to(UNSOLICITED_REPORT_INTERVAL_MS));
        let Some(v6) = interface.v6.as_ref() else {
            return;
        };
        if self.due().is_none_or(|at| at > cx.now) {
            return;
        }
        // Before the link-local address may be used the report has none (RFC 3590).
        let source = v6.source().unwrap_or(Ipv6Addr::UNSPECIFIED);
        let version_1 = self.is_version_1(cx.now) && !source.is_unspecified();
        let changes = self.changes(cx.now, again);
        let answer = self.answer(cx.now);
        for records in [changes, answer] {
            if version_1 {
                for (record, group) in records {
                    let message = message_version_1(source, record, group);
                    send_to_group(cx, (on, interface), message);
                }
            } else if !records.is_empty() {
                send_to_group(cx, (on, interface), report(source, &records));
            }
        }
    }
}

#[cfg(test)]
mod tests;
