//! The shared state of the control plane's tasks.

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use control_api::{Key, State};
use executor::{Clock, Signal, Tasks, Timers};
use netfront_rs::PeerFault;
use router::{ConfigError, InterfaceId, MAX_VIFS};
use xenstore::Store;

use crate::platform::{EndReason, Platform, with_router};
use crate::queue_budget::{channels_for, queues_each};
use crate::rss::RssSessions;

/// The machine's clock, for timers.
struct PlatformClock(Rc<dyn Platform>);

impl Clock for PlatformClock {
    fn now_ns(&self) -> u64 {
        self.0.now_ns()
    }
}

/// The control plane's state, shared by its tasks and its loop.
pub(crate) struct Shared {
    pub(crate) platform: Rc<dyn Platform>,
    pub(crate) store: Store,
    pub(crate) timers: Timers,
    pub(crate) tasks: Tasks,
    /// Event channels that all vifs have together.
    event_channels: usize,
    /// The receive-side scaling sessions.
    pub(crate) rss: RssSessions,
    /// The signals for protocol violations of the backends of interfaces.
    faults: RefCell<Vec<(InterfaceId, Signal<PeerFault>)>>,
    /// The error in the configuration, if any.
    pub(crate) config_error: Option<ConfigError>,
    /// The warnings about the links' MTUs; empty if there are none.
    pub(crate) mtu_warning: RefCell<String>,
    pub(crate) state: Cell<State>,
    /// The time until every interface was up, in us.
    pub(crate) ready_us: Cell<Option<u64>>,
    /// Set when the domain should end.
    pub(crate) end: Cell<Option<EndReason>>,
}

impl Shared {
    /// Creates the state of a guest that starts, or one that forwards nothing because of an error
    /// in its configuration.
    pub(crate) fn new(
        platform: Rc<dyn Platform>,
        store: Store,
        config_error: Option<ConfigError>,
    ) -> Rc<Self> {
        let state = if config_error.is_some() {
            State::Degraded
        } else {
            State::Booting
        };
        let most = channels_for(MAX_VIFS, platform.workers());
        let event_channels = platform.free_event_channels(most);
        Rc::new(Self {
            timers: Timers::new(PlatformClock(Rc::clone(&platform))),
            platform,
            store,
            event_channels,
            tasks: Tasks::new(),
            rss: RssSessions::new(),
            faults: RefCell::default(),
            config_error,
            mtu_warning: RefCell::default(),
            state: Cell::new(state),
            ready_us: Cell::new(None),
            end: Cell::new(None),
        })
    }

    /// How many queues a vif may have, so that there is enough for all that are configured.
    pub(crate) fn queues_each(&self) -> usize {
        let vifs = with_router(&*self.platform, |router| router.config().vifs());
        queues_each(vifs, self.event_channels)
    }

    /// Notifies the task of an interface that its backend violated the protocol.
    pub(crate) fn raise_fault(&self, interface: InterfaceId, fault: PeerFault) {
        let faults = self.faults.borrow();
        if let Some((_, signal)) = faults.iter().find(|(id, _)| *id == interface) {
            signal.raise(fault);
        }
    }

    /// Sets the signal for [`Shared::raise_fault`] of an interface.
    pub(crate) fn watch_faults(&self, interface: InterfaceId, fault: &Signal<PeerFault>) {
        let mut faults = self.faults.borrow_mut();
        faults.retain(|(id, _)| *id != interface);
        faults.push((interface, fault.clone()));
    }

    /// Writes one of the guest's own keys. A failure is only logged.
    pub(crate) async fn write(&self, key: Key, value: &str) {
        let key = key.to_string();
        if let Err(error) = self.store.write(&key, value).await {
            log::warn!(target: "xenstore", "{key}: {error}");
        }
    }
}
