//! A token bucket (the generic cell rate algorithm).

use core::time::Duration;

use crate::time::Instant;

/// How often something may happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// The mean time between.
    interval: Duration,
    /// How many may follow each other at once.
    burst: u32,
}

/// ICMP errors of an interface (RFC 1812 4.3.2.8, RFC 4443 2.4 (f)). Traceroute and mtr need a
/// few dozen at once and some ten a second each.
pub(crate) const ICMP_ERRORS: Rate = Rate {
    interval: Duration::from_millis(5),
    burst: 100,
};

/// Redirects of an interface (RFC 1812 4.3.2.8, RFC 4861 8.2). Hosts may ignore them.
pub(crate) const REDIRECTS: Rate = Rate {
    interval: Duration::from_millis(100),
    burst: 10,
};

/// Neighbours of an interface that are newly looked for (RFC 6583 7.1): a scan of a /64 must
/// not flood its link with questions.
pub(crate) const RESOLUTIONS: Rate = Rate {
    interval: Duration::from_millis(1),
    burst: 256,
};

/// When the bucket will be full again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RateLimit(Instant);

impl RateLimit {
    /// Whether there is a token.
    pub(crate) fn has_token(self, now: Instant, rate: Rate) -> bool {
        self.0.saturating_since(now) <= rate.interval * (rate.burst - 1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate() {
        let mut limit = RateLimit::default();
        let mut now = Instant::from_secs(10);
        assert_eq!(
            (0..1000).filter(|_| limit.take(now, ICMP_ERRORS)).count(),
            100
        );
        let mut taken = 0;
        for _ in 0..1000 {
            now = now.saturating_add(Duration::from_millis(1));
            taken += usize::from(limit.take(now, ICMP_ERRORS));
        }
        assert_eq!(taken, 200);
    }
}
