//! The memory budget of tables that others can fill.
//!
//! Queues for the slow path, for neighbors and for reassembly have fixed limits; the limit of
//! neighbors is derived from the memory.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use config::ConfigError;

use crate::forward::punt_queue::BYTES as PUNTED_BYTES;
use crate::interface::machines::Machines;
use crate::neighbor::budget::{limit_neighbors, usual_limit};
use crate::router::Router;
use crate::state::State;
use crate::time::Instant;

/// The use of a table that others can fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableUse {
    /// The table's name, for instance `neighbors.ipv4.lan`.
    pub name: String,
    /// The number of entries, or of bytes if the name says so.
    pub used: usize,
    /// The limit of `used`.
    pub limit: usize,
}

impl Router {
    /// Limits the tables that others can fill to their part of `bytes` bytes of memory, also after
    /// later changes of the configuration. Interfaces without a configured limit
    /// ([`InterfaceConfig::neighbor_limit`](config::InterfaceConfig::neighbor_limit)) share the
    /// memory for neighbors.
    ///
    /// # Errors
    ///
    /// Fails, without changing anything, if the configured limits need more than half of the
    /// memory.
    pub fn fit_memory(&mut self, bytes: usize) -> Result<(), ConfigError> {
        let usual = usual_limit(&self.config, bytes)?;
        self.state.table_bytes = Some(bytes);
        let Self { state, tables, .. } = self;
        limit_neighbors(state, &mut tables.adjacencies, usual);
        Ok(())
    }

    /// Returns the tables that others fill, with what is in them now. What lanes have that they didn't
    /// offer yet isn't counted.
    #[must_use]
    pub fn table_uses(&self, now: Instant) -> Vec<TableUse> {
        let State {
            neighbors,
            machines,
            ids,
            ..
        } = &self.state;
        let mut all = Vec::new();
        for (id, interface) in ids.iter().zip(&self.config.interfaces) {
            for (family, ipv6) in [("ipv4", false), ("ipv6", true)] {
                all.push(TableUse {
                    name: format!("neighbors.{family}.{}", interface.name),
                    used: neighbors.len(id, ipv6),
                    limit: neighbors.limit(id),
                });
            }
        }
        let mut table = |name: String, (used, limit)| all.push(TableUse { name, used, limit });
        table("unresolved_bytes".into(), neighbors.waiting_bytes());
        table("punted_bytes".into(), self.own_lane.punts.bytes());
        for (cpu, offered) in self.offered.iter().enumerate() {
            // A lane that is just offering some has little.
            let bytes = offered.try_lock().map(|punts| punts.bytes());
            let bytes = bytes.unwrap_or((0, PUNTED_BYTES));
            table(format!("punted_bytes.cpu{cpu}"), bytes);
        }
        table("reassembly_bytes".into(), self.state.reassembly.bytes());
        table("icmp_hosts".into(), self.state.icmp_limits.hosts(now));
        // Of all interfaces: what others make them do has a place for each interface or address.
        let of = |used: fn(&Machines) -> usize| machines.iter().map(used).sum::<usize>();
        let (addresses4, addresses6) = self.addresses();
        table("dad_probes".into(), (of(|m| m.dad.len()), addresses6));
        let conflicts = of(|m| m.acd.conflicts() + m.conflicts6.len());
        table(
            "address_conflicts".into(),
            (conflicts, addresses4 + addresses6),
        );
        let interfaces = ids.iter().count();
        table("mld_answers".into(), (of(|m| m.mld.answers()), interfaces));
        table(
            "router_solicitations".into(),
            (of(|m| m.advertiser.solicitations()), interfaces),
        );
        all
    }

