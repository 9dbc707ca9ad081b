//! Multicast Listener Discovery, the listener's part (RFC 3810): tells multicast routers and
//! snooping switches which groups the router listens to, using version 1 (RFC 2710) while a querier
//! doesn't support version 2.
//!
//! Queries whose answers are due at the same time are answered by one report about all groups, so a
//! single timer suffices where RFC 3810 6.2 has one per group.

use alloc::vec::Vec;
use core::net::Ipv6Addr;
use core::time::Duration;

use crate::cx::Cx;
use crate::frame::InterfaceId;
use crate::interface::Interface;
use crate::interface::output::send_to_group;
use crate::time::Instant;
use wire::mld::{Query, RECORDS_MAX, ROBUSTNESS, Record, message_version_1, report};

/// Unsolicited Report Interval (RFC 3810 9.11), in milliseconds.
const UNSOLICITED_REPORT_INTERVAL_MS: u64 = 1000;
/// The default Query Interval (RFC 3810 9.2).
const QUERY_INTERVAL: Duration = Duration::from_secs(125);

/// A record of a State Change Report: a group that is joined or left (RFC 3810 6.1).
#[derive(Clone, Copy, Debug)]
struct Change {
    group: Ipv6Addr,
    record: Record,
    /// The number of reports still to be sent.
    left: u8,
}

/// The state machine of an interface: what is to be reported, and when.
#[derive(Clone, Debug)]
pub(crate) struct MldListener {
    /// The groups that are listened to.
    groups: Vec<Ipv6Addr>,
    /// Changes that are still to be reported.
    changes: Vec<Change>,
    /// When the next report of changes is due.
    changes_at: Instant,
    /// The last querier's Robustness Variable: the number of reports per change.
    robustness: u8,
    /// The Query Interval of the last querier.
    interval: Duration,
    /// When to answer a query, and about which group (`None` for all).
    answer: Option<(Instant, Option<Ipv6Addr>)>,
    /// The end of version 1 compatibility mode (Older Version Querier Present Timeout, RFC 3810
    /// 9.12).
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
    /// Sets the groups to listen to. Groups that are new or gone are reported (RFC 3810 6.1).
    pub(crate) fn listen(&mut self, now: Instant, groups: Vec<Ipv6Addr>) {
        let old = core::mem::replace(&mut self.groups, groups.clone());
        for &group in groups.iter().filter(|g| !old.contains(g)) {
            self.change(now, group, Record::ToExclude);
        }
        for &group in old.iter().filter(|g| !groups.contains(g)) {
            self.change(now, group, Record::ToInclude);
        }
    }

    /// Returns how many answers to queries are due: one at most, whoever asked.
    pub(crate) fn answers(&self) -> usize {
        usize::from(self.answer.is_some())
    }

    /// Reports all groups again as if they were new.
    pub(crate) fn repeat(&mut self, now: Instant) {
        for group in self.groups.clone() {
            self.change(now, group, Record::ToExclude);
        }
    }

    /// Schedules reports of a change, replacing those that were still to be sent about the group.
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

    /// Returns the records of changes if they are due. The next are due after `pause`.
    fn changes(&mut self, now: Instant, pause: Duration) -> Vec<(Record, Ipv6Addr)> {
        if self.changes_at > now {
            return Vec::new();
        }
        self.changes_at = now.saturating_add(pause);
        let records = self.changes.iter().map(|c| (c.record, c.group)).collect();
        // Version 1 sends a single Done (RFC 2710 4).
        let version_1 = self.is_version_1(now);
        self.changes.retain_mut(|c| {
            c.left -= 1;
            c.left > 0 && !(version_1 && c.record == Record::ToInclude)
        });
        records
    }

    /// Returns the records of an answer if one is due.
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

    /// Returns `true` in version 1 compatibility mode.
    fn is_version_1(&self, now: Instant) -> bool {
        self.version_1_until.is_some_and(|until| now < until)
    }

    /// Returns when [`poll`](Self::poll) has something to do; `None` if nothing is to be reported.
    pub(crate) fn due(&self) -> Option<Instant> {
        let changed = (!self.changes.is_empty()).then_some(self.changes_at);
        let answer = self.answer.map(|(at, _)| at);
        changed.into_iter().chain(answer).min()
    }

    /// Handles a query, which is answered after a random delay (RFC 3810 6.2).
    pub(crate) fn query(&mut self, cx: &mut Cx<'_>, query: Query) {
        let millis = u64::try_from(query.max_response_delay.as_millis()).unwrap_or(u64::MAX);
        let delay = Duration::from_millis(cx.rng.up_to(millis));
        if query.version_1 {
            // RFC 3810 9.12.
            let present = self.interval * self.robustness.into() + query.max_response_delay;
            self.version_1_until = Some(cx.now.saturating_add(present));
        } else {
            self.robustness = query.robustness;
            self.interval = query.interval;
        }
        if query.group.is_some_and(|g| !self.groups.contains(&g)) {
            return;
        }
        let at = cx.now.saturating_add(delay);
        // Queries about different groups are answered like a general query.
        self.answer = Some(match self.answer {
            None => (at, query.group),
            Some((due, group)) if group == query.group => (due.min(at), group),
            Some((due, _)) => (due.min(at), None),
        });
    }

    /// Reports what is due.
    pub(crate) fn poll(&mut self, cx: &mut Cx<'_>, on: InterfaceId, interface: &Interface) {
        let again = Duration::from_millis(cx.rng.up_to(UNSOLICITED_REPORT_INTERVAL_MS));
        let Some(v6) = interface.v6.as_ref() else {
            return;
        };
        if self.due().is_none_or(|at| at > cx.now) {
            return;
        }
        // Before the link-local address may be used, a report has no source (RFC 3590 4).
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
            } else {
                for records in records.chunks(RECORDS_MAX) {
                    send_to_group(cx, (on, interface), report(source, records));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
