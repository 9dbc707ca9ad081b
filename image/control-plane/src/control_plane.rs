//! The control plane as the machine's loop sees it.

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
/// A loop calls [`ControlPlane::turn`] when xenstore's event came or [`ControlPlane::is_due`] says so,
/// [`ControlPlane::serve`] when a worker has something for it, [`ControlPlane::read_console`] when
/// something was typed, and sleeps no longer than [`ControlPlane::next_deadline`].
pub struct ControlPlane {
    shared: Rc<Shared>,
    prompt: Prompt,
}

impl ControlPlane {
    /// Starts it: from now on it does what the toolstack and dom0 ask for in xenstore, and connects
    /// the vifs that the router's configuration has.
    ///
    /// `config_error` says why the configuration can't be used; the router is then one that forwards
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

    /// Lets tasks go on with what came from xenstore, and sends what they say. Returns `true` if
    /// there may be more to do at once.
    pub fn turn(&self) -> bool {
        let Shared {
            store,
            timers,
            tasks,
            ..
        } = &*self.shared;
        xenstore::turn(store, timers, tasks)
    }

    /// Returns `true` if [`ControlPlane::turn`] has something to do at `now`, in ns, even without an
    /// event of xenstore's.
    #[must_use]
    pub fn is_due(&self, now: u64) -> bool {
        self.next_deadline().is_some_and(|at| at <= now) || self.shared.tasks.is_woken()
    }

    /// When [`ControlPlane::turn`] is due whatever comes, in ns.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.shared.timers.next_deadline()
    }

    /// Lets the router do what waits, and tasks know what workers have for them. Returns `true` if
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

    /// Goes on with what is said to backends about queues, where one has answered. Costs nothing
    /// where nothing is being said.
    pub fn poll_rss(&self) {
        let shared = &self.shared;
        shared.rss.poll(|vif, fault| shared.raise_fault(vif, fault));
    }

    /// Adds the event channels by which answers to [`ControlPlane::poll_rss`] are told.
    pub fn add_rss_ports<const N: usize>(&self, ports: &mut Bounded<u32, N>) {
        self.shared.rss.add_ports(ports);
    }

    /// Takes what was typed on the console, and runs the lines that are complete.
    pub fn read_console(&mut self) {
        self.prompt.turn(&*self.shared.platform);
    }

    /// Returns how the domain is to end. `None` until it was asked to.
    #[must_use]
    pub fn end(&self) -> Option<EndReason> {
        self.shared.end.get()
    }
}
