//! A guest from its start to its end, in memory: the control plane with the real data plane and
//! router, a xenstored that plays dom0's, and backends as Linux's.

mod boot;
mod commands;
mod console;
mod guest;
mod shutdown;
mod vifs;
