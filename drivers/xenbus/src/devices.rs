//! The devices that the toolstack attaches to the domain.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use executor::{Either, Signal, Tasks, Timers, select};
use xen_hal::DomId;
use xenstore::{Store, StoreError, Watch};

use crate::backoff::{Backoff, MAX_BACKOFF_NS};
use crate::device::backend_of;

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

    /// Returns the numbers of the existing devices, in ascending order. Other names are ignored.
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

    /// Waits until the devices, or anything about them, may have changed. Returns immediately the
    /// first time.
    ///
    /// # Errors
    /// [`StoreError`] if the connection is lost.
    pub async fn changed(&mut self) -> Result<(), StoreError> {
        self.watch.changed().await
    }
}

/// Parses a device's number in its canonical form, as used for its directory.
fn parse_id(name: &str) -> Option<u32> {
    let plain = name.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = name == "0" || !name.starts_with('0');
    if plain && canonical {
        name.parse().ok()
    } else {
        None
    }
}

/// Returns the domains and directories of the backends of all devices of a `kind`. Devices with
/// incomplete keys are omitted, and all of them if xenstore fails.
pub async fn backends(store: &Store, kind: &str) -> Vec<(DomId, String)> {
    let path = format!("device/{kind}");
    let mut backends = Vec::new();
    for name in store.directory(&path).await.unwrap_or_default() {
        if let Ok((Some(backend), Some(domain))) =
            backend_of(store, &format!("{path}/{name}")).await
        {
            backends.push((domain, backend));
        }
    }
    backends
}

/// A device that was started.
struct Started {
    id: u32,
    /// When, in ns, if it still runs.
    running_since_ns: Option<u64>,
    /// When it may be started again, in ns.
    not_before_ns: u64,
    backoff: Backoff,
}

/// Spawns `start(id)` for every device of a `kind`, now and whenever one is attached.
///
/// The future returned by `start` should complete when the device is removed, as
/// [`crate::run_device`] does. If a device with the same number exists then, it is started again:
/// at once the first time, otherwise after a pause between
/// [`MIN_BACKOFF_NS`](crate::MIN_BACKOFF_NS) and [`MAX_BACKOFF_NS`]. Returns only when the
/// connection to xenstore is lost.
pub async fn attach_devices<F: Future<Output = ()> + 'static>(
    store: &Store,
    tasks: &Tasks,
    timers: &Timers,
    kind: &str,
    mut start: impl FnMut(u32) -> F,
) -> StoreError {
    let mut list = match DeviceList::open(store, kind).await {
        Ok(list) => list,
        Err(error) => return error,
    };
    let mut started = Vec::<Started>::new();
    // Those that ended since this was last looked at.
    let over = Rc::new(RefCell::new(Vec::new()));
    let ended = Signal::new();
    loop {
        let now_ns = timers.now_ns();
        for it in &mut started {
            if over.borrow().contains(&it.id)
                && let Some(since_ns) = it.running_since_ns.take()
            {
                if now_ns.saturating_sub(since_ns) >= MAX_BACKOFF_NS {
                    it.backoff.reset();
                }
                it.not_before_ns = now_ns.saturating_add(it.backoff.after_end());
            }
        }
        over.borrow_mut().clear();
        match list.current().await {
            Ok(present) => {
                // A new device of that number begins again.
                started.retain(|it| it.running_since_ns.is_some() || present.contains(&it.id));
                for id in present {
                    let at = started.iter().position(|it| it.id == id);
                    let at = at.unwrap_or_else(|| {
                        started.push(Started {
                            id,
                            running_since_ns: None,
                            not_before_ns: 0,
                            backoff: Backoff::default(),
                        });
                        started.len() - 1
                    });
                    let Some(it) = started.get_mut(at) else {
                        continue;
                    };
                    if it.running_since_ns.is_some() || it.not_before_ns > now_ns {
                        continue;
                    }
                    it.running_since_ns = Some(now_ns);
                    let (over, ended, device) = (Rc::clone(&over), ended.clone(), start(id));
                    tasks.spawn(async move {
                        device.await;
                        over.borrow_mut().push(id);
                        ended.raise(());
                    });
                }
            }
            Err(error) if error.is_fatal() => return error,
            Err(error) => log::warn!(target: "xenbus", "device/{kind}: {error}"),
        }
        let resting = started.iter().filter(|it| it.running_since_ns.is_none());
        let next_ns = resting.map(|it| it.not_before_ns).min();
        let timeout = async {
            match next_ns {
                Some(at_ns) => timers.sleep_until(at_ns).await,
                None => core::future::pending().await,
            }
        };
        match select(select(ended.taken(), list.changed()), timeout).await {
            Either::First(Either::Second(Err(error))) => return error,
            Either::First(_) | Either::Second(()) => {}
        }
    }
}
