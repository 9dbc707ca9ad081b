//! The fast path.

pub(crate) mod closer_look;
pub(crate) mod header;
pub(crate) mod ipv4;
pub(crate) mod ipv6;
pub(crate) mod lane;
pub(crate) mod pass;
pub(crate) mod process;
pub(crate) mod punt_queue;
pub(crate) mod reverse_path;
pub(crate) mod segments_fit;
pub(crate) mod shortcut;
pub mod stages;
pub(crate) mod tagged;
pub(crate) mod validate;
