//! The reason why a route can't be added.

use core::fmt;

/// The reason why a route can't be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RouteError {
    /// The limit of gateways on an interface, or of groups of gateways, is reached.
    TooManyGateways,
    /// The configuration doesn't have the route's routing table, or the one that it leads to.
    NoVrf,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyGateways => "too many gateways, or groups of gateways",
            Self::NoVrf => "no such routing table",
        })
    }
}

impl core::error::Error for RouteError {}
