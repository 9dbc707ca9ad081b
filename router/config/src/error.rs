//! Errors in and warnings about a configuration.

use alloc::string::String;
use core::fmt;

/// An error in a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The line, counted from 1; 0 if the error has none.
    pub line: u32,
    /// What is wrong and, where possible, a suggestion.
    pub text: String,
}

impl ConfigError {
    /// Creates an error on `line`, counted from 1; 0 if it has none.
    pub fn new(line: u32, text: impl Into<String>) -> Self {
        Self {
            line,
            text: text.into(),
        }
    }
}

/// Writes `<line>: <text>`, or only the text if the line is 0.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line != 0 {
            write!(f, "{}: ", self.line)?;
        }
        f.write_str(&self.text)
    }
}

impl core::error::Error for ConfigError {}

/// A warning about a valid configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// The line, counted from 1; 0 if there are no lines.
    pub line: u32,
    /// The warning.
    pub text: String,
}

/// Writes `line <line>: <text>`, or only the text if the line is 0.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line != 0 {
            write!(f, "line {}: ", self.line)?;
        }
        f.write_str(&self.text)
    }
}
