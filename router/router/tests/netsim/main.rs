//! Networks of many routers in one process: links with delay, loss, duplication and
//! reordering, hosts at the edge, and a time that passes only when nothing is left to do.
//!
//! All that happens follows from a seed. A test that fails prints the one it ran with;
//! `NETSIM_SEED=7 cargo test -p router --test netsim NAME` runs that one again.

mod ecmp;
mod forwarding;
mod host;
mod link;
mod mtu;
mod neighbors;
mod net;
mod packet;
mod plan;
mod random;
mod weather;
