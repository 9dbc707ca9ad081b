//! Route files in the ramdisk's archive: one route per line, read as a stream, so that even a
//! million routes exist only in the forwarding table.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use crate::check::interfaces::Interfaces;
use crate::check::next_hop::{NextHops, OnLink, forwardable};
use crate::check::route::Connected;
use crate::draft::{Action, At, DraftTarget};
use crate::error::ConfigError;
use crate::limits::{MAX_GROUPS, MAX_NEIGHBORS};
use crate::model::{Config, InterfaceConfig, RouteFile, RouteTarget};
use crate::notation;
use crate::suggest::did_you_mean;
use wire::addr::Network;

/// Receives the routes of a file.
pub trait RouteSink {
    /// A target that has been prepared for many routes.
    type Target: Copy;

    /// Prepares a target. Returns `None` if there are too many targets.
    fn target(&mut self, target: &RouteTarget) -> Option<Self::Target>;

    /// Adds a route. Returns `true` if it is the first one with its prefix.
    fn route(&mut self, prefix: Network, target: Self::Target) -> bool;

    /// Releases a target that no more routes of this file will use.
    fn done(&mut self, target: Self::Target);
}

/// Reads lines `PREFIX GATEWAY…`, `PREFIX INTERFACE` and `PREFIX ACTION`; `#` starts a comment.
/// Returns the number of routes.
///
/// # Errors
///
/// Fails on the first invalid line. The message begins with `FILE:LINE`; the error's own line is 0.
pub fn read<S: RouteSink>(
    config: &Config,
    file: &RouteFile,
    text: &[u8],
    sink: &mut S,
) -> Result<usize, ConfigError> {
    let mut reader = Reader {
        vrf: file.vrf,
        connected: Connected::new(&config.interfaces),
        next_hops: NextHops {
            interfaces: Interfaces {
                all: &config.interfaces,
                vrfs: &config.vrfs,
            },
            on_link: on_link(config),
        },
        known: BTreeMap::new(),
        last: None,
        sink,
    };
    let mut count = 0;
    let text = notation::without_mark(text);
    for (line, text) in (1u32..).zip(text.split(|&b| b == b'\n')) {
        match reader.line(line, text) {
            Ok(route) => count += usize::from(route),
            Err(error) => {
                let text = format!("{}:{}: {}", file.path, error.line, error.text);
                return Err(ConfigError::new(0, text));
            }
        }
    }
    for &target in reader.known.values() {
        reader.sink.done(target);
    }
    Ok(count)
}

fn on_link(config: &Config) -> OnLink {
    let vrf_of = |at: usize| config.interfaces.get(at).map(|i| i.vrf);
    let mut on_link = OnLink::new();
    for route in &config.routes {
        if let RouteTarget::Interface(at) = route.target
            && vrf_of(at) == Some(route.vrf)
        {
            on_link.insert((route.vrf, route.prefix), at);
        }
    }
    on_link
}

/// The rest of a line after the prefix, and `true` if the prefix is IPv6.
type Words<'a> = (bool, &'a str);

struct Reader<'a, S: RouteSink> {
    /// The table that the routes are in.
    vrf: usize,
    connected: Connected<'a>,
    next_hops: NextHops<'a>,
    /// The targets met so far. Many routes have the same one.
    known: BTreeMap<Words<'a>, S::Target>,
    last: Option<(Words<'a>, S::Target)>,
    sink: &'a mut S,
}

impl<'a, S: RouteSink> Reader<'a, S> {
    /// Takes a line. Returns `true` if it has a route.
    fn line(&mut self, line: u32, text: &'a [u8]) -> Result<bool, ConfigError> {
        let fail = |text: String| Err(ConfigError::new(line, text));
        let text = text.split(|&b| b == b'#').next().unwrap_or(text);
        let Ok(text) = core::str::from_utf8(text) else {
            return fail(String::from("not UTF-8 text"));
        };
        let text = text.trim_ascii();
        if text.is_empty() {
            return Ok(false);
        }
        let Some((prefix, words)) = text.split_once(|c: char| c.is_ascii_whitespace()) else {
            return fail(format!("{text} lacks its next hop"));
        };
        let prefix = notation::network(prefix).map_err(|text| ConfigError::new(line, text))?;
        self.connected.allow(line, self.vrf, prefix)?;
        let words = (prefix.address.is_ipv6(), words.trim_ascii());
        if Action::named(words.1).is_none() {
            forwardable(prefix).map_err(|text| ConfigError::new(line, text))?;
        }
        let target = match self.last {
            Some((last, target)) if last == words => target,
            _ => self.target(line, prefix, words)?,
        };
        self.last = Some((words, target));
        if self.sink.route(prefix, target) {
            Ok(true)
        } else {
            fail(format!("there is another route {prefix}"))
        }
    }

    fn target(
        &mut self,
        line: u32,
        prefix: Network,
        words: Words<'a>,
    ) -> Result<S::Target, ConfigError> {
        if let Some(&target) = self.known.get(&words) {
            return Ok(target);
        }
        let draft = draft(line, words.1, self.next_hops.interfaces.all);
        let draft = draft.map_err(|text| ConfigError::new(line, text))?;
        let read = self.next_hops.target(prefix, self.vrf, self.vrf, &draft)?;
        let Some(target) = self.sink.target(&read) else {
            let text = format!(
                "{prefix}: too many gateways: with those before it more than {MAX_NEIGHBORS} on an \
                 interface, or {MAX_GROUPS} groups of them"
            );
            return Err(ConfigError::new(line, text));
        };
        self.known.insert(words, target);
        Ok(target)
    }
}

/// Reads what a line says behind the prefix.
fn draft(
    line: u32,
    words: &str,
    interfaces: &[InterfaceConfig],
) -> Result<At<DraftTarget>, String> {
    let names = || interfaces.iter().map(|i| i.name.as_str());
    let target = if let Some(action) = Action::named(words) {
        DraftTarget::Drop(action)
    } else if names().any(|name| name == words) {
        DraftTarget::Interface(String::from(words))
    } else {
        let gateway = |word: &str| {
            if !word.contains(['.', ':']) {
                let actions = Action::ALL.iter().map(|(action, _)| *action);
                let hint = did_you_mean(word, &mut names().chain(actions));
                return Err(format!("{word:?} is no gateway, interface or action{hint}"));
            }
            Ok(At::new(line, notation::via(word)?))
        };
        let gateways = words.split_ascii_whitespace().map(gateway);
        DraftTarget::Via(gateways.collect::<Result<_, _>>()?)
    };
    Ok(At::new(line, target))
}

#[cfg(test)]
mod tests;
