//! A TOML table that is read key by key.
//!
//! A [`Table`] records which keys it was asked for; any other key in it is unknown. So the name of
//! a key occurs only where the key is read. An invalid value doesn't end the reading:
//! [`Table::finish`] returns the error on the earliest line.

use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::draft::At;
use crate::error::{ConfigError, Warning};
use crate::suggest::did_you_mean;

type Value<'a> = Spanned<DeValue<'a>>;

/// Former names of keys, which still work, with the current ones.
const OLD_SPELLINGS: [(&str, &str); 4] = [
    ("directed-broadcast", "directed_broadcast"),
    ("proxy-arp", "proxy_arp"),
    ("route-file", "route_file"),
    ("source-route", "source_route"),
];

/// Some lines of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) text: &'a str,
    /// The lines in front of it.
    pub(crate) lines_before: u32,
}

/// What all tables of a file, or of pieces of it, share.
pub(crate) struct Source {
    /// Where lines end.
    line_ends: Vec<usize>,
    /// Where pieces begin in what is read, and how many more lines are in front of them in the file.
    pieces: Vec<(usize, u32)>,
    /// In the order of lines.
    warnings: Cell<Vec<Warning>>,
}

impl Source {
    pub(crate) fn new(text: &str) -> Self {
        Self::of_pieces(&[Piece {
            text,
            lines_before: 0,
        }])
    }

    /// That of the text that pieces of a file make, one behind the other.
    pub(crate) fn of_pieces(pieces: &[Piece<'_>]) -> Self {
        let mut source = Self {
            line_ends: Vec::new(),
            pieces: Vec::with_capacity(pieces.len()),
            warnings: Cell::default(),
        };
        let mut start = 0;
        for piece in pieces {
            let here = u32::try_from(source.line_ends.len()).unwrap_or(u32::MAX);
            let missing = piece.lines_before.saturating_sub(here);
            source.pieces.push((start, missing));
            let ends = piece.text.bytes().enumerate().filter(|&(_, b)| b == b'\n');
            source.line_ends.extend(ends.map(|(at, _)| start + at));
            start += piece.text.len();
        }
        source
    }

    /// Returns the line that a span of bytes begins on.
    pub(crate) fn line_of(&self, span: &Range<usize>) -> u32 {
        let before = self.line_ends.partition_point(|&end| end < span.start);
        let piece = self.pieces.partition_point(|&(at, _)| at <= span.start);
        let piece = piece.checked_sub(1).and_then(|at| self.pieces.get(at));
        let missing = piece.map_or(0, |&(_, missing)| missing);
        let here = u32::try_from(before).map_or(u32::MAX, |n| n.saturating_add(1));
        here.saturating_add(missing)
    }

    pub(crate) fn into_warnings(self) -> Vec<Warning> {
        self.warnings.into_inner()
    }

    pub(crate) fn take_warnings(&self) -> Vec<Warning> {
        self.warnings.take()
    }

    pub(crate) fn warn(&self, warning: Warning) {
        let mut warnings = self.warnings.take();
        let at = warnings.partition_point(|earlier| earlier.line <= warning.line);
        warnings.insert(at, warning);
        self.warnings.set(warnings);
    }
}

/// A table, and the state of reading it.
pub(crate) struct Table<'a> {
    source: &'a Source,
    /// Its path in messages, such as `interface.lan`; empty for the whole file.
    path: String,
    line: u32,
    /// In the order of the file.
    entries: Vec<Entry<'a>>,
    asked: Vec<&'static str>,
    mistake: Option<ConfigError>,
}

struct Entry<'a> {
    /// The current spelling.
    key: &'a str,
    /// The spelling in the file, if it is a former one.
    old: Option<&'static str>,
    line: u32,
    value: &'a Value<'a>,
}

impl<'a> Entry<'a> {
    fn new(source: &Source, key: &'a Spanned<Cow<'a, str>>, value: &'a Value<'a>) -> Self {
        let written = key.get_ref().as_ref();
        let renamed = OLD_SPELLINGS.iter().find(|&&(old, _)| old == written);
        Self {
            key: renamed.map_or(written, |&(_, new)| new),
            old: renamed.map(|&(old, _)| old),
            line: source.line_of(&key.span()),
            value,
        }
    }

    /// Returns the key as the user spelled it.
    fn written(&self) -> &'a str {
        self.old.unwrap_or(self.key)
    }
}

/// Reads a table, and says what is wrong with it.
type Read<'a, T> = fn(Table<'a>) -> Result<T, ConfigError>;

impl<'a> Table<'a> {
    /// Returns the table of the whole file.
    pub(crate) fn of_file(source: &'a Source, whole: &'a DeTable<'a>) -> Self {
        Self::new(source, String::new(), 0, whole)
    }

