//! Routing tables (VRF) by their names.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::is_name;
use crate::draft::At;
use crate::error::ConfigError;
use crate::limits::MAX_INTERFACES;
use crate::model::DEFAULT_VRF;
use crate::suggest::did_you_mean;

/// The most tables: one for each interface.
const MAX_VRFS: usize = MAX_INTERFACES;

/// Returns the names of all tables, that of the default one first.
pub(super) fn names(given: Vec<At<String>>) -> Result<Vec<String>, ConfigError> {
    let mut names = alloc::vec![String::from(DEFAULT_VRF)];
    for given in given {
        let name = &given.value;
        if name == DEFAULT_VRF {
            return Err(given.error(format!("vrf {name} is always there")));
        }
        if !is_name(name) {
            let text = format!("vrf name \"{name}\" isn't 1 to 31 letters, digits, \"-\" or \"_\"");
            return Err(given.error(text));
        }
        if names.len() == MAX_VRFS {
            let text = format!("more than {MAX_VRFS} vrfs with {DEFAULT_VRF}");
            return Err(given.error(text));
        }
        names.push(given.value);
    }
    Ok(names)
}

/// Returns the name of a table.
pub(super) fn name(vrfs: &[String], number: usize) -> &str {
    vrfs.get(number).map_or("?", String::as_str)
}

/// Returns the number of the table with this name.
pub(super) fn named(vrfs: &[String], wanted: &At<String>) -> Result<usize, ConfigError> {
    let found = vrfs.iter().position(|name| *name == wanted.value);
    found.ok_or_else(|| {
        let hint = did_you_mean(&wanted.value, &mut vrfs.iter().map(String::as_str));
        wanted.error(format!("no vrf \"{}\"{hint}", wanted.value))
    })
}

/// Like [`named`], but `None` means the default table.
pub(super) fn chosen(vrfs: &[String], wanted: Option<&At<String>>) -> Result<usize, ConfigError> {
    wanted.map_or(Ok(0), |wanted| named(vrfs, wanted))
}
