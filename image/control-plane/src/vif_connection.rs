//! Connecting a vif: the negotiation with its backend through xenstore (netif.h).

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use data_plane::AttachError;
use executor::Signal;
use netfront_rs::PeerFault;
use netif::features::KEYS;
use netif::keys::MAX_QUEUES_KEY;
use netif::{ControlInfo, Features};
use router::addr::Mac;
use router::{ETHERNET_LEN, InterfaceId};
use xen_hal::{DomId, PAGE_SIZE};
use xenbus::{Device, DeviceError, Handler, KeyError};
use xenstore::{Errno, StoreError};

use crate::data_plane_control::DataPlane;
use crate::platform::{with_data_plane, with_router};
use crate::publish::links_changed;
use crate::shared::Shared;

/// The features of this frontend: packets in several slots, blank checksums.
const OURS: Features = Features::RX_NOTIFY
    .union(Features::SG)
    .union(Features::CSUM_IPV4)
    .union(Features::CSUM_IPV6);
/// Features for large TCP packets, if there is memory for them.
const LARGE: Features = Features::GSO_TCPV4.union(Features::GSO_TCPV6);
/// The default of `mtu` in the frontend's directory, in bytes of IP packet.
const DEFAULT_MTU: u16 = 1500;
/// The minimum MTU of a link, in bytes (RFC 791 3.2).
const MTU_MIN: u16 = 68;
/// The maximum that fits a frame in one slot, in bytes of IP packet.
const ONE_SLOT_MTU: u16 = (PAGE_SIZE - ETHERNET_LEN) as u16;

/// The reason why a vif can't be connected.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// A key is missing or malformed.
    Key(KeyError),
    /// The vif's MTU, in bytes, is below IPv4's minimum.
    Mtu(u16),
    /// The vif's MAC address isn't valid for an interface.
    Mac(Mac),
    /// The vif's MAC address is that of another interface, with this name.
    MacOf(Mac, String),
    /// The device can't be written to.
    Device(DeviceError),
    /// xenstore failed.
    Store(StoreError),
    /// Rings or pages.
    Attach(AttachError),
    /// Backends in its domain still map too much of the memory from connections that ended.
    Quarantine,
    /// The backend doesn't copy into the frontend's pages.
    NoRxCopy,
}

impl core::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ConnectError::Key(error) => error.fmt(f),
            ConnectError::Mtu(mtu) => {
                write!(f, "mtu {mtu} is below {MTU_MIN}, the minimum for IPv4")
            }
            ConnectError::Mac(mac) => write!(f, "mac {mac} isn't a valid interface address"),
            ConnectError::MacOf(mac, name) => write!(f, "mac {mac} is already that of {name}"),
            ConnectError::Device(error) => error.fmt(f),
            ConnectError::Store(error) => error.fmt(f),
            ConnectError::Attach(error) => error.fmt(f),
            ConnectError::Quarantine => {
                f.write_str("its backend domain still maps too many pages of earlier connections")
            }
            ConnectError::NoRxCopy => f.write_str("the backend lacks feature-rx-copy"),
        }
    }
}

impl ConnectError {
    /// Returns `true` if it might go with fewer queues: something isn't there in sufficient number.
    fn is_shortage(&self) -> bool {
        match self {
            ConnectError::Attach(AttachError::Pool(_) | AttachError::Queue(_)) => true,
            ConnectError::Device(DeviceError::Store(StoreError::Refused(errno))) => {
                matches!(errno, Errno::Quota | Errno::NoSpace)
            }
            _ => false,
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
    /// The control plane it is a part of.
    pub(crate) shared: Rc<Shared>,
    /// Its interface in the configuration.
    pub(crate) interface: InterfaceId,
}

/// The control plane's state of a connected vif.
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
        if connection.mtu < MTU_MIN {
            return Err(ConnectError::Mtu(connection.mtu));
        }
        self.allow_mac(connection.mac)?;
        if !theirs.contains(Features::SG) {
            connection.mtu = connection.mtu.min(ONE_SLOT_MTU);
        }

        self.allow_quarantine(device.backend_id()).await?;
        let most = netif::max_queues(offered.raw(MAX_QUEUES_KEY));
        let most = most.min(self.queues_elsewhere(device.backend_id()).await);
        let most = most.min(self.shared.platform.workers());
        let mut queues = most.min(self.shared.queues_each());
        // Others may have taken more than is theirs, or it may be less than is usual.
        while let Err(error) = self.announce(device, theirs, queues, fault).await {
            if queues < 2 || !error.is_shortage() {
                return Err(error);
            }
            queues /= 2;
            log::info!(target: "net", "{}: {error}: {queues} queues then", device.name());
        }
        Ok(connection)
    }

