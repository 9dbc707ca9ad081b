//! A vif's life: from its appearance in xenstore until it is removed.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;

use executor::{Either, select};
use router::InterfaceId;
use router::addr::Mac;
use router::config::Attachment;
use xenbus::{Device, DeviceError, XenbusState};

use crate::platform::with_router;
use crate::shared::Shared;
use crate::vif_connection::VifHandler;

/// Returns the interface that is vif number `id`, if the configuration has one.
async fn configured(shared: &Shared, id: u32) -> Option<InterfaceId> {
    let mac = shared.store.read_string(&mac_key(id)).await.ok();
    let mac = mac.and_then(|text| text.trim().parse::<Mac>().ok());
    let is_it = |attachment: Attachment| match attachment {
        Attachment::Vif(number) => u32::from(number) == id,
        Attachment::Mac(wanted) => mac == Some(wanted),
        Attachment::Vlan { .. } | Attachment::Loopback => false,
    };
    with_router(&*shared.platform, |router| {
        let interfaces = router.config().interfaces.iter();
        let mut interfaces = interfaces.zip(router.interface_ids());
        let found = interfaces.find(|(interface, _)| is_it(interface.attachment));
        found.map(|(_, id)| id)
    })
}

fn mac_key(id: u32) -> String {
    format!("device/vif/{id}/mac")
}

/// Drives vif number `id` until it is removed.
pub(crate) async fn vif_task(shared: Rc<Shared>, id: u32) {
    if let Some(interface) = interface_of(&shared, id).await {
        let handler = VifHandler {
            shared: Rc::clone(&shared),
            interface,
        };
        xenbus::run_device(&shared.store, &shared.timers, "vif", id, handler).await;
    }
    log::info!(target: "net", "vif {id} was removed");
}

/// Waits until the configuration has an interface for vif number `id` and returns it; its `mac` key
/// may be written late. Until then the vif isn't connected, but when its backend closes, this side
/// closes too, since the toolstack waits for that. Returns `None` if the vif was removed.
async fn interface_of(shared: &Shared, id: u32) -> Option<InterfaceId> {
    let found = configured(shared, id).await;
    if found.is_some() {
        return found;
    }
    log::info!(target: "net", "vif {id} isn't in the configuration and stays down");
    let device = Device::open_once_valid(&shared.store, "vif", id).await;
    let mut device = device.ok()?;
    let mut mac = shared.store.watch(&mac_key(id)).await.ok()?;
    let mut closed = false;
    loop {
        match device.backend_state().await {
            Ok(XenbusState::Closing | XenbusState::Closed) if !closed => {
                closed = true;
                device.switch(XenbusState::Closed).await.ok()?;
            }
            Err(DeviceError::Removed | DeviceError::Moved) => return None,
            _ => {}
        }
        match select(device.changed(), mac.changed()).await {
            Either::First(changed) => changed.ok()?,
            Either::Second(changed) => drop(changed.ok()?),
        }
        let found = configured(shared, id).await;
        if found.is_some() {
            return found;
        }
    }
}
