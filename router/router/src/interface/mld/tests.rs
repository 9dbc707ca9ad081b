//! What is reported about groups, and when.

use super::*;
use crate::DropReason;
use crate::cx::fixture::{Fixture, Icmpv6, LAN, LOCAL, interface, tentative};
use crate::rng::Rng;
use wire::icmpv6::{MLD_DONE, MLD_REPORT, MLDV2_REPORT};
use wire::ipv6::ALL_ROUTERS;
use wire::mld::ROUTERS;

const A: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0xa);
const B: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0xb);
/// The longest time between two reports of a change, in ms.
const AGAIN_MS: u64 = 1000;

/// What is said of a group.
type Said = (Record, Ipv6Addr);

/// A link, and what the machine is given there.
struct Link {
    fixture: Fixture,
    interface: Interface,
    mld: MldListener,
}

impl Link {
    fn new() -> Self {
        Self {
            fixture: Fixture::new(),
            interface: interface(&["2001:db8::1/64"]),
            mld: MldListener::default(),
        }
    }

    /// One where these groups are listened to, and that was reported.
    fn listening(groups: &[Ipv6Addr]) -> Self {
        let mut link = Self::new();
        link.listen(groups);
        link.reports();
        link
    }

    fn listen(&mut self, groups: &[Ipv6Addr]) {
        self.mld.listen(self.fixture.now, groups.to_vec());
    }

    fn query(&mut self, query: Query) {
        self.mld.query(&mut self.fixture.cx(), query);
    }

    fn poll(&mut self) -> Vec<Icmpv6> {
        self.mld.poll(&mut self.fixture.cx(), LAN, &self.interface);
        self.fixture.sent_icmpv6()
    }

    /// What is sent from now on, until nothing is due any more.
    fn messages(&mut self) -> Vec<Icmpv6> {
        let mut sent = Vec::new();
        while let Some(due) = self.mld.due() {
            self.fixture.now = self.fixture.now.max(due);
            sent.extend(self.poll());
        }
        sent
    }

    /// The same, as version 2 says it.
    fn reports(&mut self) -> Vec<Vec<Said>> {
        self.messages().iter().map(read).collect()
    }

    /// The same, as version 1 does: types and groups.
    fn reports_version_1(&mut self) -> Vec<(u8, Ipv6Addr)> {
        self.messages().iter().map(read_version_1).collect()
    }
}

/// The records of a version 2 report.
fn read(report: &Icmpv6) -> Vec<Said> {
    assert_eq!((report.kind(), report.hop_limit), (MLDV2_REPORT, 1));
    assert_eq!(report.destination, ROUTERS);
    let records = report.message[8..].chunks_exact(20);
    assert_eq!(records.len(), usize::from(report.message[7]));
    let read = |record: &[u8]| {
        let kinds = [Record::IsExclude, Record::ToInclude, Record::ToExclude];
        let kind = kinds.into_iter().find(|k| *k as u8 == record[0]);
        let group = record[4..].try_into().map(Ipv6Addr::from_octets);
        (kind.unwrap(), group.unwrap())
    };
    records.map(read).collect()
}

/// The type and the group of a version 1 message.
fn read_version_1(message: &Icmpv6) -> (u8, Ipv6Addr) {
    let group = message.message[8..].try_into().map(Ipv6Addr::from_octets);
    let group = group.unwrap();
    let to = match message.kind() {
        MLD_DONE => ALL_ROUTERS,
        _ => group,
    };
    assert_eq!((message.source, message.destination), (LOCAL, to));
    (message.kind(), group)
}

/// A question of version 2, to be answered within a second.
fn query(group: Option<Ipv6Addr>) -> Query {
    Query {
        group,
        max_response_delay: Duration::from_secs(1),
        version_1: false,
        robustness: ROBUSTNESS,
        interval: QUERY_INTERVAL,
    }
}

fn query_version_1() -> Query {
    Query {
        version_1: true,
        ..query(None)
    }
}

fn all(record: Record, groups: &[Ipv6Addr]) -> Vec<Said> {
    groups.iter().map(|&g| (record, g)).collect()
}

/// RFC 3810 6.1, 9.11.
#[test]
fn new_groups_are_reported_at_once_and_once_more_within_a_second() {
    let mut link = Link::new();
    assert_eq!(link.mld.due(), None);
    link.listen(&[A, B]);
    assert_eq!(link.mld.due(), Some(link.fixture.now));
    let first = link.poll();
    assert_eq!(first[0].source, LOCAL);
    assert_eq!(
        first.iter().map(read).collect::<Vec<_>>(),
        [all(Record::ToExclude, &[A, B])]
    );
    let again = link.mld.due().unwrap();
    assert!(again <= link.fixture.in_ms(AGAIN_MS));
    assert_eq!(link.reports(), [all(Record::ToExclude, &[A, B])]);
}

#[test]
fn only_what_changes_is_reported() {
    let mut link = Link::listening(&[A]);
    link.listen(&[A, B]);
    assert_eq!(
        link.reports(),
        [[(Record::ToExclude, B)], [(Record::ToExclude, B)]]
    );
    link.listen(&[B]);
    assert_eq!(
        link.reports(),
        [[(Record::ToInclude, A)], [(Record::ToInclude, A)]]
    );
    link.listen(&[B]);
    assert_eq!(link.mld.due(), None);
}

