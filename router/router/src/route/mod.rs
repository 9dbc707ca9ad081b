//! Routing: the tables and their targets.

pub(crate) mod connected;
pub(crate) mod error;
pub(crate) mod fib;
pub(crate) mod flow_hash;
pub(crate) mod group_numbers;
pub(crate) mod holders;
pub(crate) mod next_hop_group;
pub(crate) mod next_hop_groups;
pub(crate) mod overlay;
pub(crate) mod rib;
pub(crate) mod routes;
pub(crate) mod target;
pub(crate) mod usable;
pub(crate) mod vrf;
