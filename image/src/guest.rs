//! What the parts of the guest share, and the state it shows to others.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::ToString;
use core::cell::{Cell, RefCell};
use core::fmt::Write;

use executor::{Clock, Signal, Tasks, Timers};
use heapless::Vec as Bounded;
use kernel::console::Console;
use kernel::sched::Reason;
use netfront_rs::PeerFault;
use router::{Config, ConfigError, Instant, InterfaceId, Router};
use xen_boot::BootInfo;
use xenbus::ShutdownRequest;
use xenstore::{Store, StoreError};

use crate::lanes::Lanes;
use crate::steering::Talks;
use crate::{commands, vif};

/// Folder of the guest's own keys in xenstore.
const KEYS: &str = "data/ringway";
/// Most bytes of a reply in one key: xenstored's usual quota is 2048 for a value.
const REPLY_PART: usize = 2000;

/// Faults that are told in one turn.
const FAULTS: usize = 16;

/// Xen's system time.
pub(crate) struct XenClock;

impl Clock for XenClock {
    fn now_ns(&self) -> u64 {
        kernel::time::now()
    }
}

/// What `data/ringway/state` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Not every configured interface has been up yet.
    Booting,
    /// Every configured interface is up.
    Ready,
    /// The configuration is unusable, or an interface went down.
    Degraded,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            State::Booting => "booting",
            State::Ready => "ready",
            State::Degraded => "degraded",
        }
    }
}

/// How long backends have to take the last packets: many times what one needs to wake up.
const LAST_WORDS_NS: u64 = 50_000_000;

/// The guest, shared by its tasks and its loop.
pub(crate) struct Guest {
    /// Packets.
    pub(crate) lanes: &'static Lanes,
    /// Whom to tell that the backend of an interface broke the protocol.
    faults: RefCell<BTreeMap<InterfaceId, Signal<PeerFault>>>,
    /// What is said to backends about queues.
    pub(crate) talks: Talks,
    /// xenstore.
    pub(crate) store: Store,
    /// The control plane's timers.
    pub(crate) timers: Timers,
    /// The control plane's tasks.
    pub(crate) tasks: Tasks,
    /// The time-stamp counter at the first instruction.
    entered: u64,
    config_error: Option<ConfigError>,
    state: Cell<State>,
    /// How long it took until every interface was up, in us.
    ready_us: Cell<Option<u64>>,
    /// Set when the domain is to end.
    end: Cell<Option<Reason>>,
}

/// Makes a router as the ramdisk says if there is one, else as the command line does; where that
/// is wrong, one that forwards nothing.
pub(crate) fn configured_router(
    boot: &BootInfo,
    seed: u64,
    now: Instant,
) -> (Router, Option<ConfigError>) {
    let ramdisk = boot.ramdisk.as_ref().map(|file| file.bytes());
    let config = match ramdisk {
        Some(bytes) => router::config::from_ramdisk(bytes),
        None => router::config::from_extra(&command_line(boot)),
    };
    let configured = config.and_then(|config| {
        let mut router = Router::new(&config, seed, now);
        router.read_route_files(ramdisk.unwrap_or(&[]))?;
        Ok(router)
    });
    match configured {
        Ok(router) => (router, None),
        Err(error) => (Router::new(&Config::empty(), seed, now), Some(error)),
    }
}

/// The kernel's command line as text.
pub(crate) fn command_line(boot: &BootInfo) -> alloc::borrow::Cow<'static, str> {
    alloc::string::String::from_utf8_lossy(boot.command_line)
}

impl Guest {
    /// A guest with the data plane that `lanes` are, or one that forwards nothing because of
    /// an error in its configuration.
    pub(crate) fn new(
        lanes: &'static Lanes,
        store: Store,
        entered: u64,
        config_error: Option<ConfigError>,
    ) -> Rc<Self> {
        let state = if config_error.is_some() {
            State::Degraded
        } else {
            State::Booting
        };
        Rc::new(Self {
            lanes,
            faults: RefCell::default(),
            talks: Talks::default(),
            store,
            timers: Timers::new(XenClock),
            tasks: Tasks::new(),
            entered,
            config_error,
            state: Cell::new(state),
            ready_us: Cell::new(None),
            end: Cell::new(None),
        })
    }

    /// Spawns everything that the control plane does.
    pub(crate) fn start(self: &Rc<Self>) {
        let guest = Rc::clone(self);
        self.tasks.spawn(async move { guest.introduce().await });
        let guest = Rc::clone(self);
        self.tasks.spawn(async move { guest.obey_shutdown().await });
        let guest = Rc::clone(self);
        self.tasks.spawn(async move { guest.obey_commands().await });
        let guest = Rc::clone(self);
        self.tasks.spawn(async move {
            let start = |id| vif::run(Rc::clone(&guest), id);
            let error = xenbus::attach_devices(&guest.store, &guest.tasks, "vif", start).await;
            log::error!(target: "xenstore", "{error}; new vifs won't be noticed");
        });
    }

    /// Lets the router do what waits, and the control plane know what planes have for it. Whether
    /// there is more to do.
    pub(crate) fn serve(&self, now: u64) -> bool {
        let mut faults = Bounded::<_, FAULTS>::new();
        let mut busy = self.lanes.control(|control| {
            // What finds no room is asked for again.
            faults.extend(control.take_faults().take(FAULTS));
            control.serve(now)
        });
        for (interface, fault) in faults {
            self.fail(interface, fault);
            busy = true;
        }
        busy
    }