    fn new(source: &'a Source, path: String, line: u32, table: &'a DeTable<'a>) -> Self {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| key.span().start);
        let entries = entries.into_iter();
        let entries = entries.map(|(key, value)| Entry::new(source, key, value));
        Self {
            source,
            path,
            line,
            entries: entries.collect(),
            asked: Vec::new(),
            mistake: None,
        }
    }

    /// Returns the table's path in messages.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Records an error, unless there is one on an earlier line.
    pub(crate) fn note(&mut self, mistake: ConfigError) {
        if self.mistake.as_ref().is_none_or(|m| mistake.line < m.line) {
            self.mistake = Some(mistake);
        }
    }

    /// Returns the one of two values that is given. If both are, this is an error on the line of
    /// the second.
    pub(crate) fn one_of<T>(
        &mut self,
        one: Option<At<T>>,
        other: Option<At<T>>,
        both: &str,
    ) -> Option<At<T>> {
        match (one, other) {
            (Some(one), Some(other)) => {
                self.note(ConfigError::new(one.line.max(other.line), both));
                Some(if other.line < one.line { other } else { one })
            }
            (one, other) => one.or(other),
        }
    }

    /// Ends the reading: keys that weren't asked for are errors. Returns the table's path and line,
    /// for errors about the table as a whole.
    pub(crate) fn finish(mut self) -> Result<At<String>, ConfigError> {
        let mut entries = self.entries.iter();
        if let Some(entry) = entries.find(|entry| !self.asked.contains(&entry.key)) {
            let hint = did_you_mean(entry.written(), &mut self.asked.iter().copied());
            let place = if self.path.is_empty() { "" } else { " in " };
            let text = format!(
                "unknown key \"{}\"{place}{}{hint}",
                entry.written(),
                self.path
            );
            self.note(ConfigError::new(entry.line, text));
        }
        match self.mistake {
            Some(mistake) => Err(mistake),
            None => Ok(At::new(self.line, self.path)),
        }
    }

    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.ask(key)?;
        self.kept(key, value, "true or false", value.get_ref().as_bool())
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<At<String>> {
        Some(self.str(key)?.map(ToOwned::to_owned))
    }

    /// Reads a string and converts it with `parse`, which may return an error message.
    pub(crate) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Option<At<T>> {
        let text = self.str(key)?;
        self.parse(text, parse)
    }

