//! The states that both ends of a device publish (`enum xenbus_state`, `io/xenbus.h`).

use core::fmt;

use crate::keys::trim;

/// The state of one end of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum XenbusState {
    /// A missing or unknown state.
    #[default]
    Unknown,
    /// Starting.
    Initialising,
    /// Ready, waiting for the other end's details or for a hotplug script.
    InitWait,
    /// Has published its details, waiting for the other end to connect.
    Initialised,
    /// In use.
    Connected,
    /// Being closed because of an error or an unplug.
    Closing,
    /// Closed: the other end's resources are no longer used.
    Closed,
    /// Being reconfigured (pci only).
    Reconfiguring,
    /// Reconfigured (pci only).
    Reconfigured,
}

impl XenbusState {
    const ALL: [Self; 9] = [
        Self::Unknown,
        Self::Initialising,
        Self::InitWait,
        Self::Initialised,
        Self::Connected,
        Self::Closing,
        Self::Closed,
        Self::Reconfiguring,
        Self::Reconfigured,
    ];

    /// Parses the value of a `state` key. Unknown values are [`XenbusState::Unknown`], which also
    /// stands for a missing key.
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        match trim(value) {
            [digit] => {
                let number = digit.checked_sub(b'0');
                let state = number.and_then(|number| Self::ALL.get(usize::from(number)));
                state.copied().unwrap_or(Self::Unknown)
            }
            _ => Self::Unknown,
        }
    }

    /// Returns the number it has in `io/xenbus.h`.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// The value of a `state` key.
impl fmt::Display for XenbusState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_state_survives_the_store() {
        for (number, state) in XenbusState::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(state.number()), number);
            assert_eq!(XenbusState::parse(state.to_string().as_bytes()), state);
        }
        assert_eq!(XenbusState::Connected.to_string(), "4");
    }

    #[test]
    fn blanks_and_nul_around_the_number_are_harmless() {
        for value in [&b"4\0"[..], b" 4", b"4\n", b"\t4 \0\0"] {
            assert_eq!(XenbusState::parse(value), XenbusState::Connected);
        }
    }

    #[test]
    fn anything_else_is_unknown() {
        let table: [&[u8]; 12] = [
            b"",
            b" ",
            b"\0",
            b"9",
            b"10",
            b"-1",
            b"04",
            b"4 4",
            b"Connected",
            b"0x4",
            b"\xff",
            &[b'4'; 4096],
        ];
        for value in table {
            assert_eq!(XenbusState::parse(value), XenbusState::Unknown, "{value:?}");
        }
    }
}