    /// Tells the control plane that the backend of an interface broke the protocol.
    pub(crate) fn fail(&self, interface: InterfaceId, fault: PeerFault) {
        if let Some(signal) = self.faults.borrow().get(&interface) {
            signal.raise(fault);
        }
    }

    /// Where it is to be told that the backend of an interface broke the protocol.
    pub(crate) fn watch_faults(&self, interface: InterfaceId, fault: &Signal<PeerFault>) {
        self.faults.borrow_mut().insert(interface, fault.clone());
    }

    /// How the domain is to end, once it is.
    pub(crate) fn end(&self) -> Option<Reason> {
        self.end.get()
    }

    /// Looks again whether every interface is up, and says so where that is news.
    pub(crate) fn links_changed(self: &Rc<Self>) {
        if self.config_error.is_some() {
            return;
        }
        let up = self.lanes.with(0, |_, router| router.all_links_up());
        let state = match (up, self.ready_us.get()) {
            (true, _) => State::Ready,
            (false, None) => State::Booting,
            (false, Some(_)) => State::Degraded,
        };
        if up && self.ready_us.get().is_none() {
            let took = kernel::time::since(self.entered) / 1000;
            self.ready_us.set(Some(took));
            let _ = writeln!(Console, "ringway: ready in {took} us");
        }
        if self.state.replace(state) != state {
            let guest = Rc::clone(self);
            self.tasks.spawn(async move { guest.publish_state().await });
        }
    }

    async fn introduce(self: Rc<Self>) {
        let status = match &self.config_error {
            None => "ok 0".to_string(),
            Some(error) => format!("error {}: {}", error.line, error.text),
        };
        self.write("version", env!("CARGO_PKG_VERSION")).await;
        self.write("config/status", &status).await;
        self.publish_state().await;
    }

    async fn publish_state(&self) {
        self.write("state", self.state.get().as_str()).await;
        if let Some(us) = self.ready_us.get() {
            self.write("boot-us", &us.to_string()).await;
        }
    }

    /// Writes one of the guest's own keys; failing that is worth a line in the log only.
    async fn write(&self, key: &str, value: &str) {
        if let Err(error) = self.store.write(&format!("{KEYS}/{key}"), value).await {
            log::warn!(target: "xenstore", "{KEYS}/{key}: {error}");
        }
    }

    async fn obey_shutdown(&self) {
        let listening = xenbus::Shutdown::listen(&self.store).await;
        if let Err(error) = xenbus::advertise_shutdown(&self.store).await {
            log::warn!(target: "xenstore", "control: {error}");
        }
        let mut shutdown = match listening {
            Ok(shutdown) => shutdown,
            Err(error) => {
                log::error!(target: "xenstore", "{error}; shutdown requests won't be heard");
                return;
            }
        };
        while let Ok(request) = shutdown.next().await {
            let reason = match request {
                ShutdownRequest::Poweroff | ShutdownRequest::Halt => Reason::PowerOff,
                ShutdownRequest::Reboot => Reason::Reboot,
                ShutdownRequest::Crash => Reason::Crash,
                ShutdownRequest::Suspend => {
                    log::warn!(target: "xenstore", "suspend isn't supported");
                    continue;
                }
            };
            let _ = writeln!(Console, "ringway: {request:?} requested");
            if reason != Reason::Crash {
                self.cease_advertising().await;
            }
            self.end.set(Some(reason));
        }
    }

    /// Tells hosts that the router is none any more, while the domain is still there to have its
    /// packets taken.
    async fn cease_advertising(&self) {
        let now = self.timers.now_ns();
        if self.lanes.control(|control| control.cease_advertising(now)) {
            self.timers.sleep(LAST_WORDS_NS).await;
        }
    }

    /// Runs what dom0 writes to `command`, and writes what it printed to `reply/0` and on,
    /// then the number of parts to `reply/done`.
    async fn obey_commands(&self) {
        let path = format!("{KEYS}/command");
        let mut watch = match self.store.watch(&path).await {
            Ok(watch) => watch,
            Err(error) => {
                log::error!(target: "xenstore", "{error}; commands won't be heard");
                return;
            }
        };
        while watch.changed().await.is_ok() {
            // Read and emptied as one, so that no command is lost and any may be repeated.
            let taken = self.store.transaction(async |tx| {
                let line = tx.read_optional(&path).await?.unwrap_or_default();
                if !line.trim_ascii().is_empty() {
                    tx.write(&path, "").await?;
                }
                Ok::<_, StoreError>(line)
            });
            let Ok(line) = taken.await else { continue };
            let line = alloc::string::String::from_utf8_lossy(line.trim_ascii()).to_string();
            if line.is_empty() {
                continue;
            }
            let _ = self.store.remove(&format!("{KEYS}/reply")).await;
            let mut reply = alloc::string::String::new();
            commands::run(self, &line, &mut reply);
            let mut parts = 0;
            let mut rest = reply.as_str();
            while !rest.is_empty() {
                let mut end = rest.len().min(REPLY_PART);
                while !rest.is_char_boundary(end) {
                    end -= 1;
                }
                let (part, after) = rest.split_at(end);
                self.write(&format!("reply/{parts}"), part).await;
                parts += 1;
                rest = after;
            }
            self.write("reply/done", &parts.to_string()).await;
        }
    }
}