    /// How many addresses all interfaces have, of IPv4 and of IPv6.
    fn addresses(&self) -> (usize, usize) {
        let interfaces = self.tables.interfaces.iter();
        interfaces.fold((0, 0), |(four, six), interface| {
            let v6 = interface.v6.as_ref().map_or(0, |v6| v6.iter().count());
            (four + interface.addresses.len(), six + v6)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(limit: &str) -> Router {
        let text = format!("[interface.a]\nvif = 0\n{limit}\n[interface.b]\nvif = 1\n");
        Router::new(&config::from_toml(&text).unwrap(), 1, Instant(0))
    }

    fn limits(router: &Router) -> Vec<usize> {
        let neighbors = |it: &&TableUse| it.name.starts_with("neighbors.");
        let uses = router.table_uses(Instant(0));
        uses.iter().filter(neighbors).map(|it| it.limit).collect()
    }

    #[test]
    fn interfaces_share_the_memory_for_neighbors() {
        let mut router = router("");
        for (bytes, each) in [(0, 64), (3 << 20, 256), (48 << 20, 4096), (1 << 30, 16_384)] {
            router.fit_memory(bytes).unwrap();
            assert_eq!(limits(&router), [each; 4]);
        }
        let names: Vec<_> = router
            .table_uses(Instant(0))
            .into_iter()
            .map(|it| it.name)
            .collect();
        assert_eq!(names[..2], ["neighbors.ipv4.a", "neighbors.ipv6.a"]);
        assert_eq!(
            names[4..],
            [
                "unresolved_bytes",
                "punted_bytes",
                "reassembly_bytes",
                "icmp_hosts",
                "dad_probes",
                "address_conflicts",
                "mld_answers",
                "router_solicitations"
            ]
        );
    }

    #[test]
    fn what_is_configured_must_fit() {
        let mut router = router("neighbor_limit = 65536");
        let error = router.fit_memory(64 << 20).unwrap_err();
        assert!(
            error.text.contains("49152 KiB") && error.text.contains("32768 KiB"),
            "{error}"
        );
        router.fit_memory(128 << 20).unwrap();
        assert_eq!(limits(&router), [65_536, 65_536, 16_384, 16_384]);
    }

    #[test]
    fn what_is_applied_shares_the_memory_again() {
        let parse = |text: &str| config::from_toml(text).unwrap();
        let text = "[interface.a]\nvif = 0\n[interface.b]\nvif = 1\n";
        let mut router = router("");
        let more = parse(&format!(
            "{text}[interface.c]\nvif = 2\n[interface.d]\nvif = 3\n"
        ));
        // Nobody has said how much there is.
        router.apply(Instant(0), &more).unwrap();
        router.fit_memory(48 << 20).unwrap();
        assert_eq!(limits(&router), [2048; 8]);
        router.apply(Instant(0), &parse(text)).unwrap();
        assert_eq!(limits(&router), [4096; 4]);
        let much = parse("[interface.e]\nvif = 0\nneighbor_limit = 65536\n");
        let error = router.apply(Instant(0), &much).unwrap_err();
        assert!(
            error.text.contains("49152 KiB") && error.text.contains("24576 KiB"),
            "{error}"
        );
        assert_eq!(router.config().interfaces.len(), 2, "nothing has changed");
        assert_eq!(limits(&router), [4096; 4]);
    }

    #[test]
    fn what_others_cause_is_seen_with_its_limit() {
        let text = "[interface.a]\nvif = 0\naddress = [\"10.0.0.1/24\", \"2001:db8::1/64\"]\n\
                    [interface.a.advertise]\nmax_interval_s = 600\nmin_interval_s = 200\n";
        let mut router = Router::new(&config::from_toml(text).unwrap(), 1, Instant(0));
        let table = |router: &Router, now, name: &str| {
            let uses = router.table_uses(now);
            let found = uses.into_iter().find(|it| it.name == name).unwrap();
            (found.used, found.limit)
        };
        let now = Instant::from_secs(1);
        router.link_up(now, crate::InterfaceId(0), [2, 0, 0, 0, 0, 1], 1500);
        // The address and the link-local one.
        assert_eq!(table(&router, now, "dad_probes"), (2, 2));
        assert_eq!(table(&router, now, "address_conflicts"), (0, 3));
        assert_eq!(table(&router, now, "mld_answers"), (0, 1));
        assert_eq!(table(&router, now, "router_solicitations"), (0, 1));
        let (used, limit) = table(&router, now, "icmp_hosts");
        assert!(used == 0 && limit > 0);
        // A lane of another CPU has punted something.
        let mut lanes = [router.new_lane(), router.new_lane()];
        let frame = crate::FrameMeta::plain(100);
        lanes[1].punt(router.tables(), crate::InterfaceId(0), frame, |to| {
            to.fill(0)
        });
        assert!(lanes[1].offer_punts());
        assert_eq!(table(&router, now, "punted_bytes.cpu0").0, 0);
        assert_eq!(table(&router, now, "punted_bytes.cpu1").0, 100);
    }
}
