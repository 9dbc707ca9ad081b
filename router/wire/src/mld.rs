//! Multicast Listener Discovery, the listener's part (RFC 3810, RFC 2710).

use alloc::vec::Vec;
use core::net::Ipv6Addr;
use core::time::Duration;

use super::icmpv6::{MLD_DONE, MLD_QUERY, MLD_REPORT, MLDV2_REPORT, fill_checksum};
use super::ipv6::{HOP_BY_HOP, ICMP, Ipv6};
use super::{be16, be128, ipv6};
use crate::ethernet::ETHERNET_LEN;
use crate::ipv6::ALL_ROUTERS;

/// The destination of version 2 reports (RFC 3810 5.2.14).
pub const ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

/// The default robustness variable (RFC 3810 9.1).
pub const ROBUSTNESS: u8 = 2;

/// The type of a multicast address record in a report (RFC 3810 5.2.12).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Record {
    /// MODE_IS_EXCLUDE with no sources: the group is listened to.
    IsExclude = 2,
    /// CHANGE_TO_INCLUDE_MODE with no sources: the group is no longer listened to.
    ToInclude = 3,
    /// CHANGE_TO_EXCLUDE_MODE with no sources: the group is listened to from now on.
    ToExclude = 4,
}

/// A Multicast Listener Query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query {
    /// The group that the query is about; `None` for a general query.
    pub group: Option<Ipv6Addr>,
    /// The Maximum Response Delay.
    pub max_response_delay: Duration,
    /// `true` for a query of version 1.
    pub version_1: bool,
    /// The Querier's Robustness Variable (RFC 3810 5.1.8).
    pub robustness: u8,
    /// The Querier's Query Interval (RFC 3810 5.1.9).
    pub interval: Duration,
}

impl Query {
    /// Parses a query with a valid checksum (RFC 3810 5.1).
    pub fn parse(message: &[u8]) -> Option<Self> {
        let kind = *message.get(..24)?.first()?;
        let group = Ipv6Addr::from_bits(be128(message, 8));
        let sound = kind == MLD_QUERY && (group.is_multicast() || group.is_unspecified());
        let code = u64::from(be16(message, 4));
        // From 32768 and 128 on, the codes are floating-point numbers (RFC 3810 5.1.3, 5.1.9).
        let millis = if code < 0x8000 {
            code
        } else {
            (code & 0xfff | 0x1000) << ((code >> 12 & 7) + 3)
        };
        let version_1 = message.len() == 24;
        let robustness = match message.get(24).map_or(0, |flags| flags & 7) {
            0 => ROBUSTNESS,
            given => given,
        };
        let interval = match message.get(25).map_or(0, |&code| u64::from(code)) {
            code @ ..0x80 => code,
            code => (code & 0xf | 0x10) << ((code >> 4 & 7) + 3),
        };
        (sound && (version_1 || message.len() >= 28)).then_some(Self {
            group: (!group.is_unspecified()).then_some(group),
            max_response_delay: Duration::from_millis(if version_1 { code } else { millis }),
            version_1,
            robustness,
            interval: Duration::from_secs(interval),
        })
    }
}

/// The maximum number of records in a report, so that it fits the minimum MTU (RFC 3810 5.2.15):
/// each takes 20 bytes, after the router alert and the first 8 bytes of the message.
pub const RECORDS_MAX: usize = (ipv6::MIN_MTU - ipv6::HEADER_LEN - 8 - 8) / 20;

/// Returns a frame with a version 2 report about at most [`RECORDS_MAX`] groups. The caller fills
/// in the Ethernet header.
pub fn report(source: Ipv6Addr, records: &[(Record, Ipv6Addr)]) -> Vec<u8> {
    let count = u16::try_from(records.len()).unwrap_or(u16::MAX);
    let mut message = alloc::vec![MLDV2_REPORT, 0, 0, 0, 0, 0];
    message.extend_from_slice(&count.to_be_bytes());
    for &(record, group) in records {
        message.extend_from_slice(&[record as u8, 0, 0, 0]);
        message.extend_from_slice(&group.octets());
    }
    frame(source, ROUTERS, message)
}

