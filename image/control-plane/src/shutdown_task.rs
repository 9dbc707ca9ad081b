//! Shutdown requests of the toolstack.

use alloc::format;
use alloc::rc::Rc;

use xenbus::{Shutdown, ShutdownRequest};

use crate::platform::{EndReason, with_data_plane};
use crate::shared::Shared;

/// The time for backends to process the final router advertisements, in ns: many times what a
/// wake-up takes.
pub(crate) const FINAL_RA_DRAIN_NS: u64 = 50_000_000;

/// Handles the requests in `control/shutdown`.
pub(crate) async fn shutdown_task(shared: Rc<Shared>) {
    let listening = Shutdown::listen(&shared.store).await;
    if let Err(error) = xenbus::advertise_shutdown(&shared.store).await {
        log::warn!(target: "xenstore", "control: {error}");
    }
    let mut shutdown = match listening {
        Ok(shutdown) => shutdown,
        Err(error) => {
            log::error!(target: "xenstore", "{error}; shutdown requests won't be noticed");
            return;
        }
    };
    while let Ok(request) = shutdown.next().await {
        let reason = match request {
            ShutdownRequest::Poweroff | ShutdownRequest::Halt => EndReason::PowerOff,
            ShutdownRequest::Reboot => EndReason::Reboot,
            ShutdownRequest::Crash => EndReason::Crash,
            ShutdownRequest::Suspend => {
                log::warn!(target: "xenstore", "suspend isn't supported");
                continue;
            }
        };
        let line = format!("ringway: {request:?} requested\n");
        shared.platform.write_console(&line);
        if reason != EndReason::Crash {
            cease_advertising(&shared).await;
        }
        shared.end.set(Some(reason));
    }
}

/// Sends final router advertisements (RFC 4861 6.2.5), and waits until backends have processed
/// them.
async fn cease_advertising(shared: &Shared) {
    let now = shared.timers.now_ns();
    let platform = &*shared.platform;
    if with_data_plane(platform, |data_plane| data_plane.cease_advertising(now)) {
        shared.timers.sleep(FINAL_RA_DRAIN_NS).await;
    }
}
