//! The fast path: what happens to a burst of frames without the slow path.

pub(crate) mod ipv4;
pub(crate) mod ipv6;
pub(crate) mod lane;
pub(crate) mod punt_queue;
pub(crate) mod reverse_path;
pub(crate) mod validate;
