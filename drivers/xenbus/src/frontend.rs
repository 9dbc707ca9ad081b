//! The life of a frontend device.
//!
//! Both ends coordinate through a `state` key each (`io/xenbus.h`). The normal sequence, with
//! Linux's netback at the other end:
//!
//! | frontend | backend | |
//! |---|---|---|
//! | Initialising | InitWait | the backend has published its features |
//! | Connected | InitWait | [`Handler::connect`] has published rings; the backend maps them |
//! | Connected | Connected | [`Handler::established`] |
//! | Connected | Closing | unplug, or the backend ends: [`Handler::stop`] |
//! | Closing, Closed | Closed | nothing is mapped any more: [`Handler::disconnect`] |
//! | Initialising | InitWait | the next round, if the device is still wanted |
//!
//! A frontend in Initialising asks the backend to start again from whatever state it is in, so each
//! round starts with that. A backend may also close before it ever connects, vanish and come back
//! elsewhere, or have the whole device removed; each case is handled where it can occur, without
//! unnecessary waiting.

use alloc::string::ToString;
use core::fmt;

#[cfg(doc)]
use crate::backoff::MIN_BACKOFF_NS;
use crate::backoff::{Again, Backoff, MAX_BACKOFF_NS};
use crate::device::{Device, DeviceError};
use crate::state::XenbusState::{
    self, Closed, Closing, Connected, InitWait, Initialised, Initialising, Reconfigured,
    Reconfiguring, Unknown,
};
use executor::{Either, Signal, Timers, select};
use xenstore::{Store, StoreError};

/// The timeout for each step of closing, in ns.
pub const CLOSE_TIMEOUT_NS: u64 = 5_000_000_000;

/// A driver's callbacks for the stages of a device's life.
#[expect(
    async_fn_in_trait,
    reason = "tasks stay on one thread, so no bound on the futures"
)]
pub trait Handler {
    /// What exists while the device is connected: rings, pages, event channels.
    type Connection;
    /// The error when a connection can't be set up.
    type Error: fmt::Display;
    /// A fault of the backend that the data path may report.
    type Fault: fmt::Display;

    /// Negotiates, allocates, and publishes what the backend needs. The backend waits until this
    /// returns. On an error, everything has to be freed.
    ///
    /// `fault` is for the data path of this connection: raising it closes the device and, after a
    /// pause, connects it again. The data path must not use the connection afterwards.
    ///
    /// This isn't cancelled, so it should wait for nothing but answers from xenstore.
    async fn connect(
        &mut self,
        device: &Device,
        fault: &Signal<Self::Fault>,
    ) -> Result<Self::Connection, Self::Error>;

    /// Called when the backend is connected, too.
    fn established(&mut self, device: &Device, connection: &mut Self::Connection);

    /// Called when the data path must stop using the connection. The backend may still use its
    /// pages.
    fn stop(&mut self, connection: &mut Self::Connection);

    /// Frees everything. Normally the backend has unmapped the pages; if it hasn't (it vanished, or
    /// doesn't answer), ending a grant fails and the page must be kept.
    async fn disconnect(&mut self, connection: Self::Connection);
}

/// Why [`run_device`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The device was removed.
    Removed,
    /// The connection to xenstore is lost.
    StoreLost(StoreError),
}

/// The reason why a connection ended.
#[derive(Clone, Copy)]
enum Cause {
    /// The backend closed or started again.
    BackendClosed,
    /// Something failed on this side, or the data path found a fault.
    Fault,
    Device(DeviceError),
}

impl From<DeviceError> for Cause {
    fn from(error: DeviceError) -> Self {
        match error {
            // A request refused by xenstore says nothing about the device.
            DeviceError::Store(error) if !error.is_fatal() => Self::Fault,
            error => Self::Device(error),
        }
    }
}

