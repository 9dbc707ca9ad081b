//! A device's life against backends of every temper.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use executor::Signal;
use proptest::prelude::*;
use xen_hal::DomId;
use xenbus::XenbusState::{
    self, Closed, Closing, Connected, InitWait, Initialised, Initialising, Unknown,
};
use xenbus::fake::{LinuxBackend, Toolstack, backend_dir};
use xenbus::{Device, DeviceError, Ended, Handler, KeyError, OpenError, run_device};
use xenstore::fake::Rig;
use xenstore::wire::{Errno, Kind};

const SECOND: u64 = 1_000_000_000;
const BACK: &str = "/local/domain/0/backend/vif/1/0";

/// What a driver was asked to do, in order.
#[derive(Clone, Default)]
struct Recorder {
    log: Rc<RefCell<Vec<String>>>,
    fault: Rc<RefCell<Option<Signal<String>>>>,
    fail_connect: Rc<Cell<bool>>,
    open: Rc<Cell<bool>>,
}

impl Recorder {
    fn note(&self, what: impl Into<String>) {
        self.log.borrow_mut().push(what.into());
    }

    fn take_log(&self) -> Vec<String> {
        self.log.take()
    }

    fn raise(&self, what: &str) {
        self.fault.borrow().as_ref().unwrap().raise(what.into());
    }
}

#[derive(Debug, PartialEq)]
enum Phase {
    Connecting,
    Established,
    Stopped,
}

impl Handler for Recorder {
    type Connection = Phase;
    type Error = KeyError;
    type Fault = String;

    async fn connect(
        &mut self,
        device: &Device,
        fault: &Signal<String>,
    ) -> Result<Phase, KeyError> {
        assert!(!self.open.replace(true), "connected twice");
        let keys = match device.backend_keys(&["feature-sg", "mac"]).await {
            Ok(keys) if !self.fail_connect.get() => keys,
            other => {
                self.open.set(false);
                self.note("failed");
                return Err(other
                    .err()
                    .map_or(KeyError::Missing("x".into()), KeyError::Store));
            }
        };
        if let Err(error) = keys.flag("feature-sg") {
            self.open.set(false);
            self.note("failed");
            return Err(error);
        }
        let refs = [("tx-ring-ref", Some("8".into())), ("event-channel", None)];
        // A device that is gone shows up as such in the machine itself.
        let _: Result<(), DeviceError> = device.write_all(&refs).await;
        *self.fault.borrow_mut() = Some(fault.clone());
        self.note(format!("connect {}", device.backend_id().0));
        Ok(Phase::Connecting)
    }

    fn established(&mut self, _: &Device, connection: &mut Phase) {
        assert_eq!(*connection, Phase::Connecting);
        *connection = Phase::Established;
        self.note("established");
    }

    fn stop(&mut self, connection: &mut Phase) {
        assert_ne!(*connection, Phase::Stopped);
        *connection = Phase::Stopped;
        self.note("stop");
    }

    async fn disconnect(&mut self, connection: Phase) {
        assert_eq!(connection, Phase::Stopped);
        assert!(self.open.replace(false));
        self.note("disconnect");
    }
}

struct Bed {
    rig: Rig,
    driver: Recorder,
    ended: Rc<RefCell<Option<Ended>>>,
}

impl Bed {
    /// `vif/0` with a backend in dom0 that hasn't started.
    fn new() -> Self {
        Self::with(|rig| rig.server.add_device("vif", 0, 0))
    }

    fn with(prepare: impl FnOnce(&Rig)) -> Self {
        let rig = Rig::new();
        prepare(&rig);
        let driver = Recorder::default();
        let (store, timers, handler) = (rig.store.clone(), rig.timers.clone(), driver.clone());
        let ended = rig.start(async move { run_device(&store, &timers, "vif", 0, handler).await });
        rig.run();
        Self { rig, driver, ended }
    }

    /// The backend says that it is in `state`.
    fn backend(&self, state: XenbusState) {
        self.rig
            .server
            .set(&format!("{BACK}/state"), state.to_string());
        self.rig.run();
    }

