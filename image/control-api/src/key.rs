//! Names of keys.

use core::fmt;

/// The directory of a guest's keys, relative to the domain's own (`/local/domain/DOMID`).
pub const ROOT: &str = "data/ringway";

/// A key, or a directory of keys. Its text is the path relative to the domain's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Key {
    /// The guest's version.
    Version,
    /// The guest's state ([`State`](crate::State)).
    State,
    /// The time until every interface was up, in microseconds.
    BootUs,
    /// The status of the configuration ([`ConfigStatus`](crate::ConfigStatus)).
    ConfigStatus,
    /// A command for the guest to run.
    Command,
    /// The directory of the reply.
    Reply,
    /// A part of the reply, from 0.
    ReplyPart(usize),
    /// The number of parts of the reply.
    ReplyDone,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ROOT)?;
        match self {
            Self::Version => f.write_str("/version"),
            Self::State => f.write_str("/state"),
            Self::BootUs => f.write_str("/boot-us"),
            Self::ConfigStatus => f.write_str("/config/status"),
            Self::Command => f.write_str("/command"),
            Self::Reply => f.write_str("/reply"),
            Self::ReplyPart(part) => write!(f, "/reply/{part}"),
            Self::ReplyDone => f.write_str("/reply/done"),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::Key;

    #[test]
    fn names_are_those_that_dom0_uses() {
        for (key, name) in [
            (Key::Version, "data/ringway/version"),
            (Key::State, "data/ringway/state"),
            (Key::BootUs, "data/ringway/boot-us"),
            (Key::ConfigStatus, "data/ringway/config/status"),
            (Key::Command, "data/ringway/command"),
            (Key::Reply, "data/ringway/reply"),
            (Key::ReplyPart(0), "data/ringway/reply/0"),
            (Key::ReplyPart(12), "data/ringway/reply/12"),
            (Key::ReplyDone, "data/ringway/reply/done"),
        ] {
            assert_eq!(key.to_string(), name);
        }
    }
}
