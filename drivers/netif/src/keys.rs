//! The keys in xenstore of a vif with one or more queues (netif.h, "multi-queue" and "control
//! ring").

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use xen_hal::{GrantRef, Port};

/// The event channels of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// One for both directions (`event-channel`).
    Shared(Port),
    /// One each (`event-channel-tx`, `event-channel-rx`).
    Split {
        /// For the transmit ring.
        tx: Port,
        /// For the receive ring.
        rx: Port,
    },
}

/// What has to be published to the backend about a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueInfo {
    /// `tx-ring-ref`.
    pub tx_ring: GrantRef,
    /// `rx-ring-ref`.
    pub rx_ring: GrantRef,
    /// Event channels.
    pub ports: Ports,
}

/// What has to be published to the backend about a control ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlInfo {
    /// `ctrl-ring-ref`.
    pub ring: GrantRef,
    /// `event-channel-ctrl`.
    pub port: Port,
}

/// The backend's key for the number of queues that it supports; see [`max_queues`].
pub const MAX_QUEUES_KEY: &str = "multi-queue-max-queues";
/// The maximum number of queues of a vif.
pub const MAX_QUEUES: usize = 8;

/// A key below the frontend's directory and its value; `None` if it must not be there.
pub type Entry = (Cow<'static, str>, Option<String>);

/// Returns the number of queues that may be used with a backend whose [`MAX_QUEUES_KEY`] has this
/// value: 1 to [`MAX_QUEUES`], and 1 if the key is missing or invalid.
#[must_use]
pub fn max_queues(value: Option<&[u8]>) -> usize {
    let number = value
        .and_then(|value| core::str::from_utf8(value).ok())
        .map(|text| text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0'))
        .and_then(|text| text.parse::<u32>().ok());
    number.map_or(1, |number| (number as usize).clamp(1, MAX_QUEUES))
}

/// Returns the keys of a vif with these queues and this control ring, to be written as one change
/// and in this order before the frontend is connected.
///
/// A single queue has its keys in the frontend's directory; several queues have a directory each.
/// Keys of an earlier connection are removed, since a backend uses every key that it finds.
#[must_use]
pub fn connection_keys(queues: &[QueueInfo], control: Option<ControlInfo>) -> Vec<Entry> {
    let single = match queues {
        [queue] => Some(*queue),
        _ => None,
    };
    let several = (single.is_none() && !queues.is_empty()).then(|| queues.len().to_string());
    let mut keys = Vec::new();
    keys.push(("multi-queue-num-queues".into(), several));
    let flat = single.map_or([const { None }; 5], queue_values);
    for (name, value) in QUEUE_KEYS.into_iter().zip(flat) {
        keys.push((name.into(), value));
    }
    // A directory is removed with its contents, so that only new keys remain.
    for number in 0..queues.len().max(MAX_QUEUES) {
        keys.push((format!("queue-{number}").into(), None));
    }
    if single.is_none() {
        for (number, queue) in queues.iter().enumerate() {
            keys.push((format!("queue-{number}").into(), Some(String::new())));
            for (name, value) in QUEUE_KEYS.into_iter().zip(queue_values(*queue)) {
                if value.is_some() {
                    keys.push((format!("queue-{number}/{name}").into(), value));
                }
            }
        }
    }
    let ring = control.map(|control| control.ring.0.to_string());
    keys.push(("ctrl-ring-ref".into(), ring));
    let port = control.map(|control| control.port.0.to_string());
    keys.push(("event-channel-ctrl".into(), port));
    keys
}

/// The keys of one queue, wherever they are.
const QUEUE_KEYS: [&str; 5] = [
    "tx-ring-ref",
    "rx-ring-ref",
    "event-channel",
    "event-channel-tx",
    "event-channel-rx",
];

/// Their values.
fn queue_values(queue: QueueInfo) -> [Option<String>; 5] {
    let number = |port: Port| port.0.to_string();
    let (shared, tx, rx) = match queue.ports {
        Ports::Shared(port) => (Some(port), None, None),
        Ports::Split { tx, rx } => (None, Some(tx), Some(rx)),
    };
    [
        Some(queue.tx_ring.0.to_string()),
        Some(queue.rx_ring.0.to_string()),
        shared.map(number),
        tx.map(number),
        rx.map(number),
    ]
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A directory of xenstore, by path below it.
    type Directory = BTreeMap<String, String>;

    /// Does to `directory` what writing `keys` does.
    fn write(directory: &mut Directory, keys: &[Entry]) {
        for (key, value) in keys {
            if let Some(value) = value {
                directory.insert(key.to_string(), value.clone());
            } else {
                let below = format!("{key}/");
                directory.retain(|path, _| *path != **key && !path.starts_with(&below));
            }
        }
    }

    fn queue(number: u32, split: bool) -> QueueInfo {
        let port = |n| Port(100 + 2 * number + n);
        QueueInfo {
            tx_ring: GrantRef(10 + 2 * number),
            rx_ring: GrantRef(11 + 2 * number),
            ports: if split {
                Ports::Split {
                    tx: port(0),
                    rx: port(1),
                }
            } else {
                Ports::Shared(port(0))
            },
        }
    }

    fn queues(count: usize, split: bool) -> Vec<QueueInfo> {
        (0..count as u32).map(|n| queue(n, split)).collect()
    }

    fn control() -> ControlInfo {
        ControlInfo {
            ring: GrantRef(7),
            port: Port(9),
        }
    }

    fn listed(directory: &Directory) -> Vec<(&str, &str)> {
        directory
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect()
    }

    #[test]
    fn one_queue_has_its_keys_where_they_always_were() {
        let mut directory = Directory::new();
        write(&mut directory, &connection_keys(&queues(1, false), None));
        let expected = [
            ("event-channel", "100"),
            ("rx-ring-ref", "11"),
            ("tx-ring-ref", "10"),
        ];
        assert_eq!(listed(&directory), expected);
        let keys = connection_keys(&queues(1, true), Some(control()));
        write(&mut directory, &keys);
        let expected = [
            ("ctrl-ring-ref", "7"),
            ("event-channel-ctrl", "9"),
            ("event-channel-rx", "101"),
            ("event-channel-tx", "100"),
            ("rx-ring-ref", "11"),
            ("tx-ring-ref", "10"),
        ];
        assert_eq!(listed(&directory), expected);
    }

    /// The example of netif.h.
    #[test]
    fn two_queues_have_a_directory_each() {
        let mut directory = Directory::new();
        write(&mut directory, &connection_keys(&queues(2, true), None));
        let expected = [
            ("multi-queue-num-queues", "2"),
            ("queue-0", ""),
            ("queue-0/event-channel-rx", "101"),
            ("queue-0/event-channel-tx", "100"),
            ("queue-0/rx-ring-ref", "11"),
            ("queue-0/tx-ring-ref", "10"),
            ("queue-1", ""),
            ("queue-1/event-channel-rx", "103"),
            ("queue-1/event-channel-tx", "102"),
            ("queue-1/rx-ring-ref", "13"),
            ("queue-1/tx-ring-ref", "12"),
        ];
        assert_eq!(listed(&directory), expected);
    }

    #[test]
    fn the_backend_says_how_many() {
        assert_eq!(max_queues(None), 1);
        for (value, expected) in [
            ("1", 1),
            ("4", 4),
            (" 4\n", 4),
            ("4\0", 4),
            ("8", MAX_QUEUES),
            ("9", MAX_QUEUES),
            ("4294967295", MAX_QUEUES),
            ("4294967296", 1),
            ("0", 1),
            ("-1", 1),
            ("four", 1),
            ("4 4", 1),
            ("", 1),
        ] {
            assert_eq!(max_queues(Some(value.as_bytes())), expected, "{value:?}");
        }
        assert_eq!(max_queues(Some(b"\xff4")), 1);
    }

    proptest! {
        /// Whatever the connection before was, nothing of it is left.
        #[test]
        fn an_earlier_connection_leaves_no_trace(
            before in (0..=MAX_QUEUES, any::<bool>(), any::<bool>()),
            now in (0..=MAX_QUEUES, any::<bool>(), any::<bool>()),
        ) {
            let keys = |(count, split, ring): (usize, bool, bool)| {
                connection_keys(&queues(count, split), ring.then(control))
            };
            let other = (String::from("mac"), String::from("00:16:3e:00:00:01"));
            let mut fresh = Directory::from([other.clone()]);
            let mut used = Directory::from([other]);
            write(&mut fresh, &keys(now));
            write(&mut used, &keys(before));
            write(&mut used, &keys(now));
            prop_assert_eq!(fresh, used);
        }
    }
}
