//! From the start to `ready`.

use std::sync::Mutex;

use log::{LevelFilter, Log, Metadata, Record};

use crate::guest::{Guest, MS, SECOND};

pub(crate) const TWO: &str = r#"
hostname = "tenant-a"
[interface.wan]
vif = 0
address = ["10.0.0.1/24"]
[interface.lan]
mac = "00:16:3e:00:00:02"
address = ["10.0.1.1/24", "2001:db8:1::1/64"]
[[route]]
prefix = "0.0.0.0/0"
via = ["10.0.0.254"]
"#;

/// A guest with both vifs connected.
pub(crate) fn ready(cpus: usize) -> Guest {
    let mut guest = Guest::start(TWO, cpus);
    guest.add_vif(0);
    guest.add_vif(1);
    guest.run();
    assert_eq!(guest.state(), "ready");
    guest
}

#[test]
fn it_tells_who_it_is_and_is_ready_when_every_interface_is_up() {
    let mut guest = Guest::start(TWO, 1);
    guest.run();
    assert_eq!(
        guest.key("version").as_deref(),
        Some(env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(guest.key("config/status").as_deref(), Some("ok 0"));
    assert_eq!(guest.state(), "booting");
    assert_eq!(
        guest.server.get("control/feature-poweroff").as_deref(),
        Some("1")
    );
    assert_eq!(
        guest.server.get("control/feature-reboot").as_deref(),
        Some("1")
    );

    guest.run_for(20 * MS);
    guest.add_vif(0);
    guest.run();
    assert_eq!(guest.state(), "booting", "one is missing");
    assert_eq!(guest.key("boot-us"), None);
    assert_eq!(guest.printed(), "");

    guest.run_for(15 * MS);
    guest.add_vif(1);
    guest.run();
    assert_eq!(guest.state(), "ready");
    // It began 5 ms before its clock was first looked at.
    assert_eq!(guest.key("boot-us").as_deref(), Some("40000"));
    assert_eq!(guest.printed(), "ringway: ready in 40000 us\n");
}

#[test]
fn it_is_ready_once() {
    let mut guest = ready(1);
    let took = guest.key("boot-us");
    guest.printed();
    guest.remove_vif(1);
    guest.run();
    assert_eq!(guest.state(), "degraded");
    guest.run_for(SECOND);
    guest.add_vif(1);
    guest.run();
    assert_eq!(
        (guest.state().as_str(), guest.key("boot-us")),
        ("ready", took)
    );
    assert_eq!(guest.printed(), "", "it was said");
}

#[test]
fn a_configuration_that_cant_be_used_is_told_and_forwards_nothing() {
    let mut guest = Guest::start("[interface.wan]\nvif = 0\naddres = []\n", 1);
    guest.add_vif(0);
    guest.run_for(SECOND);
    assert_eq!(guest.state(), "degraded");
    let status = guest.key("config/status").unwrap_or_default();
    assert!(status.starts_with("error 3: "), "{status}");
    assert!(guest.vifs[&0].queues.is_empty(), "the vif stays down");
    // It can be asked all the same.
    assert!(guest.command("show version").concat().contains("ringway"));
}

/// Warnings about configurations.
struct Warnings(Mutex<Vec<String>>);

static WARNINGS: Warnings = Warnings(Mutex::new(Vec::new()));

impl Log for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "config"
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = format!("{} {}", record.level(), record.args());
            self.0.lock().unwrap().push(line);
        }
    }

    fn flush(&self) {}
}

#[test]
fn an_old_spelling_works_and_is_warned_of() {
    log::set_logger(&WARNINGS).unwrap();
    log::set_max_level(LevelFilter::Warn);
    let mut guest = Guest::start(&TWO.replace("vif = 0", "vif = 0\nproxy-arp = true"), 1);
    guest.add_vif(0);
    guest.add_vif(1);
    guest.run();
    assert_eq!(guest.state(), "ready");
    assert_eq!(
        *WARNINGS.0.lock().unwrap(),
        ["WARN line 5: \"proxy-arp\" is now spelled \"proxy_arp\""]
    );
}

#[test]
fn a_store_that_refuses_what_it_tells_holds_up_nothing() {
    let mut guest = Guest::start(TWO, 1);
    for key in ["version", "state", "boot-us", "config/status"] {
        let path = format!("data/ringway/{key}");
        guest.server.set(&path, "");
        guest.server.set_read_only(&path);
    }
    guest.add_vif(0);
    guest.add_vif(1);
    guest.run();
    assert!(guest.printed().contains("ringway: ready in "));
    assert!(!guest.command("show interfaces").is_empty());
}

#[test]
fn a_loopback_needs_no_vif() {
    let loopback = "[interface.lo]\ntype = \"loopback\"\naddress = [\"10.9.9.9/32\"]\n";
    let mut guest = Guest::start(&format!("{TWO}{loopback}"), 1);
    guest.add_vif(0);
    guest.add_vif(1);
    guest.run();
    assert_eq!(guest.state(), "ready");
}
