//! What the toolstack asks of the whole domain (`control/shutdown`, xenstore-paths).

use crate::keys::trim;
use xenstore::wire::Errno;
use xenstore::{Store, StoreError, Watch};

const REQUEST: &str = "control/shutdown";

/// A request of the toolstack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownRequest {
    /// End.
    Poweroff,
    /// End; some toolstacks say so where they mean poweroff.
    Halt,
    /// End, to be started again.
    Reboot,
    /// End as if crashed.
    Crash,
    /// Be saved or migrated.
    Suspend,
}

impl ShutdownRequest {
    /// Reads the key. `None` for one that is empty or unknown.
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

/// Writes which requests are understood to xenstore, for the toolstack. Not suspend: it would be waited for.
///
/// # Errors
/// [`StoreError`], but not if the toolstack doesn't let this domain say so.
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

/// Hears requests.
#[derive(Debug)]
pub struct Shutdown {
    store: Store,
    watch: Watch,
}

impl Shutdown {
    /// Begins to listen.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn listen(store: &Store) -> Result<Self, StoreError> {
        Ok(Self {
            store: store.clone(),
            watch: store.watch(REQUEST).await?,
        })
    }

    /// Waits for a request and acknowledges it, which is to empty the key.
    ///
    /// Suspend is returned but not acknowledged: a toolstack that gets no answer gives up and
    /// the domain goes on, one that gets an answer waits for the domain to be suspended.
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
                        "{REQUEST}: {:?} is not understood",
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
