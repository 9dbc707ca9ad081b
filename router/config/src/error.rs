//! What is wrong with a configuration, and what could be written better.

use alloc::string::String;
use core::fmt;

/// Why a configuration can't be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The line, counted from 1, or 0 if no line is to blame.
    pub line: u32,
    /// What is wrong and, where possible, what would be right.
    pub text: String,
}

impl ConfigError {
    pub(crate) fn new(line: u32, text: impl Into<String>) -> Self {
        Self {
            line,
            text: text.into(),
        }
    }
}

/// Writes `<line>: <text>`, or only the text if no line is to blame.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line != 0 {
            write!(f, "{}: ", self.line)?;
        }
        f.write_str(&self.text)
    }
}

impl core::error::Error for ConfigError {}

/// A key that has another name now. The old one goes on working.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Warning {
    /// The line, counted from 1.
    pub line: u32,
    /// The key as it is spelled there.
    pub old: &'static str,
    /// The key as it is to be spelled.
    pub new: &'static str,
}

/// Writes `line <line>: "<old>" is now spelled "<new>"`.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, old, new } = self;
        write!(f, "line {line}: \"{old}\" is now spelled \"{new}\"")
    }
}
