//! Files of routes beside the configuration in the ramdisk's archive: one route a line, read as
//! a stream, so that a million of them exist nowhere but in the forwarding table.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::ConfigError;
use super::check::{named, networks, not_a_loopback, not_a_route};
use super::draft::{At, parse_network, parse_via};
use super::gateway::{Gateways, OnLink};
use super::model::{Config, RouteConfig, RouteFile, RouteTarget};
use super::suggest::did_you_mean;
use super::vrf::same_vrf;
use wire::addr::Network;

/// What takes the routes of a file.
pub trait RouteSink {
    /// A target, made ready for many routes.
    type Target: Copy;

    /// Makes a target ready; None if there are too many already.
    fn target(&mut self, target: &RouteTarget) -> Option<Self::Target>;

    /// Takes a route. Whether it is the first with its prefix.
    fn route(&mut self, prefix: Network, target: Self::Target) -> bool;

    /// No more routes of this file will use a target.
    fn done(&mut self, target: Self::Target);
}

/// Reads lines `PREFIX GATEWAY…`, `PREFIX INTERFACE` and `PREFIX ACTION`; `#` begins a comment.
/// Returns how many routes there were.
///
/// # Errors
///
/// The first line that is wrong: the text begins with `FILE:LINE`, the error's own line is 0.
pub fn read<S: RouteSink>(
    config: &Config,
    file: &RouteFile,
    text: &[u8],
    sink: &mut S,
) -> Result<usize, ConfigError> {
    let mut reader = Reader {
        config,
        vrf: file.vrf,
        connected: networks(&config.interfaces, file.vrf),
        on_link: on_link(config),
        names: config.interfaces.iter().map(|i| i.name.as_str()).collect(),
        known: BTreeMap::new(),
        last: None,
        sink,
    };
    let mut count = 0;
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

fn on_link(config: &Config) -> Vec<OnLink> {
    let vrf_of = |at: usize| config.interfaces.get(at).map(|i| i.vrf);
    let on_link = |route: &RouteConfig| match route.target {
        RouteTarget::Interface(interface) if vrf_of(interface) == Some(route.vrf) => Some(OnLink {
            vrf: route.vrf,
            prefix: route.prefix,
            interface,
        }),
        _ => None,
    };
    config.routes.iter().filter_map(on_link).collect()
}

/// What a line says behind the prefix, and whether that is of IPv6.
type Words<'a> = (bool, &'a str);

struct Reader<'a, S: RouteSink> {
    config: &'a Config,
    /// The table that the routes are in.
    vrf: usize,
    connected: Vec<(Network, &'a str)>,
    /// What `[[route]]` puts on the links of interfaces.
    on_link: Vec<OnLink>,
    names: Vec<&'a str>,
    /// The targets met so far. Many routes have the same one.
    known: BTreeMap<Words<'a>, S::Target>,
    last: Option<(Words<'a>, S::Target)>,
    sink: &'a mut S,
}

impl<'a, S: RouteSink> Reader<'a, S> {
    /// Takes a line. Whether it has a route.
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
        let prefix = parse_network(line, prefix)?.value;
        not_a_route(line, prefix, &self.connected)?;
        let words = (prefix.address.is_ipv6(), words.trim_ascii());
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
        let read = self.read_target(line, prefix, words.1)?;
        let Some(target) = self.sink.target(&read) else {
            let text = format!("{prefix}: too many different gateways before this one");
            return Err(ConfigError::new(line, text));
        };
        self.known.insert(words, target);
        Ok(target)
    }

    fn read_target(
        &self,
        line: u32,
        prefix: Network,
        words: &str,
    ) -> Result<RouteTarget, ConfigError> {
        let is_address = |word: &str| word.contains(['.', ':']);
        match words {
            "blackhole" => Ok(RouteTarget::Blackhole),
            "unreachable" => Ok(RouteTarget::Unreachable),
            "prohibit" => Ok(RouteTarget::Prohibit),
            word if self.names.contains(&word) => {
                let name = At {
                    line,
                    value: String::from(word),
                };
                let at = named(&self.names, &name)?;
                not_a_loopback(&self.config.interfaces, at, line)?;
                same_vrf(
                    &self.config.vrfs,
                    self.config.interfaces.get(at),
                    self.vrf,
                    line,
                )?;
                Ok(RouteTarget::Interface(at))
            }
            words => {
                let gateway = |word: &str| {
                    if !is_address(word) {
                        let actions = ["blackhole", "unreachable", "prohibit"];
                        let known = self.names.iter().copied().chain(actions);
                        let hint = did_you_mean(word, known);
                        let text = format!("\"{word}\" is no gateway, interface or action{hint}");
                        return Err(ConfigError::new(line, text));
                    }
                    let gateway = parse_via(line, word)?;
                    let there = Gateways {
                        interfaces: &self.config.interfaces,
                        on_link: &self.on_link,
                        names: &self.names,
                        vrfs: &self.config.vrfs,
                        vrf: self.vrf,
                    };
                    there.via(prefix, &gateway)
                };
                let gateways = words.split_ascii_whitespace().map(gateway);
                Ok(RouteTarget::Via(gateways.collect::<Result<_, _>>()?))
            }
        }
    }
}

#[cfg(test)]
mod tests;
