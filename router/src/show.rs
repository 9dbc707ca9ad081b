//! The router's state as text for people and for scripts.

use core::fmt;

use crate::Router;

/// Interfaces with their state and addresses.
pub fn show_interfaces(router: &Router, out: &mut dyn fmt::Write) -> fmt::Result {
    writeln!(out, "{}", router.config().interfaces.len())
}
