//! A frontend device in xenstore.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::task::{Context, Poll};

use xen_hal::DomId;

use crate::keys::{Keys, trim};
use crate::state::XenbusState;
use executor::join_all;
use xenstore::wire::{ABS_PATH_MAX, Errno};
use xenstore::{Store, StoreError, Watch};

/// Ids from here on name no real domain (`DOMID_FIRST_RESERVED`, xen.h).
const FIRST_RESERVED: u16 = 0x7ff0;
/// Room for a key after the backend's path.
const KEY_MAX: usize = 128;

/// The reason why a device can't be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The device doesn't exist.
    Removed,
    /// A key of the toolstack is missing or malformed.
    Malformed(&'static str),
    /// xenstore failed.
    Store(StoreError),
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("no such device"),
            Self::Malformed(key) => write!(f, "key {key} is missing or malformed"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

/// The reason why a device can no longer be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// The device itself was removed.
    Removed,
    /// It has another backend now.
    Moved,
    /// The backend's directory vanished.
    BackendGone,
    /// xenstore failed.
    Store(StoreError),
}

impl From<StoreError> for DeviceError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("the device was removed"),
            Self::Moved => f.write_str("the device has another backend now"),
            Self::BackendGone => f.write_str("the backend vanished"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for DeviceError {}

/// A frontend device, with its directory and its backend's.
#[derive(Debug)]
pub struct Device {
    store: Store,
    name: String,
    frontend: String,
    backend: String,
    backend_id: DomId,
    /// On the key that names the backend: tells of a new one, and of removal.
    frontend_watch: Watch,
    /// On the key with the backend's domain, which may change alone.
    domain_watch: Watch,
    /// On all of the backend's directory, since its removal must be seen too.
    backend_watch: Watch,
}

impl Device {
    /// Opens device `id` of a `kind` (such as `vif`).
    ///
    /// # Errors
    /// [`OpenError`]. With [`OpenError::Malformed`] it may become usable later.
    pub async fn open(store: &Store, kind: &str, id: u32) -> Result<Self, OpenError> {
        let name = format!("{kind}/{id}");
        let frontend = format!("device/{name}");
        let (backend, backend_id) = backend_of(store, &frontend).await?;
        let Some(backend) = backend else {
            return match store.read(&frontend).await {
                Err(StoreError::Refused(Errno::NoEntry)) => Err(OpenError::Removed),
                _ => Err(OpenError::Malformed("backend")),
            };
        };
        let backend_id = backend_id.ok_or(OpenError::Malformed("backend-id"))?;
        let paths = [
            format!("{frontend}/backend"),
            format!("{frontend}/backend-id"),
            backend.clone(),
        ];
        let mut watches = join_all(paths.iter().map(|path| store.watch(path)))
            .await
            .into_iter();
        let mut next = || watches.next().unwrap_or(Err(StoreError::Malformed));
        Ok(Self {
            store: store.clone(),
            name,
            frontend,
            backend,
            backend_id,
            frontend_watch: next()?,
            domain_watch: next()?,
            backend_watch: next()?,
        })
    }

    /// Opens device `id` of a `kind`, waiting for the toolstack if its keys are incomplete.
    ///
    /// # Errors
    /// [`DeviceError::Removed`], [`DeviceError::Store`].
    pub async fn open_once_valid(store: &Store, kind: &str, id: u32) -> Result<Self, DeviceError> {
        let opened = |result| match result {
            Ok(device) => Ok(Ok(device)),
            Err(OpenError::Malformed(key)) => Ok(Err(key)),
            Err(OpenError::Removed) => Err(DeviceError::Removed),
            Err(OpenError::Store(error)) => Err(error.into()),
        };
        let key = match opened(Self::open(store, kind, id).await)? {
            Ok(device) => return Ok(device),
            Err(key) => key,
        };
        log::warn!(target: "xenbus", "{kind}/{id}: waiting for a valid {key}");
        let mut watch = store.watch(&format!("device/{kind}/{id}")).await?;
        loop {
            watch.changed().await?;
            if let Ok(device) = opened(Self::open(store, kind, id).await)? {
                return Ok(device);
            }
        }
    }

    /// Returns its name in messages, such as `vif/0`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the connection to xenstore.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the backend's domain, to which pages are granted.
    #[must_use]
    pub fn backend_id(&self) -> DomId {
        self.backend_id
    }

    /// Returns the path of one of the frontend's keys.
    #[must_use]
    pub fn frontend_path(&self, key: &str) -> String {
        format!("{}/{key}", self.frontend)
    }

    /// Returns the path of one of the backend's keys.
    #[must_use]
    pub fn backend_path(&self, key: &str) -> String {
        format!("{}/{key}", self.backend)
    }

    /// Reads keys of the frontend, in one round trip.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn frontend_keys(&self, keys: &[&str]) -> Result<Keys, StoreError> {
        Keys::read(&self.store, &self.frontend, keys).await
    }

    /// Reads keys of the backend, in one round trip.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn backend_keys(&self, keys: &[&str]) -> Result<Keys, StoreError> {
        Keys::read(&self.store, &self.backend, keys).await
    }

    /// Writes keys of the frontend in one transaction; `None` removes a key and everything below
    /// it. Keys are written in order, and may be in directories of the frontend (`queue-0/…`),
    /// which are created.
    ///
    /// A frontend that has been removed meanwhile is not recreated.
    ///
    /// # Errors
    /// [`DeviceError::Removed`], [`DeviceError::Store`].
    pub async fn write_all(
        &self,
        keys: &[(impl AsRef<str>, Option<String>)],
    ) -> Result<(), DeviceError> {
        self.store
            .transaction(async |tx| {
                // All sent before the first answer comes; a failure discards the rest.
                let done = join_all(core::iter::once(None).chain(keys.iter().map(Some)).map(
                    async |change| match change {
                        None => tx.read(&self.frontend).await.map(drop),
                        Some((key, Some(value))) => {
                            tx.write(&self.frontend_path(key.as_ref()), value).await
                        }
                        Some((key, None)) => tx.remove(&self.frontend_path(key.as_ref())).await,
                    },
                ))
                .await;
                if let Some(Err(StoreError::Refused(Errno::NoEntry))) = done.first() {
                    return Err(DeviceError::Removed);
                }
                for change in done {
                    change?;
                }
                Ok(())
            })
            .await
    }

    /// Publishes the frontend's state.
    ///
    /// # Errors
    /// [`DeviceError::Removed`], [`DeviceError::Store`].
    pub async fn switch(&self, state: XenbusState) -> Result<(), DeviceError> {
        log::debug!(target: "xenbus", "{}: to state {state:?}", self.name);
        self.write_all(&[("state", Some(state.to_string()))]).await
    }

    /// Returns the state that the frontend has in the store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn frontend_state(&self) -> Result<XenbusState, StoreError> {
        let keys = self.frontend_keys(&["state"]).await?;
        Ok(XenbusState::parse(keys.raw("state").unwrap_or_default()))
    }

    /// Returns the backend's state. A missing or malformed key is [`XenbusState::Unknown`].
    ///
    /// # Errors
    /// [`DeviceError`] if the device has changed since it was opened.
    pub async fn backend_state(&self) -> Result<XenbusState, DeviceError> {
        let paths = [
            self.frontend_path("backend"),
            self.frontend_path("backend-id"),
            self.backend_path("state"),
        ];
        let mut values = join_all(paths.iter().map(|path| self.store.read_optional(path))).await;
        let mut next = || values.pop().unwrap_or(Ok(None));
        let (state, backend_id, backend) = (next()?, next()?, next()?);
        if backend.as_deref().and_then(parse_backend).as_ref() != Some(&self.backend)
            || backend_id.as_deref().and_then(parse_backend_id) != Some(self.backend_id)
        {
            return match self.store.read(&self.frontend).await {
                Err(StoreError::Refused(Errno::NoEntry)) => Err(DeviceError::Removed),
                Err(error) if !error.is_missing() => Err(error.into()),
                _ => Err(DeviceError::Moved),
            };
        }
        if let Some(state) = state {
            return Ok(XenbusState::parse(&state));
        }
        match self.store.read_optional(&self.backend).await? {
            Some(_) => Ok(XenbusState::Unknown),
            None => Err(DeviceError::BackendGone),
        }
    }

    /// Returns `true` if the toolstack wants the device to exist (`online`): a backend that closes
    /// while it is online may come back, otherwise the device is about to be removed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn backend_online(&self) -> Result<bool, StoreError> {
        let keys = self.backend_keys(&["online"]).await?;
        Ok(keys.flag("online").unwrap_or(false))
    }

    /// Waits until something about the device may have changed.
    ///
    /// # Errors
    /// [`StoreError`] if the connection is lost.
    pub async fn changed(&mut self) -> Result<(), StoreError> {
        core::future::poll_fn(|cx| self.poll_changed(cx)).await
    }

    fn poll_changed(&mut self, cx: &Context<'_>) -> Poll<Result<(), StoreError>> {
        // Poll all of them, so that each registers the task and none is reported twice.
        let all = [
            self.frontend_watch.poll_changed(cx),
            self.domain_watch.poll_changed(cx),
            self.backend_watch.poll_changed(cx),
        ];
        let ready = all.into_iter().find(Poll::is_ready);
        ready.unwrap_or(Poll::Pending)
    }

    /// Waits until the backend is in a state that `want` accepts, and returns the state.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has changed since it was opened.
    pub async fn wait_backend(
        &mut self,
        mut want: impl FnMut(XenbusState) -> bool,
    ) -> Result<XenbusState, DeviceError> {
        loop {
            let state = self.backend_state().await?;
            if want(state) {
                return Ok(state);
            }
            self.changed().await?;
        }
    }
}

/// Returns the directory and the domain of the backend of a device, which has its own directory in
/// `frontend`. `None` for what is missing or makes no sense.
pub(crate) async fn backend_of(
    store: &Store,
    frontend: &str,
) -> Result<(Option<String>, Option<DomId>), StoreError> {
    let keys = Keys::read(store, frontend, &["backend", "backend-id"]).await?;
    Ok((
        keys.raw("backend").and_then(parse_backend),
        keys.raw("backend-id").and_then(parse_backend_id),
    ))
}

fn parse_backend(value: &[u8]) -> Option<String> {
    let path = core::str::from_utf8(trim(value)).ok()?;
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic());
    (path.starts_with('/') && path.len() + KEY_MAX <= ABS_PATH_MAX && plain)
        .then(|| path.trim_end_matches('/').to_string())
        .filter(|path| !path.is_empty())
}

fn parse_backend_id(value: &[u8]) -> Option<DomId> {
    let id = core::str::from_utf8(trim(value)).ok()?.parse().ok()?;
    (id < FIRST_RESERVED).then_some(DomId(id))
}