    fn frontend(&self) -> XenbusState {
        let state = self
            .rig
            .server
            .get("device/vif/0/state")
            .unwrap_or_default();
        XenbusState::parse(state.as_bytes())
    }

    /// Lets a Linux backend and this frontend talk until both are content.
    fn talk(&self, linux: &mut LinuxBackend) {
        self.rig.run();
        for _ in 0..100 {
            if !linux.step() {
                return;
            }
            self.rig.run();
        }
        panic!("the two ends never come to rest");
    }

    fn connected() -> (Self, LinuxBackend) {
        let bed = Self::new();
        let mut linux = LinuxBackend::new(&bed.rig.server, "vif", 0, 0);
        bed.talk(&mut linux);
        assert_eq!((bed.frontend(), linux.state), (Connected, Connected));
        assert_eq!(bed.driver.take_log(), ["connect 0", "established"]);
        (bed, linux)
    }

    fn remove_all(&self) {
        self.rig.server.remove("device/vif/0");
        self.rig.server.remove(BACK);
        self.rig.run();
    }
}

const CLOSED: [&str; 2] = ["stop", "disconnect"];
const ROUND: [&str; 4] = ["stop", "disconnect", "connect 0", "established"];

// The normal course.

#[test]
fn connects_when_the_backend_is_ready() {
    let bed = Bed::new();
    assert_eq!(bed.frontend(), Initialising);
    assert_eq!(bed.driver.take_log(), [""; 0]);
    bed.backend(InitWait);
    assert_eq!(bed.frontend(), Connected);
    assert_eq!(bed.driver.take_log(), ["connect 0"]);
    assert_eq!(
        bed.rig.server.get("device/vif/0/tx-ring-ref").as_deref(),
        Some("8")
    );
    // As long as a hotplug script takes.
    bed.rig.run_for(100 * SECOND);
    assert_eq!(bed.driver.take_log(), [""; 0]);
    bed.backend(Connected);
    bed.backend(Connected);
    assert_eq!(bed.driver.take_log(), ["established"]);
    assert_eq!(bed.rig.timers.next_deadline(), None);
}

#[test]
fn a_backend_may_say_initialised_where_others_say_init_wait() {
    let bed = Bed::new();
    bed.backend(Initialised);
    bed.backend(Connected);
    assert_eq!(bed.driver.take_log(), ["connect 0", "established"]);
}

#[test]
fn an_idle_device_asks_nothing_of_xenstore() {
    let (bed, _linux) = Bed::connected();
    let before = bed.rig.server.requests().len();
    bed.rig.run_for(1000 * SECOND);
    assert_eq!(bed.rig.server.requests().len(), before);
}

#[test]
fn unplug_closes_in_order_and_ends() {
    let (bed, mut linux) = Bed::connected();
    // What `xl network-detach` does.
    let (online, state) = (format!("{BACK}/online"), format!("{BACK}/state"));
    bed.rig.server.set_all(&[(&online, "0"), (&state, "5")]);
    bed.rig.run();
    // Linux still maps the rings until it sees this side close.
    assert_eq!(bed.frontend(), Closed);
    assert_eq!(bed.driver.take_log(), ["stop"]);
    bed.talk(&mut linux);
    assert!(!linux.mapped);
    assert_eq!(bed.driver.take_log(), ["disconnect"]);
    assert_eq!(bed.rig.server.get(&state).as_deref(), Some("6"));
    bed.rig.run_for(100 * SECOND);
    assert_eq!(bed.frontend(), Closed, "an offline device stays closed");
    bed.remove_all();
    assert_eq!(bed.ended.take(), Some(Ended::Removed));
    assert_eq!(bed.rig.server.get("device/vif/0"), None);
    assert_eq!(bed.rig.server.watch_count(), 0);
    assert_eq!(bed.driver.take_log(), [""; 0]);
}

// Backends that close, restart, or are stale.

#[test]
fn a_backend_told_to_close_while_online_is_connected_again() {
    let (bed, mut linux) = Bed::connected();
    bed.backend(Closing);
    bed.talk(&mut linux);
    assert_eq!(
        (bed.frontend(), linux.state, linux.connects),
        (Connected, Connected, 2)
    );
    assert_eq!(bed.driver.take_log(), ROUND);
}

