//! Formats of values.

use core::fmt;
use core::str::FromStr;

/// The value of [`Key::State`](crate::Key::State).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not all configured interfaces have been up yet.
    Booting,
    /// Every configured interface is up.
    Ready,
    /// The configuration can't be used, or an interface went down.
    Degraded,
}

impl State {
    const ALL: [Self; 3] = [Self::Booting, Self::Ready, Self::Degraded];

    /// Returns the value's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Booting => "booting",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut all = Self::ALL.into_iter();
        all.find(|state| state.as_str() == text).ok_or(ParseError)
    }
}

/// The value of [`Key::ConfigStatus`](crate::Key::ConfigStatus).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigStatus<'a> {
    /// The configuration is in use. The initial one has generation 0.
    Ok {
        /// The number of configurations before it.
        generation: u64,
        /// Settings that a link doesn't permit.
        warning: Option<&'a str>,
    },
    /// The configuration is invalid.
    Error {
        /// The line, counted from 1; 0 if the error has none.
        line: u32,
        /// The error.
        text: &'a str,
    },
}

impl<'a> ConfigStatus<'a> {
    /// Parses a value.
    ///
    /// # Errors
    /// [`ParseError`] if no guest writes such a value.
    pub fn parse(value: &'a str) -> Result<Self, ParseError> {
        let (word, rest) = value.split_once(' ').ok_or(ParseError)?;
        match word {
            "ok" => {
                let (number, warning) = match rest.split_once(": ") {
                    Some((number, warning)) => (number, Some(warning)),
                    None => (rest, None),
                };
                let generation = number.parse().map_err(|_| ParseError)?;
                Ok(Self::Ok {
                    generation,
                    warning,
                })
            }
            "error" => {
                let (line, text) = rest.split_once(": ").ok_or(ParseError)?;
                let line = line.parse().map_err(|_| ParseError)?;
                Ok(Self::Error { line, text })
            }
            _ => Err(ParseError),
        }
    }
}

impl fmt::Display for ConfigStatus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok {
                generation,
                warning,
            } => {
                write!(f, "ok {generation}")?;
                match warning {
                    Some(warning) => write!(f, ": {warning}"),
                    None => Ok(()),
                }
            }
            Self::Error { line, text } => write!(f, "error {line}: {text}"),
        }
    }
}

/// Error returned for a value that no guest writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError;

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a value that a guest writes")
    }
}

impl core::error::Error for ParseError {}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::{ConfigStatus, ParseError, State};

    #[test]
    fn states_are_read_as_they_are_written() {
        for state in State::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
        }
        for other in ["", "Ready", "ready ", "up"] {
            assert_eq!(other.parse::<State>(), Err(ParseError));
        }
    }

    #[test]
    fn configuration_status_is_read_as_it_is_written() {
        let ok = |generation, warning| ConfigStatus::Ok {
            generation,
            warning,
        };
        for (status, text) in [
            (ok(0, None), "ok 0"),
            (ok(17, None), "ok 17"),
            (ok(0, Some("wan: no: IPv6")), "ok 0: wan: no: IPv6"),
            (
                ConfigStatus::Error {
                    line: 4,
                    text: "vif: wants 0 to 15",
                },
                "error 4: vif: wants 0 to 15",
            ),
        ] {
            assert_eq!(status.to_string(), text);
            assert_eq!(ConfigStatus::parse(text), Ok(status));
        }
        for other in ["", "ok", "ok x", "error", "error 4", "error x: y", "no 1"] {
            assert_eq!(ConfigStatus::parse(other), Err(ParseError), "{other}");
        }
    }
}