/// Returns a frame with a version 1 message about one group: a Report to the group, or a Done to
/// all routers (RFC 2710 3).
pub fn message_version_1(source: Ipv6Addr, record: Record, group: Ipv6Addr) -> Vec<u8> {
    let (kind, destination) = match record {
        Record::ToInclude => (MLD_DONE, ALL_ROUTERS),
        Record::IsExclude | Record::ToExclude => (MLD_REPORT, group),
    };
    let mut message = alloc::vec![kind, 0, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(&group.octets());
    frame(source, destination, message)
}

/// Returns a frame with a message behind a router alert, which every MLD message has (RFC 3810 5).
fn frame(source: Ipv6Addr, destination: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
    const ALERT: [u8; 8] = [ICMP, 0, 5, 2, 0, 0, 1, 0];
    fill_checksum(source, destination, &mut message);
    let header = Ipv6 {
        total_len: ipv6::HEADER_LEN + ALERT.len() + message.len(),
        next_header: HOP_BY_HOP,
        hop_limit: 1,
        source,
        destination,
    };
    let mut frame = Vec::with_capacity(ETHERNET_LEN + header.total_len);
    frame.resize(ETHERNET_LEN, 0);
    frame.extend_from_slice(&header.header());
    frame.extend_from_slice(&ALERT);
    frame.extend_from_slice(&message);
    frame
}

#[cfg(test)]
mod tests {
    use super::super::icmpv6::verifies;
    use super::*;

    #[test]
    fn queries() {
        let mut message = alloc::vec![0u8; 28];
        message[0] = MLD_QUERY;
        message[4..6].copy_from_slice(&10_000u16.to_be_bytes());
        let query = Query::parse(&message).unwrap();
        assert_eq!(
            (query.group, query.max_response_delay.as_millis()),
            (None, 10_000)
        );
        assert_eq!((query.version_1, query.robustness), (false, 2));
        for (code, seconds) in [(125, 125), (0x80, 128), (0xff, 31 << 10)] {
            message[24..26].copy_from_slice(&[0xfb, code]);
            let query = Query::parse(&message).unwrap();
            assert_eq!((query.robustness, query.interval.as_secs()), (3, seconds));
        }
        message[4..6].copy_from_slice(&[0x80, 1]);
        assert_eq!(
            Query::parse(&message)
                .unwrap()
                .max_response_delay
                .as_millis(),
            0x1001 << 3
        );
        assert!(Query::parse(&message[..24]).unwrap().version_1);
        assert_eq!(Query::parse(&message[..27]), None);
        assert_eq!(Query::parse(&message[..23]), None);
        message[8] = 0x20;
        assert_eq!(Query::parse(&message), None, "not a group");
    }

    #[test]
    fn reports_are_well_formed() {
        let source: Ipv6Addr = "fe80::1".parse().unwrap();
        let groups: [Ipv6Addr; 2] = [
            "ff02::2".parse().unwrap(),
            "ff02::1:ff00:1".parse().unwrap(),
        ];
        let frame = report(source, &groups.map(|g| (Record::ToExclude, g)));
        let ip = Ipv6::parse(&frame[14..], frame.len() - 14).unwrap();
        assert_eq!((ip.hop_limit, ip.next_header), (1, HOP_BY_HOP));
        assert_eq!(frame[54..62], [58, 0, 5, 2, 0, 0, 1, 0]);
        assert!(verifies(source, ROUTERS, &frame[62..]));
        assert_eq!(frame[62..70], [143, 0, frame[64], frame[65], 0, 0, 0, 2]);
        assert_eq!(frame[70..74], [4, 0, 0, 0]);
        assert_eq!(frame[74..90], groups[0].octets());
        let frame = message_version_1(source, Record::IsExclude, groups[1]);
        assert!(verifies(source, groups[1], &frame[62..]));
        let frame = message_version_1(source, Record::ToInclude, groups[1]);
        assert!(verifies(source, ALL_ROUTERS, &frame[62..]));
        assert_eq!((frame[62], &frame[70..]), (132, &groups[1].octets()[..]));
    }
}