/// Drives a device until it is removed.
///
/// A connection that has ended for any reason is set up again as long as the device exists: at once
/// if the backend asks for it the first time, otherwise after a pause between [`MIN_BACKOFF_NS`]
/// and [`MAX_BACKOFF_NS`].
///
/// If the connection to xenstore is lost, a working device continues until its data path raises a
/// fault.
pub async fn run_device<H: Handler>(
    store: &Store,
    timers: &Timers,
    kind: &str,
    id: u32,
    mut handler: H,
) -> Ended {
    let mut backoff = Backoff::default();
    loop {
        let device = match Device::open_once_valid(store, kind, id).await {
            Ok(device) => device,
            Err(DeviceError::Removed) => return Ended::Removed,
            Err(DeviceError::Store(error)) if error.is_fatal() => return Ended::StoreLost(error),
            Err(error) => {
                let pause_ns = backoff.after_failure();
                log::warn!(target: "xenbus", "{kind}/{id}: {error}; {}", Again(pause_ns));
                timers.sleep(pause_ns).await;
                continue;
            }
        };
        let mut machine = Machine {
            device,
            timers,
            handler: &mut handler,
            backoff: &mut backoff,
        };
        match machine.run().await {
            DeviceError::Removed => return Ended::Removed,
            DeviceError::Store(error) => return Ended::StoreLost(error),
            DeviceError::Moved | DeviceError::BackendGone => {}
        }
    }
}

struct Machine<'a, H: Handler> {
    device: Device,
    timers: &'a Timers,
    handler: &'a mut H,
    backoff: &'a mut Backoff,
}

