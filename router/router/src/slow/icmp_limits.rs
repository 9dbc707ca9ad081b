//! Rate limits of ICMP errors (RFC 1812 4.3.2.8, RFC 4443 2.4 (f)).
//!
//! Errors about packets from an interface share its limit, and one host gets at most a part of it,
//! so that a host that provokes errors leaves some for others. Messages that path MTU discovery
//! needs have a separate limit of the same size, since connections hang without them.
//!
//! Hosts are distinguished by a keyed hash only. Hosts that share a bucket share its limit; there
//! is no table that could overflow, and all buckets together exceed any interface's limit.

use alloc::vec::Vec;
use core::net::IpAddr;

use wire::icmp_error::IcmpError;

use crate::frame::{InterfaceId, MAX_INTERFACES};
use crate::rate_limit::{Rate, RateLimit};
use crate::route::flow_hash::{MULTIPLIER, mix};
use crate::time::Instant;

/// The number of buckets for hosts.
const HOSTS: usize = 1024;
/// One host gets the interface's rate divided by this.
const SHARE: u32 = 2;

/// The rates of an interface.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorRates {
    /// To all hosts.
    all: Rate,
    /// To one.
    host: Rate,
}

impl ErrorRates {
    /// Returns the rates for `number` errors per second: bursts of half as many, and half of the
    /// rate with the same burst to one host. `None` for 0.
    pub(crate) fn per_second(number: u32) -> Option<Self> {
        Some(Self {
            all: Rate::per_second(number)?,
            host: Rate::with_burst((number / SHARE).max(1), number / SHARE)?,
        })
    }
}

/// The buckets of all interfaces.
#[derive(Debug)]
pub(crate) struct IcmpLimits {
    /// Of path MTU messages, by interface.
    path_mtu: [RateLimit; MAX_INTERFACES],
    /// Of all others, by interface.
    others: [RateLimit; MAX_INTERFACES],
    /// Of these, by interface and host.
    hosts: Vec<RateLimit>,
    key: u64,
}

impl IcmpLimits {
    /// Creates full buckets. `key` must be unpredictable.
    pub(crate) fn new(key: u64) -> Self {
        Self {
            path_mtu: [RateLimit::default(); MAX_INTERFACES],
            others: [RateLimit::default(); MAX_INTERFACES],
            hosts: alloc::vec![RateLimit::default(); HOSTS],
            key,
        }
    }

    /// Takes the tokens for an error to `host` about a packet from `input`. Returns `true` if there
    /// were enough.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        rates: ErrorRates,
        input: InterfaceId,
        host: IpAddr,
        error: IcmpError,
    ) -> bool {
        if matches!(error, IcmpError::FragmentationNeeded(_)) {
            let limit = self.path_mtu.get_mut(input.index());
            return limit.is_some_and(|l| l.take(now, rates.all));
        }
        let place = self.place(input, host);
        let (Some(all), Some(host)) = (
            self.others.get_mut(input.index()),
            self.hosts.get_mut(place),
        ) else {
            return false;
        };
        all.has_token(now, rates.all) && host.take(now, rates.host) && all.take(now, rates.all)
    }

    /// Returns how many places of hosts have less than a full bucket, and how many there are.
    pub(crate) fn hosts(&self, now: Instant) -> (usize, usize) {
        let drawn = self.hosts.iter().filter(|limit| !limit.is_full(now));
        (drawn.count(), self.hosts.len())
    }

    /// Returns the bucket of a host.
    fn place(&self, input: InterfaceId, host: IpAddr) -> usize {
        let address = match host {
            IpAddr::V4(host) => u128::from(host.to_bits()),
            IpAddr::V6(host) => host.to_bits(),
        };
        let mut hash = self.key ^ u64::from(input.0);
        for word in [(address >> 64) as u64, address as u64] {
            hash = mix(hash ^ word, MULTIPLIER ^ self.key | 1);
        }
        usize::try_from(hash >> 32).unwrap_or(0) % HOSTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: InterfaceId = InterfaceId(3);

    fn host(at: u32) -> IpAddr {
        IpAddr::V4(at.into())
    }

    #[test]
    fn one_host_leaves_errors_for_others() {
        let rates = ErrorRates::per_second(200).unwrap();
        let mut now = Instant::from_secs(1);
        let mut limits = IcmpLimits::new(7);
        let mut counts = [0, 0];
        for _ in 0..10_000 {
            // A flood for one host, and before each hundredth an error for another.
            let other = limits.take(now, rates, INPUT, host(2), IcmpError::HostUnreachable);
            counts[0] += u32::from(other);
            for _ in 0..100 {
                let flood = limits.take(now, rates, INPUT, host(1), IcmpError::TimeExceeded);
                counts[1] += u32::from(flood);
            }
            now = now.saturating_add(core::time::Duration::from_millis(10));
        }
        // 100 seconds, in which the other one asks for 100 a second.
        assert!((9_900..=10_200).contains(&counts[1]), "{counts:?}");
        assert!(
            counts[0] >= 9_800,
            "what the flood leaves is for others: {counts:?}"
        );
        let mut path_mtu = |to| {
            limits.take(
                now,
                rates,
                INPUT,
                host(to),
                IcmpError::FragmentationNeeded(1400),
            )
        };
        assert_eq!(
            (0..1000).filter(|&to| path_mtu(to)).count(),
            100,
            "has its own"
        );
    }

    #[test]
    fn any_number_of_hosts_leaves_errors_for_one_more() {
        for number in [1, 3, 200, 100_000] {
            let rates = ErrorRates::per_second(number).unwrap();
            let mut limits = IcmpLimits::new(9);
            let mut now = Instant::from_secs(1);
            let mut all = 0;
            for at in 0..200_000 {
                all += u32::from(limits.take(now, rates, INPUT, host(at), IcmpError::TimeExceeded));
            }
            assert!(all >= number / 2 && all > 0, "{all} of {number}");
            now = now.saturating_add(core::time::Duration::from_secs(1));
            assert!(limits.take(now, rates, INPUT, host(7), IcmpError::TimeExceeded));
        }
    }
}
