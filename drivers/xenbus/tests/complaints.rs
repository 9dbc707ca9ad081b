//! What is logged of a device that can't be connected.

use std::sync::Mutex;

use executor::Signal;
use log::{LevelFilter, Log, Metadata, Record};
use xenbus::fake::{LinuxBackend, Toolstack};
use xenbus::{Device, Handler, run_device};
use xenstore::fake::Rig;

const SECOND: u64 = 1_000_000_000;

struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "xenbus"
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) && record.level() <= LevelFilter::Info {
            self.0.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// A driver that can't use the device until its `mtu` is `1500`.
struct Picky;

impl Handler for Picky {
    type Connection = ();
    type Error = String;
    type Fault = String;

    async fn connect(&mut self, device: &Device, _: &Signal<String>) -> Result<(), String> {
        let keys = device.frontend_keys(&["mtu"]).await;
        match keys.map_err(|error| error.to_string())?.raw("mtu") {
            Some(b"1500") => Ok(()),
            other => Err(format!(
                "no mtu is {}",
                String::from_utf8_lossy(other.unwrap_or(b""))
            )),
        }
    }

    fn established(&mut self, _: &Device, (): &mut ()) {}

    fn stop(&mut self, (): &mut ()) {}

    async fn disconnect(&mut self, (): ()) {}
}

#[test]
fn what_is_still_wrong_is_said_once() {
    log::set_logger(&LINES).unwrap();
    log::set_max_level(LevelFilter::Info);
    let rig = Rig::new();
    rig.server.add_device("vif", 0, 0);
    let (store, timers) = (rig.store.clone(), rig.timers.clone());
    rig.start(async move { run_device(&store, &timers, "vif", 0, Picky).await });
    let mut linux = LinuxBackend::new(&rig.server, "vif", 0, 0);
    for (mtu, wanted) in [
        ("20", &["vif/0: no mtu is 20"][..]),
        ("28", &["vif/0: no mtu is 28"]),
        ("1500", &["vif/0: connected"]),
    ] {
        rig.server.set("device/vif/0/mtu", mtu);
        for _ in 0..120 {
            rig.run_for(SECOND);
            while linux.step() {
                rig.run();
            }
        }
        let lines = core::mem::take(&mut *LINES.0.lock().unwrap());
        assert_eq!(lines, wanted);
    }
}
