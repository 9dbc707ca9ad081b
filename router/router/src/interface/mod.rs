//! Interfaces, and the protocols that each runs on its link.

pub(crate) mod acd;
pub(crate) mod dad;
pub(crate) mod link;
pub(crate) mod mld;
pub(crate) mod router_advert;
pub(crate) mod timers;
pub(crate) mod vlan_map;
