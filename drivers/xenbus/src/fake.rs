//! Devices in a fake xenstored, and a model of Linux's netback.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use xenstore::fake::FakeStore;

use crate::state::XenbusState;

/// What libxl does for domain 1: backend directories with their frontends.
pub trait Toolstack {
    /// Adds a device with a backend in `backend_id` that hasn't started (state Initialising).
    fn add_device(&self, kind: &str, id: u32, backend_id: u16);
}

impl Toolstack for FakeStore {
    fn add_device(&self, kind: &str, id: u32, backend_id: u16) {
        let front = format!("device/{kind}/{id}");
        let back = backend_dir(kind, id, backend_id);
        let home = self.home();
        let (fk, bk) = (
            |key| format!("{front}/{key}"),
            |key| format!("{back}/{key}"),
        );
        let nodes = [
            (bk("frontend"), format!("{home}/{front}")),
            (bk("frontend-id"), "1".to_string()),
            (bk("online"), "1".to_string()),
            (bk("state"), XenbusState::Initialising.to_string()),
            (fk("backend"), back.clone()),
            (fk("backend-id"), backend_id.to_string()),
            (fk("handle"), id.to_string()),
            (fk("state"), XenbusState::Initialising.to_string()),
        ];
        let nodes: Vec<(&str, &str)> = nodes
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        self.set_all(&nodes);
        // A domain may look into its own backend's directory, and nowhere above it.
        for above in [
            format!("/local/domain/{backend_id}"),
            format!("/local/domain/{backend_id}/backend"),
            format!("/local/domain/{backend_id}/backend/{kind}"),
            format!("/local/domain/{backend_id}/backend/{kind}/1"),
        ] {
            self.set_unreadable(&above);
        }
    }
}

/// Returns where a backend for domain 1 has its directory.
#[must_use]
pub fn backend_dir(kind: &str, id: u32, backend_id: u16) -> String {
    format!("/local/domain/{backend_id}/backend/{kind}/1/{id}")
}

/// How Linux's netback answers to a frontend's state, of which it sees each change that is
/// still there when it looks.
#[derive(Debug)]
pub struct LinuxBackend {
    server: FakeStore,
    front: String,
    back: String,
    /// Its own state, in its memory.
    pub state: XenbusState,
    seen: Option<XenbusState>,
    /// Number of times that it mapped the rings.
    pub connects: u32,
    /// `true` while it maps them.
    pub mapped: bool,
    /// `true` while its driver is loaded.
    pub alive: bool,
}

impl LinuxBackend {
    /// Creates the backend of a device that [`FakeStore::add_device`] made.
    #[must_use]
    pub fn new(server: &FakeStore, kind: &str, id: u32, backend_id: u16) -> Self {
        Self {
            server: server.clone(),
            front: format!("device/{kind}/{id}"),
            back: backend_dir(kind, id, backend_id),
            state: XenbusState::Initialising,
            seen: None,
            connects: 0,
            mapped: false,
            alive: true,
        }
    }

    /// Looks at the frontend and answers. Returns `true` if anything was new.
    pub fn step(&mut self) -> bool {
        use XenbusState::{Closed, Closing, Connected, InitWait, Initialising, Unknown};
        let Some(front) = self.server.get(&format!("{}/state", self.front)) else {
            return false;
        };
        let front = XenbusState::parse(front.as_bytes());
        if !self.alive || self.seen.replace(front) == Some(front) {
            return false;
        }
        match front {
            Initialising => self.walk_to(InitWait),
            Connected => self.walk_to(Connected),
            Closing => self.walk_to(Closing),
            Closed | Unknown => self.walk_to(Closed),
            _ => {}
        }
        true
    }

    /// Goes to a state through those between.
    fn walk_to(&mut self, goal: XenbusState) {
        use XenbusState::{Closed, Closing, Connected, InitWait, Initialising};
        while self.state != goal {
            self.state = match (self.state, goal) {
                (Initialising | Closed, InitWait | Connected) | (Initialising, Closing) => InitWait,
                (Initialising | Closing, _) => Closed,
                (InitWait, Connected) => {
                    self.connects += 1;
                    self.mapped = true;
                    Connected
                }
                _ => {
                    self.mapped = false;
                    Closing
                }
            };
            self.publish();
        }
    }

    fn publish(&self) {
        let path = format!("{}/state", self.back);
        if self.server.get(&path).is_some() {
            self.server.set(&path, self.state.to_string());
        }
    }

    /// The driver is unloaded: closes at once, whatever the frontend does.
    pub fn unload(&mut self) {
        self.walk_to(XenbusState::Closed);
        self.alive = false;
    }

    /// The driver is loaded again.
    pub fn load(&mut self) {
        self.alive = true;
        self.seen = None;
        self.state = XenbusState::Initialising;
        self.publish();
    }
}
