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
    /// No other route has its gateway or group of gateways, which can't be added while lanes may be
    /// reading: [`Router::insert_route`](crate::Router::insert_route) can do it.
    NewNextHop,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyGateways => "too many gateways, or groups of gateways",
            Self::NoVrf => "no such routing table",
            Self::NewNextHop => "no route leads to its next hop yet",
        })
    }
}

impl core::error::Error for RouteError {}
