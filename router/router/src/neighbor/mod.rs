//! Neighbors: who they are, whether they answer, and how they are asked.

pub(crate) mod adjacency;
pub(crate) mod arp;
pub(crate) mod budget;
pub(crate) mod ndp;
pub(crate) mod nud;
pub(crate) mod proxy_arp;
pub(crate) mod solicit;
pub(crate) mod table;
