//! A token bucket (the generic cell rate algorithm).

use core::time::Duration;

use crate::time::Instant;

/// ICMP errors a second and interface (RFC 1812 4.3.2.8). Traceroute and mtr need a few
/// dozen at once and some ten a second each.
const INTERVAL: Duration = Duration::from_millis(5);
/// How many may follow each other at once.
const BURST: u32 = 100;

/// When the bucket will be full again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RateLimit(Instant);

impl RateLimit {
    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let full = self.0.max(now);
        if full.saturating_since(now) > INTERVAL * (BURST - 1) {
            return false;
        }
        self.0 = full.saturating_add(INTERVAL);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate() {
        let mut limit = RateLimit::default();
        let mut now = Instant::from_secs(10);
        assert_eq!((0..1000).filter(|_| limit.take(now)).count(), 100);
        let mut taken = 0;
        for _ in 0..1000 {
            now = now.saturating_add(Duration::from_millis(1));
            taken += usize::from(limit.take(now));
        }
        assert_eq!(taken, 200);
    }
}
