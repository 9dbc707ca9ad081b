//! How memory is divided among the tables that others can fill.
//!
//! What waits for the slow path, for a neighbor, or to be put together has fixed bounds; how many
//! neighbors there may be follows from the memory.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use config::ConfigError;

use crate::neighbor::table::unresolved_limit;
use crate::router::Router;

/// Bytes that a neighbor takes at most, with what its lists and the hash have spare, also while they
/// grow.
const NEIGHBOR_BYTES: usize = 384;
/// Neighbors take one part in this many of the memory if nothing is configured.
const USUAL_PART: usize = 8;
/// What is configured may take one part in this many.
const LARGEST_PART: usize = 2;
/// How many neighbors' memory is taken at the start: in a small domain all, so that what else others
/// send doesn't take it.
const TAKEN_AT_ONCE: usize = 1024;
/// Fewest and most neighbors of a family that an interface may have if nothing is configured.
const USUAL_LIMITS: RangeInclusive<usize> = 64..=16_384;

/// A table that others fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableUse {
    /// What is in it, and of which interface, for instance `neighbors.ipv4.lan`.
    pub name: String,
    /// How many, or how many bytes, as the name says.
    pub used: usize,
    /// As many there may be.
    pub limit: usize,
}

impl Router {
    /// Has tables that others fill take no more than their part of `bytes` bytes of memory, which are
    /// free for them: interfaces whose configuration doesn't say otherwise
    /// ([`InterfaceConfig::neighbor_limit`](config::InterfaceConfig::neighbor_limit)) share what there
    /// is for neighbors.
    ///
    /// # Errors
    ///
    /// What is configured is more than half of the memory.
    pub fn fit_memory(&mut self, bytes: usize) -> Result<(), ConfigError> {
        let interfaces = &self.config.interfaces;
        let limits = interfaces.iter().filter_map(|i| i.neighbor_limit);
        let configured: usize = limits
            .map(|limit| 2 * limit as usize * NEIGHBOR_BYTES)
            .sum();
        if configured > bytes / LARGEST_PART {
            let (needed, free) = (configured >> 10, (bytes / LARGEST_PART) >> 10);
            let text = format!(
                "neighbor_limit: as many neighbors need {needed} KiB, and {free} KiB are for them: more `memory`"
            );
            return Err(ConfigError::new(0, text));
        }
        let others = interfaces.iter().filter(|i| i.neighbor_limit.is_none());
        let families = 2 * others.count().max(1);
        let usual = bytes / USUAL_PART / NEIGHBOR_BYTES / families;
        let usual = usual.clamp(*USUAL_LIMITS.start(), *USUAL_LIMITS.end());
        self.state.neighbors.set_usual_limit(usual);
        let all: usize = self
            .state
            .ids
            .iter()
            .map(|id| self.state.neighbors.limit(id))
            .map(|limit| 2 * (limit + unresolved_limit(limit)))
            .sum();
        let adjacencies = &mut self.tables.adjacencies;
        self.state
            .neighbors
            .reserve(adjacencies, all.min(TAKEN_AT_ONCE));
        Ok(())
    }

    /// Returns the tables that others fill, with what is in them.
    #[must_use]
    pub fn table_uses(&self) -> Vec<TableUse> {
        let neighbors = &self.state.neighbors;
        let mut all = Vec::new();
        for (id, interface) in self.state.ids.iter().zip(&self.config.interfaces) {
            for (family, ipv6) in [("ipv4", false), ("ipv6", true)] {
                all.push(TableUse {
                    name: format!("neighbors.{family}.{}", interface.name),
                    used: neighbors.len(id, ipv6),
                    limit: neighbors.limit(id),
                });
            }
        }
        let mut bytes = |name: &str, (used, limit)| {
            let name = name.into();
            all.push(TableUse { name, used, limit });
        };
        bytes("unresolved_bytes", neighbors.waiting_bytes());
        bytes("punted_bytes", self.own_lane.punts.bytes());
        bytes("reassembly_bytes", self.state.reassembly.bytes());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Instant;

    fn router(limit: &str) -> Router {
        let text = format!("[interface.a]\nvif = 0\n{limit}\n[interface.b]\nvif = 1\n");
        Router::new(&config::from_toml(&text).unwrap(), 1, Instant(0))
    }

    fn limits(router: &Router) -> Vec<usize> {
        let neighbors = |it: &&TableUse| it.name.starts_with("neighbors.");
        let uses = router.table_uses();
        uses.iter().filter(neighbors).map(|it| it.limit).collect()
    }

    #[test]
    fn interfaces_share_the_memory_for_neighbors() {
        let mut router = router("");
        for (bytes, each) in [(0, 64), (3 << 20, 256), (48 << 20, 4096), (1 << 30, 16_384)] {
            router.fit_memory(bytes).unwrap();
            assert_eq!(limits(&router), [each; 4]);
        }
        let names: Vec<_> = router.table_uses().into_iter().map(|it| it.name).collect();
        assert_eq!(names[..2], ["neighbors.ipv4.a", "neighbors.ipv6.a"]);
        assert_eq!(
            names[4..],
            ["unresolved_bytes", "punted_bytes", "reassembly_bytes"]
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
}
