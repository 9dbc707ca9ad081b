//! Keys of a directory in xenstore, and their values.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use executor::join_all;
use xenstore::{StoreError, View};

/// The reason why a key can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// It is missing.
    Missing(String),
    /// Its value is malformed.
    Malformed {
        /// The key.
        key: String,
        /// Its value, truncated if it is long.
        value: String,
    },
    /// xenstore failed.
    Store(StoreError),
}

impl From<StoreError> for KeyError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "key {key} is missing"),
            Self::Malformed { key, value } => write!(f, "key {key} is malformed: {value:?}"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for KeyError {}

/// Some keys of a directory, read in one round trip.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<(String, Vec<u8>)>);

impl Keys {
    /// Reads keys of `directory`; missing ones are omitted.
    pub(crate) async fn read(
        view: &View,
        directory: &str,
        keys: &[&str],
    ) -> Result<Self, StoreError> {
        let paths: Vec<String> = keys
            .iter()
            .map(|key| format!("{directory}/{key}"))
            .collect();
        let values = join_all(paths.iter().map(|path| view.read_optional(path))).await;
        let mut found = Vec::new();
        for (key, value) in keys.iter().zip(values) {
            if let Some(value) = value? {
                found.push(((*key).to_string(), value));
            }
        }
        Ok(Self(found))
    }

    /// Returns the raw value.
    #[must_use]
    pub fn raw(&self, key: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_slice())
    }

    /// Returns the value of a key that may be missing.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn get<T: FromStr>(&self, key: &str) -> Result<Option<T>, KeyError> {
        let Some(raw) = self.raw(key) else {
            return Ok(None);
        };
        let value = core::str::from_utf8(trim(raw))
            .ok()
            .and_then(|text| text.parse().ok());
        value.map(Some).ok_or_else(|| KeyError::Malformed {
            key: key.to_string(),
            value: String::from_utf8_lossy(raw.get(..64).unwrap_or(raw)).into_owned(),
        })
    }

    /// Returns the value of a key that must be there.
    ///
    /// # Errors
    /// [`KeyError::Missing`], [`KeyError::Malformed`].
    pub fn require<T: FromStr>(&self, key: &str) -> Result<T, KeyError> {
        self.get(key)?
            .ok_or_else(|| KeyError::Missing(key.to_string()))
    }

    /// Returns the value of a `feature-…` key: a number other than 0 is `true`; a missing key is
    /// `false`.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn flag(&self, key: &str) -> Result<bool, KeyError> {
        Ok(self.get::<u32>(key)?.unwrap_or(0) != 0)
    }
}

/// Trims blanks and the NUL of C strings around a value.
pub(crate) fn trim(value: &[u8]) -> &[u8] {
    let blank = |b: &u8| b.is_ascii_whitespace() || *b == 0;
    let start = value.iter().position(|b| !blank(b));
    let end = value.iter().rposition(|b| !blank(b));
    match (start, end) {
        (Some(start), Some(end)) => value.get(start..=end).unwrap_or_default(),
        _ => &[],
    }
}