#[test]
fn a_backend_driver_that_is_reloaded_is_connected_again() {
    let (bed, mut linux) = Bed::connected();
    linux.unload();
    bed.talk(&mut linux);
    assert_eq!(bed.driver.take_log(), CLOSED);
    // Waiting where a new driver will take it for one that wants to begin.
    assert_eq!(bed.frontend(), Initialising);
    bed.rig.run_for(1000 * SECOND);
    linux.load();
    bed.talk(&mut linux);
    assert_eq!(
        (bed.frontend(), linux.state, linux.connects),
        (Connected, Connected, 2)
    );
    assert_eq!(bed.driver.take_log(), ["connect 0", "established"]);
}

#[test]
fn a_connection_left_by_an_earlier_kernel_is_not_taken_for_ours() {
    let rig_prepared = |rig: &Rig| {
        rig.server.add_device("vif", 0, 0);
        rig.server.set("device/vif/0/state", "4");
        rig.server.set(&format!("{BACK}/state"), "4");
    };
    let bed = Bed::with(rig_prepared);
    assert_eq!(bed.frontend(), Initialising);
    assert_eq!(bed.driver.take_log(), [""; 0]);
    let mut linux = LinuxBackend::new(&bed.rig.server, "vif", 0, 0);
    (linux.state, linux.mapped) = (Connected, true);
    bed.talk(&mut linux);
    assert_eq!((bed.frontend(), linux.state), (Connected, Connected));
    assert_eq!(bed.driver.take_log(), ["connect 0", "established"]);
}

#[test]
fn a_backend_that_closes_before_it_connects_gets_its_close() {
    for ready_before in [false, true] {
        let bed = Bed::new();
        if ready_before {
            bed.backend(InitWait);
        }
        bed.backend(Closing);
        assert_eq!(bed.frontend(), Closed);
        bed.backend(Closed);
        assert_eq!(bed.frontend(), Initialising);
        bed.driver.take_log();
        bed.backend(InitWait);
        bed.backend(Connected);
        assert_eq!(bed.frontend(), Connected);
        assert_eq!(bed.driver.take_log(), ["connect 0", "established"]);
    }
}

#[test]
fn a_backend_that_goes_straight_to_closed_is_followed() {
    for last in [InitWait, Connected] {
        let bed = Bed::new();
        bed.backend(InitWait);
        bed.backend(last);
        bed.driver.take_log();
        bed.backend(Closed);
        assert_eq!(bed.driver.take_log(), CLOSED);
        assert_eq!(bed.frontend(), Initialising);
        bed.backend(InitWait);
        assert_eq!(bed.frontend(), Connected);
        assert_eq!(bed.driver.take_log(), ["connect 0"]);
    }
}

#[test]
fn a_backend_that_begins_anew_unannounced_gets_a_new_connection() {
    for state in [Initialising, InitWait, Initialised] {
        let (bed, _) = Bed::connected();
        bed.backend(state);
        bed.backend(InitWait);
        bed.rig.run_for(2 * xenbus::CLOSE_TIMEOUT_NS);
        bed.backend(Connected);
        assert_eq!(bed.driver.take_log(), ROUND, "{state:?}");
    }
}

#[test]
fn a_backend_that_opens_and_closes_forever_is_slowed_down() {
    let bed = Bed::new();
    let mut rounds = 0;
    for _ in 0..600 {
        for state in [InitWait, Connected, Closing, Closed] {
            bed.backend(state);
        }
        rounds += bed
            .driver
            .take_log()
            .iter()
            .filter(|what| *what == "connect 0")
            .count();
        bed.rig.run_for(SECOND / 10);
    }
    // A minute: at once, then after 1, 2, 4, 8, 16, 30 s.
    assert!((5..=8).contains(&rounds), "{rounds} rounds");
}

#[test]
fn states_that_say_nothing_change_nothing() {
    let (bed, _linux) = Bed::connected();
    for value in ["", "9", "x", "7", "8", "0", "44", "\0", "4"] {
        bed.rig.server.set(&format!("{BACK}/state"), value);
        bed.rig.run();
    }
    bed.rig.server.remove(&format!("{BACK}/state"));
    bed.rig.run_for(10 * SECOND);
    assert_eq!(bed.driver.take_log(), [""; 0]);
    assert_eq!(bed.frontend(), Connected);
}

