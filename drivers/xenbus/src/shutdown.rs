//! Shutdown requests of the toolstack (`control/shutdown`, see xenstore-paths).

use crate::keys::trim;
use xenstore::wire::Errno;
use xenstore::{Store, StoreError, Watch};

const REQUEST: &str = "control/shutdown";

/// A request of the toolstack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownRequest {
    /// Power off.
    Poweroff,
    /// Halt, which some toolstacks use for poweroff.
    Halt,
    /// Reboot.
    Reboot,
    /// Crash.
    Crash,
    /// Suspend, to be saved or migrated.
    Suspend,
}

impl ShutdownRequest {
    /// Parses the key's value. Returns `None` if it is empty or unknown.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        match trim(value) {
            b"poweroff" => Some(Self::Poweroff),
            b"halt" => Some(Self::Halt),
            b"reboot" => Some(Self::Reboot),
            b"crash" => Some(Self::Crash),
            b"suspend" => Some(Self::Suspend),
            _ => None,
        }
    }
}

/// Announces the supported requests to the toolstack in xenstore. Suspend isn't announced, as the
/// toolstack would wait for it.
///
/// # Errors
/// [`StoreError`], but not if the toolstack doesn't let this domain write the keys.
pub async fn advertise_shutdown(store: &Store) -> Result<(), StoreError> {
    for key in ["control/feature-poweroff", "control/feature-reboot"] {
        match store.write(key, "1").await {
            Err(StoreError::Refused(Errno::Access | Errno::Permission | Errno::ReadOnly)) => {
                log::debug!(target: "xenbus", "{key} may not be written");
            }
            result => result?,
        }
    }
    Ok(())
}

/// Receives shutdown requests.
#[derive(Debug)]
pub struct Shutdown {
    store: Store,
    watch: Watch,
}

impl Shutdown {
    /// Starts to watch for requests.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn listen(store: &Store) -> Result<Self, StoreError> {
        Ok(Self {
            store: store.clone(),
            watch: store.watch(REQUEST).await?,
        })
    }

    /// Waits for a request and acknowledges it by emptying the key.
    ///
    /// Suspend is returned but not acknowledged: without an acknowledgment the toolstack gives up
    /// and the domain continues, with one it waits for the domain to be suspended.
    ///
    /// # Errors
    /// [`StoreError`] if the connection is lost.
    pub async fn next(&mut self) -> Result<ShutdownRequest, StoreError> {
        loop {
            self.watch.changed().await?;
            match self.take().await {
                Ok(Some(request)) => return Ok(request),
                Ok(None) => {}
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) => log::warn!(target: "xenbus", "{REQUEST}: {error}"),
            }
        }
    }

    async fn take(&self) -> Result<Option<ShutdownRequest>, StoreError> {
        let taken = self
            .store
            .transaction(async |tx| {
                let value = tx.read_optional(REQUEST).await?.unwrap_or_default();
                let request = ShutdownRequest::parse(&value);
                match request {
                    None if !trim(&value).is_empty() => log::warn!(
                        target: "xenbus",
                        "{REQUEST}: unknown request {:?}",
                        alloc::string::String::from_utf8_lossy(&value),
                    ),
                    None | Some(ShutdownRequest::Suspend) => {}
                    Some(_) => tx.write(REQUEST, "").await?,
                }
                Ok::<_, StoreError>(request)
            })
            .await;
        match taken {
            // The request counts, even where it can't be acknowledged.
            Err(StoreError::Refused(_) | StoreError::Conflict) => {
                let value = self.store.read_optional(REQUEST).await?.unwrap_or_default();
                Ok(ShutdownRequest::parse(&value))
            }
            taken => taken,
        }
    }
}
