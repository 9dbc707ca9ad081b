//! The configuration as TOML.

mod attachment;
mod interface;
mod neighbor;
mod pieces;
mod route;
mod router_advert;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use toml::Spanned;
use toml::de::DeTable;

use crate::check::check;
use crate::draft::{At, Draft, DraftRoute};
use crate::error::{ConfigError, Warning};
use crate::model::Config;
use crate::suggest::did_you_mean;
use crate::toml_file::pieces::{Pieces, split};
use crate::toml_table::{Piece, Source, Table};

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

/// Reads a file. A tree of it takes some 2 KB for each `[[route]]`, of which there may be many, so they
/// are read by themselves, a few at a time, and the tree is that of the rest.
fn read(text: &str) -> Result<Draft, ConfigError> {
    let Pieces { rest, routes } = split(text);
    let mut known = Routes::default();
    let broken = routes.iter().find_map(|piece| known.add(piece).err());
    let source = Source::of_pieces(&rest);
    let rest: String = rest.iter().map(|piece| piece.text).collect();
    let whole = match (parse(&source, &rest), broken) {
        (Ok(whole), None) => whole,
        (Err(error), Some(broken)) if error.line >= broken.line => return Err(broken),
        (Err(error), _) | (Ok(_), Some(error)) => return Err(error),
    };
    if !routes.is_empty() && whole.get_ref().contains_key("route") {
        // They are written in several ways, which only all of it together can tell of.
        let source = Source::new(text);
        let whole = parse(&source, text)?;
        return read_tree(&source, whole.get_ref(), Routes::default());
    }
    read_tree(&source, whole.get_ref(), known)
}

/// The routes that were read by themselves.
#[derive(Default)]
struct Routes {
    all: Vec<DraftRoute>,
    mistake: Option<ConfigError>,
    warnings: Vec<Warning>,
}

impl Routes {
    /// Reads a piece that is routes alone.
    ///
    /// # Errors
    ///
    /// It isn't TOML.
    fn add(&mut self, piece: &Piece<'_>) -> Result<(), ConfigError> {
        let source = Source::of_pieces(core::slice::from_ref(piece));
        let whole = parse(&source, piece.text)?;
        if self.mistake.is_some() {
            return Ok(());
        }
        let mut table = Table::of_file(&source, whole.get_ref());
        let routes = table.tables("route", route::route);
        self.all.extend(routes.into_iter().flatten());
        self.mistake = table.finish().err();
        self.warnings.extend(source.into_warnings());
        Ok(())
    }
}

fn parse<'a>(source: &Source, text: &'a str) -> Result<Spanned<DeTable<'a>>, ConfigError> {
    DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(0, |span| source.line_of(&span));
        ConfigError::new(line, error.message())
    })
}

/// Reads all but the routes that are known.
fn read_tree(source: &Source, whole: &DeTable<'_>, known: Routes) -> Result<Draft, ConfigError> {
    let mut table = Table::of_file(source, whole);
    let draft = Draft {
        hostname: table.text("hostname").map(At::into_value),
        interfaces: table.named_tables("interface", interface::read),
        vrfs: table.named_tables("vrf", vrf),
        routes: table.tables("route", route::route).unwrap_or(known.all),
        route_files: table
            .tables("route_file", route::route_file)
            .unwrap_or_default(),
        neighbors: table.tables("neighbor", neighbor::read).unwrap_or_default(),
        warnings: Vec::new(),
    };
    if let Some(mistake) = known.mistake {
        table.note(mistake);
    }
    table.finish()?;
    known.warnings.into_iter().for_each(|w| source.warn(w));
    Ok(Draft {
        warnings: source.take_warnings(),
        ..draft
    })
}

/// Reads the table `[vrf.NAME]`, which has no keys.
fn vrf(name: &str, table: Table<'_>) -> Result<At<String>, ConfigError> {
    Ok(At::new(table.finish()?.line, String::from(name)))
}

#[cfg(test)]
mod tests;
