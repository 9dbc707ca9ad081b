//! Routing tables: their names, who is in which, and routes from one to another.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::ConfigError;
use super::draft::At;
use super::limits::MAX_INTERFACES;
use super::model::{DEFAULT_VRF, InterfaceConfig, RouteConfig, RouteTarget};
use super::suggest::did_you_mean;
use super::toml_value::{Lines, Value, in_order, table, unknown};
use wire::addr::Network;

/// The most tables: one for each interface.
const MAX_VRFS: usize = MAX_INTERFACES;

/// Reads the tables `[vrf.NAME]`, which say nothing more yet.
pub(crate) fn read(lines: &Lines, value: &Value<'_>) -> Result<Vec<At<String>>, ConfigError> {
    let mut names = Vec::new();
    for (name, value) in in_order(table(lines, "vrf", value)?) {
        let line = lines.of(&name.span());
        let value_of = String::from(name.get_ref().as_ref());
        let whole = format!("vrf.{value_of}");
        if let Some((key, _)) = in_order(table(lines, &whole, value)?).first() {
            return Err(unknown(lines, key, key.get_ref(), &whole, &[]));
        }
        names.push(At {
            line,
            value: value_of,
        });
    }
    Ok(names)
}

/// The name of a table.
pub(crate) fn vrf_name(vrfs: &[String], number: usize) -> &str {
    vrfs.get(number).map_or("?", String::as_str)
}

/// Fails if an interface isn't in a table.
pub(crate) fn same_vrf(
    vrfs: &[String],
    interface: Option<&InterfaceConfig>,
    wanted: usize,
    line: u32,
) -> Result<(), ConfigError> {
    match interface {
        Some(i) if i.vrf != wanted => {
            let (vrf, wanted) = (vrf_name(vrfs, i.vrf), vrf_name(vrfs, wanted));
            let text = format!("interface {} is in vrf {vrf}, not in {wanted}", i.name);
            Err(ConfigError::new(line, text))
        }
        _ => Ok(()),
    }
}

/// The names of all tables, that of the default one first.
pub(crate) struct Vrfs(pub(crate) Vec<String>);

impl Vrfs {
    pub(crate) fn new(given: Vec<At<String>>) -> Result<Self, ConfigError> {
        let mut names = alloc::vec![String::from(DEFAULT_VRF)];
        for At { line, value: name } in given {
            let fail = |text: String| Err(ConfigError::new(line, text));
            let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            if name == DEFAULT_VRF {
                return fail(format!("vrf {name} is always there"));
            }
            if name.is_empty() || name.len() > 31 || !name.bytes().all(legal) {
                return fail(format!(
                    "vrf name \"{name}\" isn't 1 to 31 letters, digits, \"-\" or \"_\""
                ));
            }
            if names.len() == MAX_VRFS {
                return fail(format!("more than {MAX_VRFS} vrfs with {DEFAULT_VRF}"));
            }
            names.push(name);
        }
        Ok(Self(names))
    }

    /// The number of the one with this name.
    pub(crate) fn named(&self, wanted: &At<String>) -> Result<usize, ConfigError> {
        let found = self.0.iter().position(|name| *name == wanted.value);
        found.ok_or_else(|| {
            let hint = did_you_mean(&wanted.value, self.0.iter().map(String::as_str));
            ConfigError::new(wanted.line, format!("no vrf \"{}\"{hint}", wanted.value))
        })
    }

    /// The same where nothing means the default one.
    pub(crate) fn chosen(&self, wanted: Option<&At<String>>) -> Result<usize, ConfigError> {
        wanted.map_or(Ok(0), |wanted| self.named(wanted))
    }

    /// Fails where routes from one table to another lead round in a circle. `connected` has the
    /// networks of the interfaces of each table, `lines` the line of each route.
    pub(crate) fn no_circles(
        &self,
        connected: &[Vec<(Network, &str)>],
        routes: &[RouteConfig],
        lines: &[u32],
    ) -> Result<(), ConfigError> {
        for (route, &line) in routes.iter().zip(lines) {
            let mut seen = alloc::vec![route.vrf];
            let mut at = route;
            while let RouteTarget::Vrf(next) = at.target {
                if seen.contains(&next) {
                    seen.push(next);
                    let names: Vec<&str> = seen.iter().map(|&vrf| vrf_name(&self.0, vrf)).collect();
                    let text = format!(
                        "route {} leads round in a circle: vrf {}",
                        route.prefix,
                        names.join(", ")
                    );
                    return Err(ConfigError::new(line, text));
                }
                seen.push(next);
                let holds =
                    |n: Network| n.len <= route.prefix.len && n.contains(route.prefix.address);
                let best = routes
                    .iter()
                    .filter(|r| r.vrf == next && holds(r.prefix))
                    .max_by_key(|r| r.prefix.len);
                let Some(best) = best else { break };
                let mut networks = connected.get(next).into_iter().flatten();
                if networks.any(|&(n, _)| holds(n) && n.len >= best.prefix.len) {
                    break;
                }
                at = best;
            }
        }
        Ok(())
    }
}
