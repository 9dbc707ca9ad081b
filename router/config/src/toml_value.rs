//! Values of a TOML file, with the lines they stand on.

use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::draft::At;
use super::suggest::did_you_mean;
use wire::addr::Mac;

/// A value and where it stands.
pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// Where each line ends, to turn byte offsets into lines.
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn new(text: &str) -> Self {
        Self(
            text.bytes()
                .enumerate()
                .filter(|&(_, b)| b == b'\n')
                .map(|(i, _)| i)
                .collect(),
        )
    }

    pub(crate) fn of(&self, span: &Range<usize>) -> u32 {
        let before = self.0.partition_point(|&end| end < span.start);
        u32::try_from(before).map_or(u32::MAX, |n| n.saturating_add(1))
    }
}

/// A table's entries as they stand in the file, so that the first mistake is reported
/// first and interfaces keep their order.
pub(crate) fn in_order<'a, 'i>(
    table: &'a DeTable<'i>,
) -> Vec<(&'a Spanned<Cow<'i, str>>, &'a Value<'i>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

pub(crate) fn mac(text: &At<String>) -> Result<Mac, ConfigError> {
    text.value.parse().map_err(|_| {
        let what = format!(
            "\"{}\" isn't a MAC address (such as 02:00:00:00:00:01)",
            text.value
        );
        ConfigError::new(text.line, what)
    })
}

pub(crate) fn unknown(
    lines: &Lines,
    key: &Spanned<Cow<'_, str>>,
    word: &str,
    place: &str,
    known: &[&str],
) -> ConfigError {
    let hint = did_you_mean(word, known.iter().copied());
    let place = if place.is_empty() {
        String::new()
    } else {
        format!(" in {place}")
    };
    ConfigError::new(
        lines.of(&key.span()),
        format!("unknown key \"{word}\"{place}{hint}"),
    )
}

fn wrong(lines: &Lines, key: &str, value: &Value<'_>, wanted: &str) -> ConfigError {
    let kind = value.get_ref().type_str();
    ConfigError::new(
        lines.of(&value.span()),
        format!("\"{key}\" is {wanted}, not {kind}"),
    )
}

pub(crate) fn table<'a, 'i>(
    lines: &Lines,
    key: &str,
    value: &'a Value<'i>,
) -> Result<&'a DeTable<'i>, ConfigError> {
    value
        .get_ref()
        .as_table()
        .ok_or_else(|| wrong(lines, key, value, "a table"))
}

pub(crate) fn tables<'a, 'i>(
    lines: &Lines,
    key: &str,
    value: &'a Value<'i>,
) -> Result<Vec<&'a Value<'i>>, ConfigError> {
    let wanted = format!("a list of tables ([[{key}]])");
    let list = value
        .get_ref()
        .as_array()
        .ok_or_else(|| wrong(lines, key, value, &wanted))?;
    Ok(list.iter().collect())
}

pub(crate) fn string(
    lines: &Lines,
    key: &str,
    value: &Value<'_>,
) -> Result<At<String>, ConfigError> {
    let text = value
        .get_ref()
        .as_str()
        .ok_or_else(|| wrong(lines, key, value, "a string"))?;
    Ok(At {
        line: lines.of(&value.span()),
        value: text.to_owned(),
    })
}

pub(crate) fn strings(
    lines: &Lines,
    key: &str,
    value: &Value<'_>,
) -> Result<Vec<At<String>>, ConfigError> {
    let wanted = "a list of strings";
    let list = value
        .get_ref()
        .as_array()
        .ok_or_else(|| wrong(lines, key, value, wanted))?;
    list.iter().map(|item| string(lines, key, item)).collect()
}

pub(crate) fn boolean(lines: &Lines, key: &str, value: &Value<'_>) -> Result<bool, ConfigError> {
    let flag = value.get_ref().as_bool();
    flag.ok_or_else(|| wrong(lines, key, value, "true or false"))
}

pub(crate) fn integer(
    lines: &Lines,
    key: &str,
    value: &Value<'_>,
    least: u64,
    most: u64,
) -> Result<u64, ConfigError> {
    let wanted = format!("a number from {least} to {most}");
    let number = value
        .get_ref()
        .as_integer()
        .ok_or_else(|| wrong(lines, key, value, &wanted))?;
    match u64::from_str_radix(number.as_str(), number.radix()) {
        Ok(n) if (least..=most).contains(&n) => Ok(n),
        _ => Err(ConfigError::new(
            lines.of(&value.span()),
            format!("\"{key}\" is {wanted}, not {}", number.as_str()),
        )),
    }
}
