//! The control plane's interface to the main loop.

use alloc::rc::Rc;

use heapless::Vec as Bounded;
use router::ConfigError;
use xenstore::Store;

use crate::command_task::command_task;
use crate::console::Prompt;
use crate::platform::{EndReason, Platform, with_data_plane, with_router};
use crate::publish::publish_identity;
use crate::shared::Shared;
use crate::shutdown_task::shutdown_task;
use crate::vif_task::vif_task;

/// The control plane: its tasks, and the prompt on the console.
///
/// The main loop calls [`ControlPlane::turn`] after an event of xenstore or when
/// [`ControlPlane::is_due`] returns `true`, [`ControlPlane::serve`] when a worker needs it, and
/// [`ControlPlane::read_console`] when there is console input, and sleeps no longer than
/// [`ControlPlane::next_deadline`].
pub struct ControlPlane {
    shared: Rc<Shared>,
    prompt: Prompt,
}

impl ControlPlane {
    /// Starts the control plane: it handles requests of the toolstack and dom0 in xenstore, and
    /// connects the vifs of the router's configuration.
    ///
    /// `config_error` is the reason why the configuration is invalid; the router then forwards
    /// nothing.
    pub fn start(
        platform: Rc<dyn Platform>,
        store: Store,
        config_error: Option<ConfigError>,
    ) -> Self {
        let prompt = with_router(&*platform, |router| Prompt::new(&router.config().hostname));
        let shared = Shared::new(platform, store, config_error);
        let tasks = &shared.tasks;
        tasks.spawn(publish_identity(Rc::clone(&shared)));
        tasks.spawn(shutdown_task(Rc::clone(&shared)));
        tasks.spawn(command_task(Rc::clone(&shared)));
        let this = Rc::clone(&shared);
        tasks.spawn(async move {
            let start = |id| vif_task(Rc::clone(&this), id);
            let Shared {
                store,
                timers,
                tasks,
                ..
            } = &*this;
            let error = xenbus::attach_devices(store, tasks, timers, "vif", start).await;
            log::error!(target: "xenstore", "{error}; new vifs won't be noticed");
        });
        Self { shared, prompt }
    }

    /// Runs the tasks, and exchanges messages with xenstore. Returns `true` if there may be more to
    /// do immediately.
    pub fn turn(&self) -> bool {
        let Shared {
            store,
            timers,
            tasks,
            ..
        } = &*self.shared;
        xenstore::turn(store, timers, tasks)
    }

    /// Returns `true` if [`ControlPlane::turn`] is due at `now`, in ns, even without an event of
    /// xenstore.
    #[must_use]
    pub fn is_due(&self, now: u64) -> bool {
        self.next_deadline().is_some_and(|at| at <= now) || self.shared.tasks.is_woken()
    }

    /// Returns when [`ControlPlane::turn`] is due even without an event, in ns.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.shared.timers.next_deadline()
    }

    /// Runs the router's slow path, and passes faults from workers to tasks. Returns `true` if
    /// there is more to do.
    pub fn serve(&self, now: u64) -> bool {
        let (mut busy, faults) = with_data_plane(&*self.shared.platform, |data_plane| {
            let faults = data_plane.take_faults();
            (data_plane.serve(now), faults)
        });
        for (interface, fault) in faults {
            self.shared.raise_fault(interface, fault);
            busy = true;
        }
        busy
    }

    /// Continues the configuration of receive-side scaling where a backend has answered. Costs
    /// nothing otherwise.
    pub fn poll_rss(&self) {
        let shared = &self.shared;
        shared.rss.poll(|vif, fault| shared.raise_fault(vif, fault));
    }

    /// Adds the event channels that [`ControlPlane::poll_rss`] waits for.
    pub fn add_rss_ports<const N: usize>(&self, ports: &mut Bounded<u32, N>) {
        self.shared.rss.add_ports(ports);
    }

    /// Reads console input, and runs complete lines.
    pub fn read_console(&mut self) {
        self.prompt.turn(&*self.shared.platform);
    }

    /// Returns how the domain should end; `None` until that is requested.
    #[must_use]
    pub fn end(&self) -> Option<EndReason> {
        self.shared.end.get()
    }
}
