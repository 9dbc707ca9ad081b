//! Why a route can't be entered.

use core::fmt;

/// Why a route can't be entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RouteError {
    /// There are as many gateways on one interface, or groups of gateways, as there can be.
    TooManyGateways,
    /// It is in a routing table, or leads to one, that the configuration doesn't have.
    NoVrf,
    /// No route leads to its gateway, or to its group of gateways, yet, and lanes may be reading what
    /// would have to be added: [`Router::insert_route`](crate::Router::insert_route) can do it.
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
