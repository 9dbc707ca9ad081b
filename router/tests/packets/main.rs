//! Whole frames into routers, and what comes out of them.

mod bed;
mod bed6;
mod chain;
mod forwarding;
mod forwarding6;
mod icmp;
mod local6;
mod loopback;
mod neighbors;
mod neighbors6;
mod vlan;
mod vrf;