#[test]
fn what_changes_again_replaces_what_was_to_be_said() {
    let mut link = Link::new();
    link.listen(&[A]);
    link.poll();
    link.listen(&[]);
    assert_eq!(
        link.reports(),
        [[(Record::ToInclude, A)], [(Record::ToInclude, A)]]
    );
}

#[test]
fn a_change_is_reported_as_often_as_the_last_querier_wants() {
    let mut link = Link::new();
    link.query(Query {
        robustness: 5,
        ..query(Some(A))
    });
    link.listen(&[A]);
    assert_eq!(link.reports().len(), 5);
}

/// RFC 3590 4: reports from no address count for nothing but switches.
#[test]
fn reports_have_no_source_until_there_is_one_and_then_are_repeated() {
    let mut link = Link::new();
    link.interface = tentative(&["2001:db8::1/64"]);
    link.listen(&[A]);
    let sent = link.messages();
    assert!(sent.iter().all(|m| m.source.is_unspecified()));
    link.interface = interface(&["2001:db8::1/64"]);
    link.mld.repeat(link.fixture.now);
    let sent = link.messages();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|m| m.source == LOCAL));
    assert_eq!(read(&sent[0]), [(Record::ToExclude, A)]);
}

#[test]
fn what_finds_no_room_is_counted_and_said_the_next_time() {
    let mut link = Link::new();
    link.fixture.set_room(0);
    link.listen(&[A]);
    assert_eq!(link.poll(), []);
    assert_eq!(link.fixture.dropped(DropReason::TxFull), 1);
    link.fixture.set_room(1);
    assert_eq!(link.reports(), [[(Record::ToExclude, A)]]);
}

#[test]
fn nothing_is_said_without_ipv6() {
    let mut link = Link::new();
    link.interface.v6 = None;
    link.listen(&[A]);
    assert_eq!(link.poll(), []);
}

#[test]
fn a_query_is_answered_once_within_its_time() {
    for seed in 0..100 {
        let mut link = Link::listening(&[A, B]);
        link.fixture.rng = Rng::new(seed);
        link.query(query(None));
        assert!(link.mld.due().unwrap() <= link.fixture.in_ms(1000));
        assert_eq!(link.reports(), [all(Record::IsExclude, &[A, B])]);
        link.query(query(Some(B)));
        assert_eq!(link.reports(), [[(Record::IsExclude, B)]]);
    }
}

#[test]
fn a_query_about_a_group_of_others_is_not_answered() {
    let mut link = Link::listening(&[A]);
    link.query(query(Some(B)));
    assert_eq!(link.mld.due(), None);
    // Nor is it a reason to say more than was asked.
    link.query(query(Some(A)));
    link.query(query(Some(B)));
    assert_eq!(link.reports(), [[(Record::IsExclude, A)]]);
}

#[test]
fn two_queries_are_answered_as_one_at_the_earlier_time() {
    for (first, second, wanted) in [
        (Some(A), Some(A), &[A][..]),
        (Some(A), Some(B), &[A, B]),
        (Some(A), None, &[A, B]),
        (None, Some(A), &[A, B]),
    ] {
        for seed in 0..20 {
            let mut link = Link::listening(&[A, B]);
            link.fixture.rng = Rng::new(seed);
            link.query(query(first));
            let due = link.mld.due().unwrap();
            link.query(query(second));
            assert!(link.mld.due().unwrap() <= due);
            assert_eq!(link.reports(), [all(Record::IsExclude, wanted)]);
        }
    }
}

/// RFC 3810 8.2.1.
#[test]
fn version_1_has_a_message_for_each_group() {
    let mut link = Link::listening(&[A]);
    link.query(query_version_1());
    assert_eq!(link.reports_version_1(), [(MLD_REPORT, A)]);
    link.listen(&[A, B]);
    assert_eq!(link.reports_version_1(), [(MLD_REPORT, B), (MLD_REPORT, B)]);
    // RFC 2710 4: that it ends is said once.
    link.listen(&[B]);
    assert_eq!(link.reports_version_1(), [(MLD_DONE, A)]);
}

/// RFC 3810 9.12: twice the query interval and the time to answer.
#[test]
fn version_1_ends_when_nobody_asked_in_it_for_long() {
    let mut link = Link::listening(&[A]);
    link.query(query_version_1());
    let asked = link.fixture.now;
    link.messages();
    link.fixture.now = asked;
    link.fixture.pass_ms(250_999);
    link.mld.repeat(link.fixture.now);
    assert_eq!(link.poll()[0].kind(), MLD_REPORT);
    link.fixture.pass_ms(1);
    link.mld.repeat(link.fixture.now);
    assert_eq!(link.poll()[0].kind(), MLDV2_REPORT);
}

#[test]
fn version_1_needs_a_source() {
    let mut link = Link::new();
    link.interface = tentative(&["2001:db8::1/64"]);
    link.query(query_version_1());
    link.listen(&[A]);
    assert_eq!(link.poll()[0].kind(), MLDV2_REPORT);
}

#[test]
fn reports_fit_every_link() {
    let group = |n: u16| Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, n);
    let groups: Vec<_> = (0..200).map(group).collect();
    let mut link = Link::new();
    link.listen(&groups);
    let sent = link.poll();
    let lens: Vec<_> = sent.iter().map(|m| 48 + m.message.len()).collect();
    assert!(lens.iter().all(|&len| len <= 1280), "{lens:?}");
    let said: Vec<_> = sent.iter().flat_map(read).map(|(_, g)| g).collect();
    assert_eq!(said, groups);
}