// Backends and devices that vanish.

#[test]
fn a_backend_that_vanishes_is_let_go_and_taken_up_when_it_is_back() {
    let (bed, _) = Bed::connected();
    bed.rig.server.remove(BACK);
    bed.rig.run();
    assert_eq!(bed.driver.take_log(), CLOSED);
    assert_eq!(bed.frontend(), Closed);
    bed.rig.run_for(100 * SECOND);
    assert_eq!(bed.ended.take(), None);
    bed.rig.server.add_device("vif", 0, 0);
    let mut linux = LinuxBackend::new(&bed.rig.server, "vif", 0, 0);
    bed.talk(&mut linux);
    assert_eq!(bed.driver.take_log(), ["connect 0", "established"]);
}

#[test]
fn a_backend_that_is_not_there_yet_is_waited_for() {
    let bed = Bed::with(|rig| {
        rig.server.add_device("vif", 0, 0);
        rig.server.remove(BACK);
    });
    bed.rig.run_for(100 * SECOND);
    assert_eq!(bed.ended.take(), None);
    bed.rig.server.add_device("vif", 0, 0);
    bed.backend(InitWait);
    assert_eq!(bed.driver.take_log(), ["connect 0"]);
}

#[test]
fn a_backend_in_another_domain_is_connected_instead() {
    let (bed, _) = Bed::connected();
    bed.rig.server.add_device("vif", 0, 7);
    bed.rig.server.remove(BACK);
    bed.rig.run();
    assert_eq!(bed.driver.take_log(), CLOSED);
    assert_eq!(bed.frontend(), Initialising);
    let mut linux = LinuxBackend::new(&bed.rig.server, "vif", 0, 7);
    bed.talk(&mut linux);
    assert_eq!(bed.driver.take_log(), ["connect 7", "established"]);
    assert_eq!(bed.rig.server.watch_count(), 3);
}

#[test]
fn a_backend_whose_domain_alone_changes_is_followed() {
    let (bed, mut linux) = Bed::connected();
    bed.rig.server.set("device/vif/0/backend-id", "7");
    bed.rig.run();
    assert_eq!(bed.driver.take_log(), CLOSED);
    bed.talk(&mut linux);
    assert_eq!(bed.driver.take_log(), ["connect 7", "established"]);
}

#[test]
fn removal_ends_it_at_any_point() {
    let to_point: [fn(&Bed); 6] = [
        |_| {},
        |bed| bed.backend(InitWait),
        |bed| {
            bed.backend(InitWait);
            bed.backend(Connected);
        },
        |bed| {
            bed.backend(InitWait);
            bed.backend(Closing);
        },
        |bed| {
            bed.backend(InitWait);
            bed.backend(Connected);
            bed.driver.raise("broken");
            bed.rig.run();
        },
        |bed| bed.rig.server.remove(BACK),
    ];
    for (point, go) in to_point.iter().enumerate() {
        for backend_first in [false, true] {
            let bed = Bed::new();
            go(&bed);
            if backend_first {
                bed.rig.server.remove(BACK);
                bed.rig.run();
            }
            bed.remove_all();
            bed.rig.run_for(20 * SECOND);
            assert_eq!(bed.ended.take(), Some(Ended::Removed), "point {point}");
            assert_eq!(
                bed.rig.server.get("device/vif/0"),
                None,
                "brought to life again"
            );
            assert!(!bed.driver.open.get(), "left open at point {point}");
            assert_eq!(bed.rig.server.watch_count(), 0);
            assert_eq!(bed.rig.server.transaction_count(), 0);
            assert_eq!(bed.rig.store.in_flight(), 0);
        }
    }
}

#[test]
fn a_device_that_never_was_is_removed() {
    let bed = Bed::with(|_| {});
    assert_eq!(bed.ended.take(), Some(Ended::Removed));
}