    fn established(&mut self, _device: &Device, connection: &mut Connection) {
        let Connection { mac, mtu } = connection;
        self.change(|data_plane, now| data_plane.link_up(now, self.interface, mac.0, *mtu));
        if let Err(fault) = self.shared.rss.begin(self.interface) {
            self.shared.raise_fault(self.interface, fault);
        }
        links_changed(&self.shared);
    }

    fn stop(&mut self, _connection: &mut Connection) {
        self.change(|data_plane, now| data_plane.link_down(now, self.interface));
        links_changed(&self.shared);
    }

    async fn disconnect(&mut self, _connection: Connection) {
        self.detach();
    }
}

impl VifHandler {
    /// Makes as many queues, and tells the backend of them.
    async fn announce(
        &self,
        device: &Device,
        theirs: Features,
        queues: usize,
        fault: &Signal<PeerFault>,
    ) -> Result<(), ConnectError> {
        let platform = &self.shared.platform;
        let (attached, takes_large) = with_data_plane(&**platform, |data_plane| {
            let (interface, backend) = (self.interface, device.backend_id());
            let attached = data_plane.attach(platform.now_ns(), interface, backend, theirs, queues);
            (attached, data_plane.takes_large())
        });
        // Not before: a vif that isn't attached may be the second one with an interface's MAC address.
        let queues = attached.map_err(ConnectError::Attach)?;
        self.shared.watch_faults(self.interface, fault);
        let control = self.begin_rss(device, theirs, queues.len());
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
        Ok(())
    }

    /// Fails if a vif can't have this MAC address.
    fn allow_mac(&self, mac: Mac) -> Result<(), ConnectError> {
        if !mac.is_unicast() {
            return Err(ConnectError::Mac(mac));
        }
        let other = with_router(&*self.shared.platform, |router| {
            let other = router
                .vif_with_mac(mac)
                .filter(|&id| id != self.interface)?;
            let interfaces = router.config().interfaces.iter();
            let mut interfaces = interfaces.zip(router.interface_ids());
            let (config, _) = interfaces.find(|&(_, id)| id == other)?;
            Some(config.name.clone())
        });
        other.map_or(Ok(()), |name| Err(ConnectError::MacOf(mac, name)))
    }

    /// Creates a control ring if the backend supports it and there are several queues. Otherwise
    /// the backend chooses queues on its own.
    fn begin_rss(&self, device: &Device, theirs: Features, queues: usize) -> Option<ControlInfo> {
        if queues < 2 || !theirs.contains(Features::CTRL_RING) {
            return None;
        }
        match self.shared.platform.new_rss(device.backend_id(), queues) {
            Ok(ring) => {
                let info = ring.info();
                self.shared.rss.add(self.interface, ring);
                Some(info)
            }
            Err(error) => {
                log::warn!(target: "net", "no control ring: {error}");
                None
            }
        }
    }

    /// Fails while the backends in a domain still map too many pages of earlier connections: a
    /// backend that never unmaps them must not use up the memory by reconnecting. A quarter of the
    /// memory is divided among the vifs, so that one domain's pages don't block others.
    async fn allow_quarantine(&self, backend: DomId) -> Result<(), ConnectError> {
        let platform = &self.shared.platform;
        let held = platform.quarantined_pages(backend);
        if held == 0 {
            return Ok(());
        }
        let backends = xenbus::backends(&self.shared.store, "vif").await;
        let same = backends.iter().filter(|(domain, _)| *domain == backend);
        let quarter = platform.memory().total_pages / 4;
        if held > quarter * same.count() / backends.len().max(1) {
            return Err(ConnectError::Quarantine);
        }
        Ok(())
    }

    /// Returns the smallest number of queues that the backends of all vifs in a domain support.
    /// Frames leave through the queue with the number of the one that they arrived on, so further
    /// queues would only cause handovers between CPUs. Vifs of different domains may have different
    /// numbers, so that one domain can't reduce the queues of others.
    async fn queues_elsewhere(&self, backend: DomId) -> usize {
        let mut fewest = self.shared.platform.workers();
        if fewest == 1 {
            return 1;
        }
        for (domain, path) in xenbus::backends(&self.shared.store, "vif").await {
            // It may not exist yet. If it has fewer queues later, frames are handed over between
            // CPUs.
            if domain == backend
                && let Ok(most) = self
                    .shared
                    .store
                    .read(&format!("{path}/{MAX_QUEUES_KEY}"))
                    .await
            {
                fewest = fewest.min(netif::max_queues(Some(&most)));
            }
        }
        fewest
    }

    /// Frees what was allocated for the vif.
    fn detach(&self) {
        self.shared.rss.remove(self.interface);
        self.change(|data_plane, now| data_plane.detach(now, self.interface));
    }

    /// Changes the workers' state of the vif, and makes all CPUs check it.
    fn change(&self, change: impl FnOnce(&mut dyn DataPlane, u64)) {
        let platform = &self.shared.platform;
        let now = platform.now_ns();
        with_data_plane(&**platform, |data_plane| change(data_plane, now));
        platform.wake_workers();
    }
}
