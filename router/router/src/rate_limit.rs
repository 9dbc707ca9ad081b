//! Token buckets (the generic cell rate algorithm).

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use crate::time::Instant;

/// A rate limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// The mean time between two events.
    interval: Duration,
    /// The maximum burst.
    burst: u32,
}

impl Rate {
    /// Returns a rate of `number` per second with bursts of half as many; `None` for 0.
    pub(crate) fn per_second(number: u32) -> Option<Self> {
        Self::with_burst(number, number / 2)
    }

    /// Returns a rate of `number` per second with bursts of `burst`, at least 1; `None` for 0 per
    /// second.
    pub(crate) fn with_burst(number: u32, burst: u32) -> Option<Self> {
        let interval = Duration::from_secs(1).checked_div(number)?;
        let burst = burst.max(1);
        Some(Self { interval, burst })
    }
}

/// The rate of redirects on an interface (RFC 1812 4.3.2.8, RFC 4861 8.2). Hosts may ignore them.
pub(crate) const REDIRECTS: Rate = Rate {
    interval: Duration::from_millis(100),
    burst: 10,
};

/// The rate of new neighbor resolutions on an interface (RFC 6583 7.1), so that a scan of a /64
/// doesn't flood its link with solicitations.
pub(crate) const RESOLUTIONS: Rate = Rate {
    interval: Duration::from_millis(1),
    burst: 256,
};

/// When the bucket will be full again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RateLimit(Instant);

impl RateLimit {
    /// Returns `true` if there is a token.
    pub(crate) fn has_token(self, now: Instant, rate: Rate) -> bool {
        let most = rate.interval.saturating_mul(rate.burst.saturating_sub(1));
        self.0.saturating_since(now) <= most
    }

    /// Returns `true` if all tokens are there.
    pub(crate) fn is_full(self, now: Instant) -> bool {
        self.0 <= now
    }

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now: Instant, rate: Rate) -> bool {
        let has = self.has_token(now, rate);
        if has {
            self.0 = self.0.max(now).saturating_add(rate.interval);
        }
        has
    }
}

/// The same for who looks at it beside the one who takes: lanes, which only ask.
#[derive(Debug, Default)]
pub(crate) struct SharedRateLimit(AtomicU64);

impl SharedRateLimit {
    fn now(&self) -> RateLimit {
        RateLimit(Instant(self.0.load(Ordering::Relaxed)))
    }

    /// Returns `true` if there is a token.
    #[inline]
    pub(crate) fn has_token(&self, now: Instant, rate: Rate) -> bool {
        self.now().has_token(now, rate)
    }

    /// Takes a token if there is one. One at a time may.
    pub(crate) fn take(&self, now: Instant, rate: Rate) -> bool {
        let mut limit = self.now();
        let taken = limit.take(now, rate);
        self.0.store((limit.0).0, Ordering::Relaxed);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate() {
        for (number, burst) in [(1, 1), (4, 2), (200, 100), (1000, 500)] {
            let rate = Rate::per_second(number).unwrap();
            let mut limit = RateLimit::default();
            let mut now = Instant::from_secs(10);
            let at_once = (0..1000).filter(|_| limit.take(now, rate)).count();
            assert_eq!(at_once, burst);
            let mut taken = 0;
            for _ in 0..1000 {
                now = now.saturating_add(Duration::from_millis(1));
                taken += u32::from(limit.take(now, rate));
            }
            assert_eq!(taken, number);
        }
        assert!(Rate::per_second(0).is_none());
    }
}