#[test]
fn malformed_keys_are_waited_for() {
    let table = [
        ("backend", ""),
        ("backend", "/"),
        ("backend", "relative/path"),
        ("backend", "/local/with blank"),
        ("backend-id", ""),
        ("backend-id", "-1"),
        ("backend-id", "32752"),
        ("backend-id", "70000"),
        ("backend-id", "zero"),
    ];
    for (key, value) in table {
        let bed = Bed::with(|rig| {
            rig.server.add_device("vif", 0, 0);
            rig.server.set(&format!("device/vif/0/{key}"), value);
        });
        bed.backend(InitWait);
        assert_eq!(bed.driver.take_log(), [""; 0], "{key}={value:?}");
        assert_eq!(bed.ended.take(), None);
        bed.rig.server.add_device("vif", 0, 0);
        bed.backend(InitWait);
        assert_eq!(bed.driver.take_log(), ["connect 0"], "{key}={value:?}");
    }
    for key in ["backend", "backend-id"] {
        let bed = Bed::with(|rig| {
            rig.server.add_device("vif", 0, 0);
            rig.server.remove(&format!("device/vif/0/{key}"));
        });
        assert_eq!(bed.ended.take(), None);
        bed.rig.server.add_device("vif", 0, 0);
        bed.backend(InitWait);
        assert_eq!(bed.driver.take_log(), ["connect 0"], "{key} missing");
    }
    let bed = Bed::with(|rig| rig.server.set("device/vif/0", ""));
    bed.rig.server.remove("device/vif/0");
    bed.rig.run();
    assert_eq!(bed.ended.take(), Some(Ended::Removed));
}

// Faults.

#[test]
fn a_fault_closes_and_connects_again_after_a_pause() {
    let (bed, mut linux) = Bed::connected();
    for pause in [1, 2, 4, 8, 16, 30, 30] {
        bed.driver.raise("the producer index jumped");
        bed.driver.raise("and again");
        bed.talk(&mut linux);
        assert_eq!(bed.driver.take_log(), CLOSED);
        assert_eq!(
            (bed.frontend(), linux.state, linux.mapped),
            (Closed, Closed, false)
        );
        bed.rig.run_for(pause * SECOND - 1);
        assert_eq!(bed.frontend(), Closed);
        bed.rig.run_for(1);
        bed.talk(&mut linux);
        assert_eq!((bed.frontend(), linux.state), (Connected, Connected));
        assert_eq!(bed.driver.take_log(), ["connect 0", "established"]);
    }
    // What has held for long starts over.
    bed.rig.run_for(xenbus::MAX_BACKOFF_NS);
    bed.driver.raise("once more");
    bed.talk(&mut linux);
    bed.rig.run_for(SECOND);
    bed.talk(&mut linux);
    assert_eq!(bed.driver.take_log(), ROUND);
}

#[test]
fn a_fault_before_the_backend_is_connected_counts_too() {
    let bed = Bed::new();
    bed.backend(InitWait);
    bed.driver.raise("too early");
    bed.rig.run();
    assert_eq!(bed.frontend(), Closed);
    bed.backend(Closed);
    assert_eq!(bed.driver.take_log(), ["connect 0", "stop", "disconnect"]);
}

#[test]
fn a_backend_that_does_not_answer_to_closing_is_not_waited_for_forever() {
    let bed = Bed::new();
    bed.backend(InitWait);
    bed.backend(Connected);
    bed.driver.take_log();
    bed.driver.raise("bad");
    bed.rig.run();
    assert_eq!(bed.driver.take_log(), ["stop"]);
    assert_eq!(bed.frontend(), Closing);
    bed.rig.run_for(xenbus::CLOSE_TIMEOUT_NS);
    assert_eq!(bed.frontend(), Closed);
    bed.rig.run_for(xenbus::CLOSE_TIMEOUT_NS);
    assert_eq!(bed.driver.take_log(), ["disconnect"]);
    bed.rig.run_for(2 * SECOND);
    assert_eq!(bed.frontend(), Initialising);
}

