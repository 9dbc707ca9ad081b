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
    /// Creates an error at `line`, from 1; 0 for one of no line.
    pub fn new(line: u32, text: impl Into<String>) -> Self {
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

/// What works but should be written otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// The line, counted from 1, or 0 if there are no lines.
    pub line: u32,
    /// What is to be said of it.
    pub text: String,
}

/// Writes `line <line>: <text>`, or only the text if there are no lines.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line != 0 {
            write!(f, "line {}: ", self.line)?;
        }
        f.write_str(&self.text)
    }
}