    /// Reads a string that must be one of several words, and returns the value of the word.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<At<T>> {
        let text = self.str(key)?;
        if let Some(&(_, meant)) = choices.iter().find(|(word, _)| *word == text.value) {
            return Some(At::new(text.line, meant));
        }
        self.unknown_word(key, text, &mut choices.iter().map(|(word, _)| *word));
        None
    }

    /// Reads a number in a range.
    pub(crate) fn number<T>(&mut self, key: &'static str, range: RangeInclusive<T>) -> Option<At<T>>
    where
        T: Copy + Into<u64> + TryFrom<u64>,
    {
        let number = self.integer(key, (*range.start()).into(), (*range.end()).into())?;
        Some(At::new(number.line, T::try_from(number.value).ok()?))
    }

    /// Reads a number in a range, `default` if there is none.
    pub(crate) fn number_or<T>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<T>,
        default: T,
    ) -> T
    where
        T: Copy + Into<u64> + TryFrom<u64>,
    {
        self.number(key, range).map_or(default, At::into_value)
    }

    /// Reads a list of texts. The line is that of the list.
    pub(crate) fn list<T>(
        &mut self,
        key: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Option<At<Vec<At<T>>>> {
        let texts = self.texts(key)?;
        let parsed = texts.value.iter().map(|&text| self.parse(text, parse));
        let mut all = parsed.collect::<Option<Vec<_>>>()?;
        // Most lists have one, and there may be many of them.
        all.shrink_to_fit();
        Some(At::new(texts.line, all))
    }

    /// Reads a table inside of this one.
    pub(crate) fn table<T>(&mut self, key: &'static str, read: Read<'a, T>) -> Option<T> {
        let value = self.ask(key)?;
        let table = self.inner(self.path_of(key), self.line_of(value), value);
        self.noted(table.and_then(read))
    }

    /// Reads a list of tables, up to the first that is wrong.
    pub(crate) fn tables<T>(&mut self, key: &'static str, read: Read<'a, T>) -> Option<Vec<T>> {
        let mut all = Vec::new();
        self.each_table(key, &mut |table| read(table).map(|item| all.push(item)))?;
        Some(all)
    }

    /// Reads tables whose names are the user's choice, up to the first that is wrong.
    pub(crate) fn named_tables<T>(
        &mut self,
        key: &'static str,
        read: fn(&str, Table<'a>) -> Result<T, ConfigError>,
    ) -> Vec<T> {
        let mut all = Vec::new();
        self.each_named(key, &mut |name, table| {
            read(name, table).map(|item| all.push(item))
        });
        all
    }

    /// Records that a key is known. Returns its value.
    fn ask(&mut self, key: &'static str) -> Option<&'a Value<'a>> {
        self.asked.push(key);
        let mut found = self.entries.iter().filter(|entry| entry.key == key);
        let entry = found.next()?;
        let (line, value) = (entry.line, entry.value);
        if let Some(old) = entry.old {
            let text = format!("\"{old}\" is now spelled \"{key}\"");
            self.source.warn(Warning { line, text });
        }
        if let Some(other) = found.next() {
            let (one, two) = (entry.written(), other.written());
            let text = format!("\"{two}\" and \"{one}\" on line {line} are the same key");
            self.note(ConfigError::new(other.line, text));
        }
        Some(value)
    }

    fn line_of(&self, value: &Value<'_>) -> u32 {
        self.source.line_of(&value.span())
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            return key.to_owned();
        }
        format!("{}.{key}", self.path)
    }

    fn wrong_kind(&self, what: &str, value: &Value<'_>, wanted: &str) -> ConfigError {
        let kind = value.get_ref().type_str();
        let text = format!("\"{what}\" is {wanted}, not {kind}");
        ConfigError::new(self.line_of(value), text)
    }

    /// Returns what was found in a value; `None`, with an error about the value's type, if nothing
    /// was found.
    fn kept<T>(
        &mut self,
        what: &str,
        value: &Value<'_>,
        wanted: &str,
        found: Option<T>,
    ) -> Option<T> {
        if found.is_none() {
            self.note(self.wrong_kind(what, value, wanted));
        }
        found
    }

    fn str(&mut self, key: &'static str) -> Option<At<&'a str>> {
        let value = self.ask(key)?;
        let text = self.kept(key, value, "a string", value.get_ref().as_str())?;
        Some(At::new(self.line_of(value), text))
    }

    fn texts(&mut self, key: &'static str) -> Option<At<Vec<At<&'a str>>>> {
        let value = self.ask(key)?;
        let found = value.get_ref().as_array();
        let list = self.kept(key, value, "a list of strings", found)?;
        let mut texts = Vec::with_capacity(list.len());
        for item in list.iter() {
            let text = self.kept(key, item, "a string", item.get_ref().as_str())?;
            texts.push(At::new(self.line_of(item), text));
        }
        Some(At::new(self.line_of(value), texts))
    }

    fn parse<T>(&mut self, text: At<&str>, parse: fn(&str) -> Result<T, String>) -> Option<At<T>> {
        match parse(text.value) {
            Ok(value) => Some(At::new(text.line, value)),
            Err(wrong) => {
                self.note(text.error(wrong));
                None
            }
        }
    }

    fn unknown_word(&mut self, key: &str, text: At<&str>, words: &mut dyn Iterator<Item = &str>) {
        let hint = did_you_mean(text.value, words);
        self.note(text.error(format!("unknown {key} \"{}\"{hint}", text.value)));
    }

    fn integer(&mut self, key: &'static str, least: u64, most: u64) -> Option<At<u64>> {
        let value = self.ask(key)?;
        let wanted = format!("a number from {least} to {most}");
        let number = self.kept(key, value, &wanted, value.get_ref().as_integer())?;
        let line = self.line_of(value);
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(n) if (least..=most).contains(&n) => Some(At::new(line, n)),
            _ => {
                let text = format!("\"{key}\" is {wanted}, not {}", number.as_str());
                self.note(ConfigError::new(line, text));
                None
            }
        }
    }

    /// Returns a value of this table as a table.
    fn inner(&self, path: String, line: u32, value: &'a Value<'a>) -> Result<Self, ConfigError> {
        match value.get_ref().as_table() {
            Some(table) => Ok(Self::new(self.source, path, line, table)),
            None => Err(self.wrong_kind(&path, value, "a table")),
        }
    }

    fn each_table(
        &mut self,
        key: &'static str,
        read: &mut dyn FnMut(Self) -> Result<(), ConfigError>,
    ) -> Option<()> {
        let value = self.ask(key)?;
        let path = self.path_of(key);
        let wanted = format!("a list of tables ([[{path}]])");
        let list = self.kept(&path, value, &wanted, value.get_ref().as_array())?;
        let read = list
            .iter()
            .try_for_each(|item| read(self.inner(path.clone(), self.line_of(item), item)?));
        self.noted(read)
    }

    fn each_named(
        &mut self,
        key: &'static str,
        read: &mut dyn FnMut(&str, Self) -> Result<(), ConfigError>,
    ) -> Option<()> {
        let value = self.ask(key)?;
        let outer = self.inner(self.path_of(key), self.line_of(value), value);
        let read = outer.and_then(|outer| {
            outer.entries.iter().try_for_each(|entry| {
                let name = entry.written();
                let path = outer.path_of(name);
                read(name, outer.inner(path, entry.line, entry.value)?)
            })
        });
        self.noted(read)
    }

    fn noted<T>(&mut self, read: Result<T, ConfigError>) -> Option<T> {
        read.map_err(|error| self.note(error)).ok()
    }
}