#[test]
fn a_connection_that_cannot_be_set_up_is_tried_again() {
    let bed = Bed::new();
    bed.driver.fail_connect.set(true);
    let mut linux = LinuxBackend::new(&bed.rig.server, "vif", 0, 0);
    bed.talk(&mut linux);
    assert_eq!(bed.driver.take_log(), ["failed"]);
    for _ in 0..60 {
        bed.rig.run_for(SECOND);
        bed.talk(&mut linux);
    }
    assert_eq!(bed.driver.take_log().len(), 5);
    bed.driver.fail_connect.set(false);
    for _ in 0..30 {
        bed.rig.run_for(SECOND);
        bed.talk(&mut linux);
    }
    assert_eq!(bed.driver.take_log(), ["connect 0", "established"]);
}

#[test]
fn a_malformed_feature_is_a_failure_to_connect() {
    let bed = Bed::new();
    bed.rig.server.set(&format!("{BACK}/feature-sg"), "yes");
    bed.backend(InitWait);
    assert_eq!(bed.driver.take_log(), ["failed"]);
    assert_eq!(bed.frontend(), Closed);
}

#[test]
fn a_store_that_refuses_is_tried_again() {
    for (kind, errno) in [
        (Kind::TransactionStart, Errno::Quota),
        (Kind::Read, Errno::Io),
    ] {
        let bed = Bed::new();
        bed.rig.server.refuse(kind, errno);
        bed.backend(InitWait);
        bed.rig.run_for(100 * SECOND);
        assert_ne!(bed.frontend(), Connected);
        bed.rig.server.accept(kind);
        let mut linux = LinuxBackend::new(&bed.rig.server, "vif", 0, 0);
        for _ in 0..60 {
            bed.rig.run_for(SECOND);
            bed.talk(&mut linux);
        }
        assert_eq!(
            (bed.frontend(), linux.state),
            (Connected, Connected),
            "{kind:?}"
        );
    }
    let bed = Bed::with(|rig| {
        rig.server.add_device("vif", 0, 0);
        rig.server.refuse(Kind::Watch, Errno::Quota);
    });
    bed.backend(InitWait);
    assert_eq!(bed.driver.take_log(), [""; 0]);
    bed.rig.server.accept(Kind::Watch);
    bed.rig.run_for(60 * SECOND);
    assert_eq!(bed.driver.take_log(), ["connect 0"]);
}

#[test]
fn a_device_outlives_the_connection_to_xenstore() {
    let (bed, _) = Bed::connected();
    bed.rig.server.break_ring();
    bed.rig.run_for(100 * SECOND);
    assert_eq!(bed.driver.take_log(), [""; 0]);
    assert_eq!(bed.ended.take(), None);
    bed.driver.raise("broken too");
    bed.rig.run();
    assert_eq!(bed.driver.take_log(), CLOSED);
    assert!(matches!(bed.ended.take(), Some(Ended::StoreLost(_))));

    let bed = Bed::new();
    bed.rig.server.break_ring();
    bed.rig.run();
    assert!(matches!(bed.ended.take(), Some(Ended::StoreLost(_))));
}

// The device by itself.

fn open(rig: &Rig) -> Result<Device, OpenError> {
    let store = rig.store.clone();
    rig.block_on(async move { Device::open(&store, "vif", 0).await })
}

#[test]
fn a_device_knows_its_paths_and_its_backend() {
    let rig = Rig::new();
    assert!(matches!(open(&rig), Err(OpenError::Removed)));
    rig.server.add_device("vif", 0, 3);
    let device = open(&rig).unwrap();
    assert_eq!(device.name(), "vif/0");
    assert_eq!(device.backend_id(), DomId(3));
    assert_eq!(device.frontend_path("mac"), "device/vif/0/mac");
    assert_eq!(
        device.backend_path("mac"),
        format!("{}/mac", backend_dir("vif", 0, 3))
    );
}

