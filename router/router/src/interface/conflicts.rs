//! Which of the router's addresses somebody else uses, as far as was noticed lately.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use wire::addr::Mac;

use crate::time::Instant;

/// The least time between two defences of an address (DEFEND_INTERVAL, RFC 5227 1.1), and between two
/// lines in the log about it.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// How long a conflict is remembered after it was last noticed.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The conflicts of an interface, at most one for each address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conflicts(Vec<Conflict>);

#[derive(Clone, Copy, Debug)]
struct Conflict {
    address: IpAddr,
    /// Who uses it; the last one, if several do.
    mac: Mac,
    /// When it was last told of.
    told: Instant,
    /// When it was last noticed.
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

    /// Notes that an address is used at another MAC address. Returns `true` if that is to be told,
    /// which it is at most once in [`DEFEND_INTERVAL`].
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

    /// Forgets those that weren't noticed for long.
    pub(crate) fn forget_old(&mut self, now: Instant) {
        self.0.retain(|c| c.end() > now);
    }
}
