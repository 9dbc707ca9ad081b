//! Whole frames into routers, and what comes out of them.

mod acd;
mod addresses;
mod apply;
mod broadcast;
mod chain;
mod dad;
mod forwarding;
mod forwarding6;
mod fragments;
mod icmp;
mod lanes;
mod local6;
mod loopback;
mod mld;
mod mtu;
mod neighbors;
mod neighbors6;
mod options;
mod proxy_arp;
mod redirect;
mod reverse_path;
mod silence;
mod source_route;
mod special_purpose;
mod vlan;
mod vrf;