/// What a frontend of several queues writes over what one of another number left behind.
#[test]
fn keys_are_written_in_directories_in_their_order() {
    let rig = Rig::new();
    rig.server.add_device("vif", 0, 0);
    let front = |key: &str| format!("/local/domain/1/device/vif/0/{key}");
    rig.server.set_all(&[
        (&front("tx-ring-ref"), "8"),
        (&front("queue-0/event-channel"), "9"),
        (&front("queue-1/tx-ring-ref"), "10"),
    ]);
    let device = Rc::new(open(&rig).unwrap());
    let write = |keys: Vec<(String, Option<String>)>| {
        let device = Rc::clone(&device);
        rig.block_on(async move { device.write_all(&keys).await })
    };
    let key = |key: &str, value: &str| (key.to_string(), Some(value.to_string()));
    let gone = |key: &str| (key.to_string(), None);
    let done = write(vec![
        gone("tx-ring-ref"),
        gone("queue-0"),
        key("queue-0", ""),
        key("queue-0/tx-ring-ref", "12"),
        gone("queue-1"),
        gone("queue-2"),
    ]);
    assert_eq!(done, Ok(()));
    let get = |key: &str| rig.server.get(&front(key));
    assert_eq!(get("tx-ring-ref"), None);
    assert_eq!(get("queue-0").as_deref(), Some(""));
    assert_eq!(get("queue-0/tx-ring-ref").as_deref(), Some("12"));
    assert_eq!(get("queue-0/event-channel"), None);
    assert_eq!(get("queue-1"), None);
    assert_eq!(get("queue-1/tx-ring-ref"), None);
    // Nor is a device that was removed brought back by a key in a directory.
    rig.server.remove("/local/domain/1/device/vif/0");
    let done = write(vec![key("queue-0/tx-ring-ref", "12")]);
    assert_eq!(done, Err(DeviceError::Removed));
    assert_eq!(get("queue-0/tx-ring-ref"), None);
}

#[test]
fn keys_are_typed() {
    let rig = Rig::new();
    rig.server.add_device("vif", 0, 0);
    let values = [
        ("n", "12"),
        ("blank", " 12\n"),
        ("nul", "12\0"),
        ("one", "1"),
        ("zero", "0"),
        ("huge", "99999999999"),
        ("word", "yes"),
        ("empty", ""),
    ];
    for (key, value) in values {
        rig.server.set(&format!("{BACK}/{key}"), value);
        rig.server.set(&format!("device/vif/0/{key}"), value);
    }
    rig.server.set(&format!("{BACK}/long"), "x".repeat(4000));
    rig.server.set(&format!("{BACK}/bytes"), [0xff, 0xfe]);
    let device = open(&rig).unwrap();
    rig.block_on(async move {
        let names: Vec<&str> = values
            .iter()
            .map(|(key, _)| *key)
            .chain(["long", "bytes"])
            .collect();
        let own = device.frontend_keys(&names).await.unwrap();
        assert_eq!(own.get::<u8>("n"), Ok(Some(12)));
        let keys = device.backend_keys(&names).await.unwrap();
        for key in ["n", "blank", "nul"] {
            assert_eq!(keys.get::<u32>(key), Ok(Some(12)), "{key}");
            assert_eq!(keys.flag(key), Ok(true), "{key}");
        }
        assert_eq!(keys.flag("one"), Ok(true));
        assert_eq!(keys.flag("zero"), Ok(false));
        assert_eq!(keys.flag("missing"), Ok(false));
        assert_eq!(keys.get::<u32>("missing"), Ok(None));
        assert_eq!(
            keys.require::<u32>("missing"),
            Err(KeyError::Missing("missing".into()))
        );
        assert_eq!(keys.require::<String>("word").as_deref(), Ok("yes"));
        for key in ["huge", "word", "empty", "long", "bytes"] {
            let error = keys.require::<u32>(key).unwrap_err();
            assert!(matches!(&error, KeyError::Malformed { .. }), "{key}");
            assert!(error.to_string().len() < 100, "{error}");
            assert!(keys.flag(key).is_err(), "{key}");
        }
        assert_eq!(keys.raw("bytes"), Some(&[0xff, 0xfe][..]));
    });
}

#[test]
fn a_removed_device_is_not_written_back() {
    let rig = Rig::new();
    rig.server.add_device("vif", 0, 0);
    let device = open(&rig).unwrap();
    rig.server.remove("device/vif/0");
    let result =
        rig.block_on(async move { (device.switch(Closed).await, device.backend_state().await) });
    assert_eq!(
        result,
        (Err(DeviceError::Removed), Err(DeviceError::Removed))
    );
    assert_eq!(rig.server.get("device/vif/0"), None);
}

