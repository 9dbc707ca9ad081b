//! A vif's life: from its appearance in xenstore until it is removed.

use alloc::format;
use alloc::rc::Rc;

use router::InterfaceId;
use router::addr::Mac;
use router::config::Attachment;
use xenbus::{Device, DeviceError, XenbusState};

use crate::platform::with_router;
use crate::shared::Shared;
use crate::vif_connection::VifHandler;

/// The interface that is vif number `id`, if the configuration has one.
async fn interface_of(shared: &Shared, id: u32) -> Option<InterfaceId> {
    let mac = shared
        .store
        .read_string(&format!("device/vif/{id}/mac"))
        .await
        .ok();
    let mac = mac.and_then(|text| text.parse::<Mac>().ok());
    let is_it = |attachment: Attachment| match attachment {
        Attachment::Vif(number) => u32::from(number) == id,
        Attachment::Mac(wanted) => mac == Some(wanted),
        Attachment::Vlan { .. } | Attachment::Loopback => false,
    };
    let at = with_router(&*shared.platform, |router| {
        let mut interfaces = router.config().interfaces.iter();
        interfaces.position(|interface| is_it(interface.attachment))
    })?;
    u8::try_from(at).ok().map(InterfaceId)
}

/// Drives vif number `id` from now until it is removed.
pub(crate) async fn vif_task(shared: Rc<Shared>, id: u32) {
    if let Some(interface) = interface_of(&shared, id).await {
        let handler = VifHandler {
            shared: Rc::clone(&shared),
            interface,
        };
        xenbus::run_device(&shared.store, &shared.timers, "vif", id, handler).await;
    } else {
        log::info!(target: "net", "vif {id} isn't in the configuration and stays down");
        wait_until_removed(&shared, id).await;
    }
    log::info!(target: "net", "vif {id} is gone");
}

/// Leaves a vif alone until it is removed, but agrees when its backend closes: the toolstack
/// waits for that.
async fn wait_until_removed(shared: &Shared, id: u32) {
    let Ok(mut device) = Device::open(&shared.store, "vif", id).await else {
        return;
    };
    let mut closed = false;
    loop {
        match device.backend_state().await {
            Ok(XenbusState::Closing | XenbusState::Closed) if !closed => {
                closed = true;
                if device.switch(XenbusState::Closed).await.is_err() {
                    return;
                }
            }
            Err(DeviceError::Removed | DeviceError::Moved) => return,
            _ => {}
        }
        if device.changed().await.is_err() {
            return;
        }
    }
}
