//! What a vif and its backend agree on over xenstore (netif.h), and when.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::ToString;
use alloc::vec::Vec;

use data_plane::{AttachError, Control};
use executor::Signal;
use kernel::{XenHal, time};
use netfront_rs::{PeerFault, Steering};
use netif::features::KEYS;
use netif::keys::MAX_QUEUES_KEY;
use netif::{ControlInfo, Features};
use router::addr::Mac;
use router::config::Attachment;
use router::{ETHERNET_LEN, InterfaceId};
use xen_hal::PAGE_SIZE;
use xenbus::{Device, DeviceError, Handler, KeyError, XenbusState};
use xenstore::StoreError;

use crate::guest::Guest;

/// What this frontend takes: packets in several slots, blank checksums.
const OURS: Features = Features::RX_NOTIFY
    .union(Features::SG)
    .union(Features::CSUM_IPV4)
    .union(Features::CSUM_IPV6);
/// And large TCP packets, if there is memory for them.
const LARGE: Features = Features::GSO_TCPV4.union(Features::GSO_TCPV6);
/// `mtu` where nobody says otherwise, in bytes of IP packet.
const DEFAULT_MTU: u16 = 1500;

/// The most that fits a frame in one slot, in bytes of IP packet.
const ONE_SLOT_MTU: u16 = (PAGE_SIZE - ETHERNET_LEN) as u16;

/// Why a vif can't be connected.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// A key is missing or makes no sense.
    Key(KeyError),
    /// The device can't be written to.
    Device(DeviceError),
    /// xenstore failed.
    Store(StoreError),
    /// Rings or pages.
    Attach(AttachError),
    /// Backends still map a quarter of the memory from connections that ended.
    Quarantine,
    /// The backend doesn't copy into the frontend's pages.
    NoRxCopy,
}

impl core::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ConnectError::Key(error) => error.fmt(f),
            ConnectError::Device(error) => error.fmt(f),
            ConnectError::Store(error) => error.fmt(f),
            ConnectError::Attach(error) => error.fmt(f),
            ConnectError::Quarantine => f.write_str("backends still map too many old pages"),
            ConnectError::NoRxCopy => f.write_str("the backend lacks feature-rx-copy"),
        }
    }
}

impl From<KeyError> for ConnectError {
    fn from(error: KeyError) -> Self {
        ConnectError::Key(error)
    }
}

impl From<DeviceError> for ConnectError {
    fn from(error: DeviceError) -> Self {
        ConnectError::Device(error)
    }
}

impl From<StoreError> for ConnectError {
    fn from(error: StoreError) -> Self {
        ConnectError::Store(error)
    }
}

/// Connects the vif of one interface.
pub(crate) struct VifHandler {
    /// The guest it is a part of.
    pub(crate) guest: Rc<Guest>,
    /// The interface that the configuration makes of it.
    pub(crate) interface: InterfaceId,
}

/// A connected vif, as far as the control plane knows it.
pub(crate) struct Connection {
    mac: Mac,
    mtu: u16,
}

impl Handler for VifHandler {
    type Connection = Connection;
    type Error = ConnectError;
    type Fault = PeerFault;

    async fn connect(
        &mut self,
        device: &Device,
        fault: &Signal<PeerFault>,
    ) -> Result<Connection, ConnectError> {
        let mut names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        names.push(MAX_QUEUES_KEY);
        let offered = device.backend_keys(&names).await?;
        let theirs = Features::read(|key| offered.flag(key).unwrap_or(false));
        if !theirs.contains(Features::RX_COPY) {
            return Err(ConnectError::NoRxCopy);
        }
        let keys = device.frontend_keys(&["mac", "mtu"]).await?;
        let mut connection = Connection {
            mac: keys.require("mac")?,
            mtu: keys.get("mtu")?.unwrap_or(DEFAULT_MTU),
        };
        if !theirs.contains(Features::SG) {
            connection.mtu = connection.mtu.min(ONE_SLOT_MTU);
        }

        // A backend that never lets go must not use up the memory by reconnecting.
        if kernel::grant::quarantined() > kernel::memory::stats().total / 4 {
            return Err(ConnectError::Quarantine);
        }
        self.guest.watch_faults(self.interface, fault);
        let lanes = self.guest.lanes;
        let most = netif::max_queues(offered.raw(MAX_QUEUES_KEY));
        let most = most.min(self.queues_elsewhere().await);
        let (attached, takes_large) = lanes.control(|control| {
            let (interface, backend) = (self.interface, device.backend_id());
            let queues = lanes.count().min(most);
            let attached = control.attach(time::now(), interface, backend, theirs, queues);
            (attached, control.takes_large())
        });
        let queues = attached.map_err(ConnectError::Attach)?;
        let control = self.steer(device, theirs, queues.len());
        let number = |value: u32| Some(value.to_string());
        let mut keys = netif::connection_keys(&queues, control);
        keys.push(("request-rx-copy".into(), number(1)));
        let mut ours = OURS;
        ours.set(LARGE, takes_large);
        keys.extend(
            ours.frontend_keys()
                .map(|(key, on)| (key.into(), number(u32::from(on)))),
        );
        if let Err(error) = device.write_all(&keys).await {
            self.detach();
            return Err(error.into());
        }
        Ok(connection)
    }