#[test]
fn backend_states_and_disappearances_are_told_apart() {
    let rig = Rig::new();
    rig.server.add_device("vif", 0, 0);
    let state = |device: &Rc<Device>| {
        let device = Rc::clone(device);
        rig.block_on(async move { device.backend_state().await })
    };
    let device = Rc::new(open(&rig).unwrap());
    assert_eq!(state(&device), Ok(Initialising));
    rig.server.set(&format!("{BACK}/state"), "nonsense");
    assert_eq!(state(&device), Ok(Unknown));
    rig.server.remove(&format!("{BACK}/state"));
    assert_eq!(state(&device), Ok(Unknown));
    rig.server.remove(BACK);
    assert_eq!(state(&device), Err(DeviceError::BackendGone));
    rig.server.add_device("vif", 0, 0);
    rig.server.set("device/vif/0/backend-id", "5");
    assert_eq!(state(&device), Err(DeviceError::Moved));
    rig.server.remove("device/vif/0/backend");
    assert_eq!(state(&device), Err(DeviceError::Moved));
    rig.server.remove("device/vif/0");
    assert_eq!(state(&device), Err(DeviceError::Removed));
}

// Anything, in any order.

#[derive(Clone, Debug)]
enum Step {
    State(u8),
    Linux,
    Fault,
    Wait(u64),
    RemoveBackend,
    AddBackend,
    Refuse(bool),
    Conflict,
    FailConnect(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..10).prop_map(Step::State),
        4 => Just(Step::Linux),
        2 => Just(Step::Fault),
        2 => (0..40 * SECOND).prop_map(Step::Wait),
        1 => Just(Step::RemoveBackend),
        1 => Just(Step::AddBackend),
        1 => any::<bool>().prop_map(Step::Refuse),
        1 => Just(Step::Conflict),
        1 => any::<bool>().prop_map(Step::FailConnect),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever happened, a sane backend gets its connection in the end, and an unplug its end.
    #[test]
    fn every_history_ends_well(steps in prop::collection::vec(step(), 0..40)) {
        let bed = Bed::new();
        let mut linux = LinuxBackend::new(&bed.rig.server, "vif", 0, 0);
        for step in steps {
            match step {
                Step::State(state) => bed.rig.server.set(&format!("{BACK}/state"), state.to_string()),
                Step::Linux => drop(linux.step()),
                Step::Fault => {
                    if let Some(fault) = &*bed.driver.fault.borrow() {
                        fault.raise("fault".into());
                    }
                }
                Step::Wait(ns) => bed.rig.run_for(ns),
                Step::RemoveBackend => bed.rig.server.remove(BACK),
                Step::AddBackend => bed.rig.server.add_device("vif", 0, 0),
                Step::Refuse(true) => bed.rig.server.refuse(Kind::Read, Errno::Io),
                Step::Refuse(false) => bed.rig.server.accept(Kind::Read),
                Step::Conflict => bed.rig.server.conflict(20),
                Step::FailConnect(fail) => bed.driver.fail_connect.set(fail),
            }
            bed.rig.run();
            prop_assert_eq!(bed.ended.take(), None);
        }
        bed.rig.server.accept(Kind::Read);
        bed.rig.server.conflict(0);
        bed.driver.fail_connect.set(false);
        // The toolstack sets the device up again, with a backend that behaves.
        bed.rig.server.add_device("vif", 0, 0);
        let mut linux = LinuxBackend::new(&bed.rig.server, "vif", 0, 0);
        for _ in 0..120 {
            bed.talk(&mut linux);
            bed.rig.run_for(SECOND);
        }
        bed.talk(&mut linux);
        prop_assert_eq!((bed.frontend(), linux.state), (Connected, Connected));
        prop_assert!(bed.driver.open.get());
        let log = bed.driver.take_log();
        prop_assert_eq!(log.last().map(String::as_str), Some("established"));
        bed.remove_all();
        prop_assert_eq!(bed.ended.take(), Some(Ended::Removed));
        prop_assert!(!bed.driver.open.get());
        prop_assert_eq!(bed.rig.server.watch_count(), 0);
        prop_assert_eq!(bed.rig.store.in_flight(), 0);
    }
}
