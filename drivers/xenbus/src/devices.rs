//! Which devices the toolstack gives the domain, at boot and later.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use executor::{Either, Signal, Tasks, select};
use xenstore::{Store, StoreError, Watch};

/// The devices of one kind.
#[derive(Debug)]
pub struct DeviceList {
    store: Store,
    path: String,
    watch: Watch,
}

impl DeviceList {
    /// Watches devices of a `kind` (such as `vif`).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(store: &Store, kind: &str) -> Result<Self, StoreError> {
        let path = format!("device/{kind}");
        let watch = store.watch(&path).await?;
        Ok(Self {
            store: store.clone(),
            path,
            watch,
        })
    }

    /// The numbers of the devices that exist now, in ascending order. Names that are no numbers are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn current(&self) -> Result<Vec<u32>, StoreError> {
        let names = match self.store.directory(&self.path).await {
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            names => names?,
        };
        let mut ids = Vec::new();
        for id in names.iter().filter_map(|name| parse_id(name)) {
            if let Err(at) = ids.binary_search(&id) {
                ids.insert(at, id);
            }
        }
        Ok(ids)
    }

    /// Waits until the devices, or something about them, may have changed; returns at once
    /// the first time.
    ///
    /// # Errors
    /// [`StoreError`] if the connection is lost.
    pub async fn changed(&mut self) -> Result<(), StoreError> {
        self.watch.changed().await
    }
}

/// A device's number, written the one way that names its directory.
fn parse_id(name: &str) -> Option<u32> {
    let plain = name.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = name == "0" || !name.starts_with('0');
    if plain && canonical {
        name.parse().ok()
    } else {
        None
    }
}

/// Spawns `start(id)` for every device of a `kind`, those there now and those that come.
///
/// What `start` gives should end when the device is removed ([`crate::run_device`] does); if
/// a device of the same number exists then, it is started again. Returns only when the
/// connection to xenstore is lost.
pub async fn attach_devices<F: Future<Output = ()> + 'static>(
    store: &Store,
    tasks: &Tasks,
    kind: &str,
    mut start: impl FnMut(u32) -> F,
) -> StoreError {
    let mut list = match DeviceList::open(store, kind).await {
        Ok(list) => list,
        Err(error) => return error,
    };
    let running = Rc::new(RefCell::new(Vec::new()));
    let ended = Signal::new();
    loop {
        match list.current().await {
            Ok(present) => {
                for id in present {
                    if running.borrow().contains(&id) {
                        continue;
                    }
                    running.borrow_mut().push(id);
                    let (running, ended, device) = (Rc::clone(&running), ended.clone(), start(id));
                    tasks.spawn(async move {
                        device.await;
                        running.borrow_mut().retain(|&other| other != id);
                        ended.raise(());
                    });
                }
            }
            Err(error) if error.is_fatal() => return error,
            Err(error) => log::warn!(target: "xenbus", "device/{kind}: {error}"),
        }
        if let Either::Second(Err(error)) = select(ended.taken(), list.changed()).await {
            return error;
        }
    }
}
