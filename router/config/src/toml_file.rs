//! The configuration as TOML.

mod attachment;
mod interface;
mod neighbor;
mod route;
mod router_advert;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use toml::de::DeTable;

use crate::check::check;
use crate::draft::{At, Draft};
use crate::error::ConfigError;
use crate::model::Config;
use crate::suggest::did_you_mean;
use crate::toml_table::{Source, Table};

/// Reads and checks a configuration file.
///
/// # Errors
///
/// Fails on the first error, with its line: invalid TOML, an unknown key, a value of the wrong type
/// or out of range, or a contradiction.
pub fn from_toml(text: &str) -> Result<Config, ConfigError> {
    let draft = read(text)?;
    if let Some(file) = draft.route_files.first() {
        let text = format!(
            "no file \"{}\": route files are in the ramdisk, a tar archive with ringway.toml",
            file.path.value
        );
        return Err(ConfigError::new(file.path.line, text));
    }
    check(draft)
}

/// Like [`from_toml`], for a file in an archive whose other files have these names.
pub(crate) fn from_archive(text: &str, names: &[String]) -> Result<Config, ConfigError> {
    let draft = read(text)?;
    for (at, file) in draft.route_files.iter().enumerate() {
        let (line, path) = (file.path.line, &file.path.value);
        if !names.contains(path) {
            let hint = did_you_mean(path, &mut names.iter().map(String::as_str));
            let text = format!("the ramdisk's tar archive holds no {path}{hint}");
            return Err(ConfigError::new(line, text));
        }
        let mut earlier = draft.route_files.iter().take(at);
        if let Some(first) = earlier.find(|f| (&f.path, &f.vrf) == (&file.path, &file.vrf)) {
            let first = first.path.line;
            let text = format!("route_file \"{path}\" is already on line {first}");
            return Err(ConfigError::new(line, text));
        }
    }
    check(draft)
}

fn read(text: &str) -> Result<Draft, ConfigError> {
    let source = Source::new(text);
    let whole = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(0, |span| source.line_of(&span));
        ConfigError::new(line, error.message())
    })?;
    let mut table = Table::of_file(&source, whole.get_ref());
    let draft = Draft {
        hostname: table.text("hostname").map(At::into_value),
        interfaces: table.named_tables("interface", interface::read),
        vrfs: table.named_tables("vrf", vrf),
        routes: table.tables("route", route::route).unwrap_or_default(),
        route_files: table
            .tables("route_file", route::route_file)
            .unwrap_or_default(),
        neighbors: table.tables("neighbor", neighbor::read).unwrap_or_default(),
        warnings: Vec::new(),
    };
    table.finish()?;
    Ok(Draft {
        warnings: source.into_warnings(),
        ..draft
    })
}

/// Reads the table `[vrf.NAME]`, which has no keys.
fn vrf(name: &str, table: Table<'_>) -> Result<At<String>, ConfigError> {
    Ok(At::new(table.finish()?.line, String::from(name)))
}

#[cfg(test)]
mod tests;
