//! A xenstored in memory, and the toolstack's hands on it.
//!
//! [`FakeStore`] keeps a real little tree, with transactions that conflict, watches and
//! permissions. It can also be slow, cut its bytes anywhere, answer out of order, or lie.

#![expect(clippy::indexing_slicing, reason = "a fake panics if it is misused")]

mod rig;
mod server;

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use xen_ring::Corrupt;

pub use self::rig::Rig;
use self::server::{Change, Server, cut, put};
use crate::transport::Transport;
use crate::wire::{Errno, Header, Kind};

/// A xenstored that serves one domain. Clones are handles to the same.
#[derive(Clone)]
pub struct FakeStore(Rc<RefCell<Server>>);

/// The domain's end of a connection to a [`FakeStore`].
pub struct FakeTransport(Rc<RefCell<Server>>);

const CORRUPT: Corrupt = Corrupt {
    claimed: 5000,
    limit: 1024,
};

impl FakeStore {
    /// Creates an empty store, but for the directory of domain `domid`.
    #[must_use]
    pub fn new(domid: u16) -> Self {
        Self(Rc::new(RefCell::new(Server::new(domid))))
    }

    /// Returns the path of the domain's own directory.
    #[must_use]
    pub fn home(&self) -> String {
        self.0.borrow().home.clone()
    }

    /// Returns the domain's end.
    #[must_use]
    pub fn transport(&self) -> FakeTransport {
        FakeTransport(Rc::clone(&self.0))
    }

    /// Sets a node, as the toolstack does.
    pub fn set(&self, path: &str, value: impl AsRef<[u8]>) {
        self.set_all(&[(path, value.as_ref())]);
    }

    /// Sets nodes as one change.
    pub fn set_all<V: AsRef<[u8]>>(&self, nodes: &[(&str, V)]) {
        let mut server = self.0.borrow_mut();
        let nodes: Vec<(String, &V)> = nodes
            .iter()
            .map(|(path, value)| (server.absolute(path), value))
            .collect();
        for (path, value) in &nodes {
            put(&mut server.tree, path, value.as_ref().to_vec());
        }
        for (path, _) in &nodes {
            server.fire(path, Change::Written);
        }
    }

    /// Removes a node and all below it, as the toolstack does.
    pub fn remove(&self, path: &str) {
        let mut server = self.0.borrow_mut();
        let path = server.absolute(path);
        if cut(&mut server.tree, &path) {
            server.fire(&path, Change::Removed);
        }
    }

    /// Returns a node's value.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<String> {
        let server = self.0.borrow();
        let value = server.tree.get(&server.absolute(path))?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// Keeps replies back (watch events still go out), until [`FakeStore::release`].
    pub fn hold(&self) {
        self.0.borrow_mut().holding = true;
    }

    /// Sends the replies kept back, in order or the last first.
    pub fn release(&self, reversed: bool) {
        let mut server = self.0.borrow_mut();
        server.holding = false;
        let mut held = core::mem::take(&mut server.held);
        if reversed {
            held.reverse();
        }
        server.outbox.extend(held.into_iter().flatten());
    }

    /// The most bytes that one call of `send` and of `receive` moves.
    pub fn set_chunk(&self, send: usize, receive: usize) {
        self.0.borrow_mut().chunk = (send, receive);
    }

    /// Lets the next `count` commits meet another transaction.
    pub fn conflict(&self, count: u32) {
        self.0.borrow_mut().conflicts = count;
    }

    /// Denies the domain to write `path` and below.
    pub fn set_read_only(&self, path: &str) {
        let mut server = self.0.borrow_mut();
        let path = server.absolute(path);
        server.read_only.insert(path);
    }

    /// Hides this node from the domain, but not what is below it. As in xenstored, what
    /// doesn't exist is hidden too if its nearest parent is.
    pub fn set_unreadable(&self, path: &str) {
        let mut server = self.0.borrow_mut();
        let path = server.absolute(path);
        server.unreadable.insert(path);
    }

    /// Has the guest's directory hold at most this many nodes from now on, as xenstored's quotas do.
    pub fn limit_nodes(&self, most: usize) {
        self.0.borrow_mut().most_nodes = Some(most);
    }

    /// How many nodes the guest's directory holds.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.0.borrow().nodes()
    }

    /// Refuses every request of a kind.
    pub fn refuse(&self, kind: Kind, errno: Errno) {
        self.0.borrow_mut().refusals.insert(kind as u32, errno);
    }

    /// Serves such requests again.
    pub fn accept(&self, kind: Kind) {
        self.0.borrow_mut().refusals.remove(&(kind as u32));
    }

    /// The most bytes of names in a piece of a directory.
    pub fn set_part_max(&self, bytes: usize) {
        self.0.borrow_mut().part_max = bytes;
    }

    /// Sends the domain any bytes.
    pub fn inject(&self, bytes: &[u8]) {
        self.0.borrow_mut().outbox.extend(bytes);
    }

    /// Sends the domain a message.
    pub fn inject_message(&self, kind: u32, req_id: u32, payload: &[u8]) {
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        self.inject(
            &Header {
                kind,
                req_id,
                tx_id: 0,
                len,
            }
            .to_bytes(),
        );
        self.inject(payload);
    }

    /// Breaks the ring.
    pub fn break_ring(&self) {
        self.0.borrow_mut().broken = true;
    }

    /// Returns every request so far: kind and payload.
    #[must_use]
    pub fn requests(&self) -> Vec<(u32, Vec<u8>)> {
        self.0.borrow().log.clone()
    }

    /// Number of watches that the domain has.
    #[must_use]
    pub fn watch_count(&self) -> usize {
        self.0.borrow().watches.len()
    }

    /// Number of transactions that the domain has open.
    #[must_use]
    pub fn transaction_count(&self) -> usize {
        self.0.borrow().transactions.len()
    }

    /// Number of events that the domain sent.
    #[must_use]
    pub fn notified(&self) -> u64 {
        self.0.borrow().notified
    }
}

impl core::fmt::Debug for FakeStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FakeStore").finish_non_exhaustive()
    }
}

impl core::fmt::Debug for FakeTransport {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FakeTransport").finish_non_exhaustive()
    }
}

impl Transport for FakeTransport {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Corrupt> {
        let mut server = self.0.borrow_mut();
        if server.broken {
            return Err(CORRUPT);
        }
        let taken = bytes.len().min(server.chunk.0);
        server.requests.push(&bytes[..taken]);
        while let Ok(Some(request)) = server.requests.next_message() {
            server.serve(&request);
        }
        Ok(taken)
    }

    fn receive(&mut self, into: &mut [u8]) -> Result<usize, Corrupt> {
        let mut server = self.0.borrow_mut();
        if server.broken {
            return Err(CORRUPT);
        }
        let count = into.len().min(server.chunk.1).min(server.outbox.len());
        for (slot, byte) in into.iter_mut().zip(server.outbox.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }

    fn notify(&mut self) {
        self.0.borrow_mut().notified += 1;
    }
}
