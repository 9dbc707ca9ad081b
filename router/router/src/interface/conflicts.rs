//! Recently detected address conflicts.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use wire::addr::Mac;

use crate::time::Instant;

/// The minimum time between two defenses of an address (DEFEND_INTERVAL, RFC 5227 1.1), and between
/// two log lines about it.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// The time for which a conflict is remembered after it was last detected.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The conflicts of an interface, at most one for each address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conflicts(Vec<Conflict>);

#[derive(Clone, Copy, Debug)]
struct Conflict {
    address: IpAddr,
    /// The MAC address of the host that uses it; the last one, if several do.
    mac: Mac,
    /// When it was last reported.
    told: Instant,
    /// When it was last detected.
    noticed: Instant,
}

impl Conflict {
    /// Returns when it is forgotten.
    fn end(&self) -> Instant {
        self.noticed.saturating_add(REMEMBERED)
    }
}

impl Conflicts {
    /// Returns the MAC address of another host that uses an address; `None` if there is none.
    pub(crate) fn mac_of(&self, address: IpAddr) -> Option<Mac> {
        let conflict = self.0.iter().find(|c| c.address == address);
        conflict.map(|c| c.mac)
    }

    /// Records that another MAC address uses an address. Returns `true` if this should be reported,
    /// which is at most once per [`DEFEND_INTERVAL`].
    pub(crate) fn note(&mut self, now: Instant, address: IpAddr, mac: Mac) -> bool {
        let Some(known) = self.0.iter_mut().find(|c| c.address == address) else {
            self.0.push(Conflict {
                address,
                mac,
                told: now,
                noticed: now,
            });
            return true;
        };
        (known.mac, known.noticed) = (mac, now);
        let again = now.saturating_since(known.told) >= DEFEND_INTERVAL;
        if again {
            known.told = now;
        }
        again
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns when the first is forgotten; `None` if there are none.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.iter().map(Conflict::end).min()
    }

    /// Forgets conflicts that haven't been detected for a while.
    pub(crate) fn forget_old(&mut self, now: Instant) {
        self.0.retain(|c| c.end() > now);
    }
}
