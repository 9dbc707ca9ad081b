//! Neighbors: the table, address resolution, unreachability detection.

pub(crate) mod adjacency;
pub(crate) mod arp;
pub(crate) mod budget;
pub(crate) mod ndp;
pub(crate) mod nud;
pub(crate) mod proxy_arp;
pub(crate) mod solicit;
pub(crate) mod table;
