//! How many neighbors interfaces may have, as memory and configuration say.

use alloc::format;
use core::ops::RangeInclusive;

use config::{Config, ConfigError};

use crate::neighbor::adjacency::Adjacencies;
use crate::neighbor::table::unresolved_limit;
use crate::state::State;

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

/// Returns how many neighbors an interface of this configuration may have if it doesn't say, where
/// there are `bytes` bytes for all tables.
///
/// # Errors
///
/// What is configured is more than half of that.
pub(crate) fn usual_limit(config: &Config, bytes: usize) -> Result<usize, ConfigError> {
    let interfaces = &config.interfaces;
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
    Ok(usual.clamp(*USUAL_LIMITS.start(), *USUAL_LIMITS.end()))
}

/// Sets how many neighbors an interface may have if its configuration doesn't say, and takes their
/// memory.
pub(crate) fn limit_neighbors(state: &mut State, adjacencies: &mut Adjacencies, usual: usize) {
    let State { neighbors, ids, .. } = state;
    neighbors.set_usual_limit(usual);
    let limits = ids.iter().map(|id| neighbors.limit(id));
    let all: usize = limits
        .map(|limit| 2 * (limit + unresolved_limit(limit)))
        .sum();
    neighbors.reserve(adjacencies, all.min(TAKEN_AT_ONCE));
}
