//! Whole frames into routers, and what comes out of them.

mod bed;
mod chain;
mod forwarding;
mod icmp;
mod neighbors;