    fn established(&mut self, _device: &Device, connection: &mut Connection) {
        let Connection { mac, mtu } = connection;
        self.change(|control, now| control.link_up(now, self.interface, mac.0, *mtu));
        if let Err(fault) = self.guest.talks.begin(self.interface) {
            self.guest.fail(self.interface, fault);
        }
        self.guest.links_changed();
    }

    fn stop(&mut self, _connection: &mut Connection) {
        self.change(|control, now| control.link_down(now, self.interface));
        self.guest.links_changed();
    }

    async fn disconnect(&mut self, _connection: Connection) {
        self.detach();
    }
}

impl VifHandler {
    /// Makes a control ring where the backend has one and there is something to say: several
    /// queues. Without, the backend chooses queues as it likes.
    fn steer(&self, device: &Device, theirs: Features, queues: usize) -> Option<ControlInfo> {
        if queues < 2 || !theirs.contains(Features::CTRL_RING) {
            return None;
        }
        match Steering::new(XenHal::of(0), device.backend_id(), queues) {
            Ok(steering) => {
                let info = steering.info();
                self.guest.talks.add(self.interface, steering);
                Some(info)
            }
            Err(error) => {
                log::warn!(target: "net", "no control ring: {error}");
                None
            }
        }
    }

    /// The fewest queues that a backend of any vif takes. What comes in by a queue leaves by that of
    /// the same number, so others would only be a detour.
    async fn queues_elsewhere(&self) -> usize {
        let (store, mut fewest) = (&self.guest.store, self.guest.lanes.count());
        if fewest == 1 {
            return 1;
        }
        for id in store.directory("device/vif").await.unwrap_or_default() {
            let Ok(backend) = store.read_string(&format!("device/vif/{id}/backend")).await else {
                continue;
            };
            // It may not be there yet. Then it is reckoned with when it has fewer, at a detour.
            if let Ok(most) = store.read(&format!("{backend}/{MAX_QUEUES_KEY}")).await {
                fewest = fewest.min(netif::max_queues(Some(&most)));
            }
        }
        fewest
    }

    /// Gives back what was made for the vif.
    fn detach(&self) {
        self.guest.talks.remove(self.interface);
        self.change(|control, now| control.detach(now, self.interface));
    }

    /// Changes what planes have of the vif, and has all CPUs look at it.
    fn change(&self, change: impl FnOnce(&mut Control<'_, XenHal>, u64)) {
        let lanes = self.guest.lanes;
        lanes.control(|control| change(control, time::now()));
        lanes.wake();
    }
}

/// The interface that is vif number `id`, if the configuration has one.
pub(crate) async fn interface_of(guest: &Guest, id: u32) -> Option<InterfaceId> {
    let mac = guest
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
    let at = guest.lanes.with(0, |_, router| {
        let mut interfaces = router.config().interfaces.iter();
        interfaces.position(|interface| is_it(interface.attachment))
    })?;
    u8::try_from(at).ok().map(InterfaceId)
}

/// Drives vif number `id` from now until it is removed.
pub(crate) async fn run(guest: Rc<Guest>, id: u32) {
    if let Some(interface) = interface_of(&guest, id).await {
        let handler = VifHandler {
            guest: Rc::clone(&guest),
            interface,
        };
        xenbus::run_device(&guest.store, &guest.timers, "vif", id, handler).await;
    } else {
        log::info!(target: "net", "vif {id} isn't in the configuration and stays down");
        wait_until_removed(&guest, id).await;
    }
    log::info!(target: "net", "vif {id} is gone");
}

/// Leaves a vif alone until it is removed, but agrees when its backend closes: the toolstack
/// waits for that.
async fn wait_until_removed(guest: &Guest, id: u32) {
    let Ok(mut device) = Device::open(&guest.store, "vif", id).await else {
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