impl<H: Handler> Machine<'_, H> {
    /// Connects and reconnects, until the device is no longer this one.
    async fn run(&mut self) -> DeviceError {
        loop {
            let cause = match self.round().await {
                Cause::Device(error @ (DeviceError::Removed | DeviceError::Moved)) => return error,
                Cause::Device(error @ DeviceError::Store(_)) => return error,
                cause => cause,
            };
            let pause_ns = match cause {
                Cause::Fault => self.backoff.after_failure(),
                Cause::BackendClosed | Cause::Device(_) => self.backoff.after_end(),
            };
            if pause_ns > 0 && self.backoff.complaint.is_empty() {
                log::info!(target: "xenbus", "{}: {}", self.device.name(), Again(pause_ns));
            }
            let not_before_ns = self.timers.now_ns().saturating_add(pause_ns);
            if let Err(error) = self.rest(not_before_ns).await {
                match Cause::from(error) {
                    Cause::Device(error) => return error,
                    // The store refused to answer: the pause is over all the same.
                    Cause::Fault | Cause::BackendClosed => {
                        self.timers.sleep_until(not_before_ns).await;
                    }
                }
            }
        }
    }

    /// Connects once, and returns when that is over and everything is given back.
    async fn round(&mut self) -> Cause {
        match self.wait_until_ready().await {
            Ok(true) => {}
            Ok(false) => return self.close(Cause::BackendClosed).await,
            Err(error) => return error.into(),
        }
        let fault = Signal::new();
        let mut connection = match self.handler.connect(&self.device, &fault).await {
            Ok(connection) => connection,
            Err(error) => {
                // It is retried repeatedly, so a persistent problem is logged once.
                let complaint = error.to_string();
                if self.backoff.complaint != complaint {
                    log::warn!(target: "xenbus", "{}: {complaint}", self.device.name());
                    self.backoff.complaint = complaint;
                }
                return self.close(Cause::Fault).await;
            }
        };
        let cause = match self.device.switch(Connected).await {
            Ok(()) => self.connected(&mut connection, &fault).await,
            Err(error) => self.failed(error),
        };
        if let Cause::Device(DeviceError::Store(_)) = cause {
            // Nobody can be told anything, but packets may still flow.
            let fault = fault.taken().await;
            log::warn!(target: "xenbus", "{}: {fault}", self.device.name());
        }
        self.handler.stop(&mut connection);
        let cause = self.close(cause).await;
        self.handler.disconnect(connection).await;
        cause
    }

    /// Starts a round. Returns `true` if the backend is ready, `false` if it is closing.
    async fn wait_until_ready(&mut self) -> Result<bool, DeviceError> {
        // The toolstack leaves a new device in this state.
        if self.device.frontend_state().await? != Initialising {
            self.device.switch(Initialising).await?;
        }
        loop {
            // A backend whose directory isn't there (any more) may still come.
            match self.device.backend_state().await {
                Ok(InitWait | Initialised) => return Ok(true),
                Ok(Closing) => return Ok(false),
                // Connected is what is left of an earlier life of this frontend; the backend
                // will notice that it began again.
                Ok(Unknown | Initialising | Connected | Closed | Reconfiguring | Reconfigured)
                | Err(DeviceError::BackendGone) => {}
                Err(error) => return Err(error),
            }
            self.device.changed().await?;
        }
    }

    /// Stays connected. Returns why that ended.
    async fn connected(
        &mut self,
        connection: &mut H::Connection,
        fault: &Signal<H::Fault>,
    ) -> Cause {
        let mut since_ns = None;
        let first = select(
            fault.taken(),
            self.follow_backend(connection, &mut since_ns),
        )
        .await;
        let cause = match first {
            Either::First(fault) => {
                log::warn!(target: "xenbus", "{}: {fault}; closing", self.device.name());
                Cause::Fault
            }
            Either::Second(Ok(state)) => {
                log::info!(target: "xenbus", "{}: backend is {state:?}", self.device.name());
                Cause::BackendClosed
            }
            Either::Second(Err(error)) => self.failed(error),
        };
        if since_ns.is_some_and(|ns| self.timers.now_ns().saturating_sub(ns) >= MAX_BACKOFF_NS) {
            self.backoff.reset();
        }
        cause
    }

    /// Watches the backend until it is not, or no longer, going to be connected.
    async fn follow_backend(
        &mut self,
        connection: &mut H::Connection,
        since_ns: &mut Option<u64>,
    ) -> Result<XenbusState, DeviceError> {
        loop {
            match self.device.backend_state().await? {
                Connected if since_ns.is_none() => {
                    *since_ns = Some(self.timers.now_ns());
                    log::info!(target: "xenbus", "{}: connected", self.device.name());
                    self.backoff.complaint.clear();
                    self.handler.established(&self.device, connection);
                }
                // Not there yet: this may wait for a hotplug script.
                InitWait | Initialised if since_ns.is_none() => {}
                // Nothing that a state says about this connection.
                Connected | Unknown | Reconfiguring | Reconfigured => {}
                // The end, or a new backend that knows nothing of this connection.
                state @ (Initialising | InitWait | Initialised | Closing | Closed) => {
                    return Ok(state);
                }
            }
            self.device.changed().await?;
        }
    }

    fn failed(&self, error: DeviceError) -> Cause {
        log::warn!(target: "xenbus", "{}: {error}; closing", self.device.name());
        error.into()
    }

    /// Goes through the closing states, as far as someone is there to see them. Afterwards
    /// the backend uses nothing of the connection any more, unless it is gone or broken.
    async fn close(&mut self, cause: Cause) -> Cause {
        match cause {
            // There is nothing to write to, or it belongs to a new backend.
            Cause::Device(DeviceError::Removed | DeviceError::Moved | DeviceError::Store(_)) => {
                return cause;
            }
            Cause::Device(DeviceError::BackendGone) | Cause::BackendClosed | Cause::Fault => {}
        }
        for (state, busy) in [
            (Closing, &[Connected][..]),
            (Closed, &[Connected, Closing, Initialised][..]),
        ] {
            let step = async {
                self.device.switch(state).await?;
                self.device
                    .wait_backend(|backend| !busy.contains(&backend))
                    .await
            };
            match select(step, self.timers.sleep(CLOSE_TIMEOUT_NS)).await {
                Either::First(Ok(_) | Err(DeviceError::BackendGone)) => {}
                Either::First(Err(error)) => {
                    if let error @ Cause::Device(_) = error.into() {
                        return error;
                    }
                }
                Either::Second(()) => log::warn!(
                    target: "xenbus",
                    "{}: backend doesn't respond to {state:?}",
                    self.device.name(),
                ),
            }
        }
        cause
    }

    /// Waits, closed, until the backend is there for another round.
    async fn rest(&mut self, not_before_ns: u64) -> Result<(), DeviceError> {
        loop {
            let willing = match self.device.backend_state().await {
                Ok(InitWait | Initialising | Initialised) => true,
                // It may be waiting for this side to begin, unless it is about to be removed.
                Ok(Closed | Connected) => self.device.backend_online().await?,
                Ok(Closing | Unknown | Reconfiguring | Reconfigured)
                | Err(DeviceError::BackendGone) => false,
                Err(error) => return Err(error),
            };
            if !willing {
                self.device.changed().await?;
            } else if self.timers.now_ns() >= not_before_ns {
                return Ok(());
            } else if let Either::First(changed) = select(
                self.device.changed(),
                self.timers.sleep_until(not_before_ns),
            )
            .await
            {
                changed?;
            }
        }
    }
}
