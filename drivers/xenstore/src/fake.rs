//! A xenstored in memory, and the toolstack's hands on it.
//!
//! [`FakeStore`] keeps a real little tree, with transactions that conflict, watches and
//! permissions. It can also be slow, cut its bytes anywhere, answer out of order, or lie.

#![expect(clippy::indexing_slicing, reason = "a fake panics if it is misused")]

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::Future;

use executor::fake::FakeClock;
use executor::{Tasks, Timers};
use xen_ring::Corrupt;

use crate::client::{Store, Transport};
use crate::turn;
use crate::wire::{self, Decoder, Errno, Header, Kind, Message, PAYLOAD_MAX};

type Tree = BTreeMap<String, Vec<u8>>;

struct OpenTransaction {
    tree: Tree,
    /// The server's count of changes when it began.
    began: u64,
    touched: Vec<(String, Change)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Change {
    Written,
    Removed,
}

struct WatchEntry {
    /// As the client gave it.
    given: Vec<u8>,
    path: String,
    token: Vec<u8>,
}

struct Server {
    home: String,
    tree: Tree,
    changes: u64,
    transactions: BTreeMap<u32, OpenTransaction>,
    last_tx_id: u32,
    watches: Vec<WatchEntry>,
    requests: Decoder,
    outbox: VecDeque<u8>,
    held: Vec<Vec<u8>>,
    log: Vec<(u32, Vec<u8>)>,
    notified: u64,
    // How it behaves.
    holding: bool,
    chunk: (usize, usize),
    conflicts: u32,
    read_only: BTreeSet<String>,
    unreadable: BTreeSet<String>,
    refusals: BTreeMap<u32, Errno>,
    part_max: usize,
    broken: bool,
}

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
    /// An empty store, but for the directory of domain `domid`.
    #[must_use]
    pub fn new(domid: u16) -> Self {
        let home = format!("/local/domain/{domid}");
        let mut tree = Tree::new();
        put(&mut tree, &home, Vec::new());
        Self(Rc::new(RefCell::new(Server {
            home,
            tree,
            changes: 0,
            transactions: BTreeMap::new(),
            last_tx_id: 0,
            watches: Vec::new(),
            requests: Decoder::default(),
            outbox: VecDeque::new(),
            held: Vec::new(),
            log: Vec::new(),
            notified: 0,
            holding: false,
            chunk: (usize::MAX, usize::MAX),
            conflicts: 0,
            read_only: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            refusals: BTreeMap::new(),
            part_max: PAYLOAD_MAX,
            broken: false,
        })))
    }

    /// The path of the domain's own directory.
    #[must_use]
    pub fn home(&self) -> String {
        self.0.borrow().home.clone()
    }

    /// The domain's end.
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

    /// A node's value.
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

    /// Every request so far: kind and payload.
    #[must_use]
    pub fn requests(&self) -> Vec<(u32, Vec<u8>)> {
        self.0.borrow().log.clone()
    }

    /// Watches that the domain has.
    #[must_use]
    pub fn watch_count(&self) -> usize {
        self.0.borrow().watches.len()
    }

    /// Transactions that the domain has open.
    #[must_use]
    pub fn transaction_count(&self) -> usize {
        self.0.borrow().transactions.len()
    }

    /// How often the domain sent its event.
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

fn parent(path: &str) -> Option<&str> {
    match path.rsplit_once('/')? {
        (_, "") => None,
        ("", _) => Some("/"),
        (parent, _) => Some(parent),
    }
}

fn put(tree: &mut Tree, path: &str, value: Vec<u8>) {
    let mut above = parent(path);
    while let Some(directory) = above {
        tree.entry(directory.to_string()).or_default();
        above = parent(directory);
    }
    tree.insert(path.to_string(), value);
}

fn is_below(path: &str, root: &str) -> bool {
    path == root
        || root == "/"
        || path
            .strip_prefix(root)
            .is_some_and(|rest| rest.starts_with('/'))
}

/// Removes a node and all below it; returns whether it was there.
fn cut(tree: &mut Tree, root: &str) -> bool {
    let before = tree.len();
    tree.retain(|path, _| !is_below(path, root));
    tree.len() != before
}

impl Server {
    fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') {
            path.to_string()
        } else {
            format!("{}/{path}", self.home)
        }
    }

    fn send(&mut self, kind: u32, req_id: u32, tx_id: u32, payload: &[u8]) {
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let mut bytes = Header {
            kind,
            req_id,
            tx_id,
            len,
        }
        .to_bytes()
        .to_vec();
        bytes.extend_from_slice(payload);
        if self.holding && kind != Kind::WatchEvent as u32 {
            self.held.push(bytes);
        } else {
            self.outbox.extend(bytes);
        }
    }

    fn fire(&mut self, changed: &str, change: Change) {
        self.changes += 1;
        let mut events = Vec::new();
        for watch in &self.watches {
            let event = if is_below(changed, &watch.path) {
                let given = core::str::from_utf8(&watch.given).unwrap_or_default();
                let relative = changed
                    .strip_prefix(&*self.home)
                    .and_then(|p| p.strip_prefix('/'));
                match relative {
                    Some(relative) if !given.starts_with('/') => relative.as_bytes().to_vec(),
                    _ => changed.as_bytes().to_vec(),
                }
            } else if change == Change::Removed && is_below(&watch.path, changed) {
                watch.given.clone()
            } else {
                continue;
            };
            events.push([&event[..], b"\0", &watch.token, b"\0"].concat());
        }
        for event in events {
            self.send(Kind::WatchEvent as u32, 0, 0, &event);
        }
    }

    fn serve(&mut self, request: &Message) {
        let Header {
            kind,
            req_id,
            tx_id,
            ..
        } = request.header;
        self.log.push((kind, request.payload.clone()));
        let result = match self.refusals.get(&kind) {
            Some(errno) => Err(*errno),
            None => self.answer(kind, tx_id, &request.payload),
        };
        match result {
            Ok(payload) => self.send(kind, req_id, tx_id, &payload),
            Err(errno) => {
                let payload = format!("{}\0", errno.name());
                self.send(Kind::Error as u32, req_id, tx_id, payload.as_bytes());
            }
        }
        // As xenstored does: the first event follows the reply.
        if kind == Kind::Watch as u32 && !self.refusals.contains_key(&kind) {
            self.send(Kind::WatchEvent as u32, 0, 0, &request.payload);
        }
    }

    fn answer(&mut self, kind: u32, tx_id: u32, payload: &[u8]) -> Result<Vec<u8>, Errno> {
        let ok = Ok(b"OK\0".to_vec());
        let mut parts = payload.splitn(2, |byte| *byte == 0);
        let first = parts.next().unwrap_or_default();
        let rest = parts.next().unwrap_or_default();
        let text = core::str::from_utf8(first).map_err(|_| Errno::Invalid)?;
        let path = self.absolute(text);
        let is = |wanted: Kind| kind == wanted as u32;
        if is(Kind::Watch) {
            let token = rest.strip_suffix(b"\0").ok_or(Errno::Invalid)?.to_vec();
            if self
                .watches
                .iter()
                .any(|watch| watch.path == path && watch.token == token)
            {
                return Err(Errno::Exists);
            }
            self.watches.push(WatchEntry {
                given: first.to_vec(),
                path,
                token,
            });
            return ok;
        }
        if is(Kind::Unwatch) {
            let token = rest.strip_suffix(b"\0").ok_or(Errno::Invalid)?;
            let before = self.watches.len();
            self.watches
                .retain(|watch| watch.path != path || watch.token != token);
            return if self.watches.len() < before {
                ok
            } else {
                Err(Errno::NoEntry)
            };
        }
        if is(Kind::ResetWatches) {
            self.watches.clear();
            self.transactions.clear();
            return ok;
        }
        if is(Kind::TransactionStart) {
            // oxenstored's quota for a domain.
            if self.transactions.len() >= 10 {
                return Err(Errno::Quota);
            }
            self.last_tx_id += 1;
            let began = self.changes;
            let open = OpenTransaction {
                tree: self.tree.clone(),
                began,
                touched: Vec::new(),
            };
            self.transactions.insert(self.last_tx_id, open);
            return Ok(format!("{}\0", self.last_tx_id).into_bytes());
        }
        if is(Kind::TransactionEnd) {
            let open = self.transactions.remove(&tx_id).ok_or(Errno::NoEntry)?;
            return if payload == b"F\0" {
                ok
            } else {
                self.commit(open).and(ok)
            };
        }
        if first.is_empty() {
            return Err(Errno::Invalid);
        }
        self.answer_access(kind, tx_id, &path, rest)
    }

    fn commit(&mut self, open: OpenTransaction) -> Result<(), Errno> {
        if self.conflicts > 0 {
            self.conflicts -= 1;
            return Err(Errno::Again);
        }
        if open.began != self.changes {
            return Err(Errno::Again);
        }
        self.tree = open.tree;
        for (path, change) in open.touched {
            self.fire(&path, change);
        }
        Ok(())
    }

    fn answer_access(
        &mut self,
        kind: u32,
        tx_id: u32,
        path: &str,
        rest: &[u8],
    ) -> Result<Vec<u8>, Errno> {
        let is = |wanted: Kind| kind == wanted as u32;
        let tree = match tx_id {
            0 => &mut self.tree,
            _ => {
                &mut self
                    .transactions
                    .get_mut(&tx_id)
                    .ok_or(Errno::NoEntry)?
                    .tree
            }
        };
        if is(Kind::Read) || is(Kind::Directory) || is(Kind::DirectoryPart) {
            let mut nearest = Some(path);
            while let Some(above) = nearest.filter(|above| !tree.contains_key(*above)) {
                nearest = parent(above);
            }
            if nearest.is_some_and(|nearest| self.unreadable.contains(nearest)) {
                return Err(Errno::Access);
            }
            let value = tree.get(path).ok_or(Errno::NoEntry)?;
            if is(Kind::Read) {
                return Ok(value.clone());
            }
            let mut list = Vec::new();
            for child in tree.keys().filter(|child| parent(child) == Some(path)) {
                list.extend_from_slice(child.rsplit('/').next().unwrap_or_default().as_bytes());
                list.push(0);
            }
            if is(Kind::DirectoryPart) {
                return directory_part(&list, rest, self.changes, self.part_max);
            }
            return if list.len() > PAYLOAD_MAX {
                Err(Errno::TooBig)
            } else {
                Ok(list)
            };
        }
        if self.read_only.iter().any(|root| is_below(path, root)) {
            return Err(Errno::Access);
        }
        let change = if is(Kind::Write) {
            put(tree, path, rest.to_vec());
            Some(Change::Written)
        } else if is(Kind::Mkdir) {
            let missing = !tree.contains_key(path);
            if missing {
                put(tree, path, Vec::new());
            }
            missing.then_some(Change::Written)
        } else if is(Kind::Remove) {
            if parent(path).is_none_or(|parent| !tree.contains_key(parent)) {
                return Err(Errno::NoEntry);
            }
            cut(tree, path).then_some(Change::Removed)
        } else {
            return Err(Errno::NoSys);
        };
        if let Some(change) = change {
            match self.transactions.get_mut(&tx_id) {
                Some(open) => open.touched.push((path.to_string(), change)),
                None => self.fire(path, change),
            }
        }
        Ok(b"OK\0".to_vec())
    }
}

fn directory_part(
    list: &[u8],
    offset: &[u8],
    generation: u64,
    max: usize,
) -> Result<Vec<u8>, Errno> {
    let offset = wire::strings(offset).next().unwrap_or_default();
    let offset: usize = core::str::from_utf8(offset)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Errno::Invalid)?;
    let mut reply = format!("{generation}\0").into_bytes();
    let room = max.min(PAYLOAD_MAX).saturating_sub(reply.len() + 1);
    let rest = list.get(offset..).unwrap_or_default();
    let mut len = 0;
    for name in rest.split_inclusive(|byte| *byte == 0) {
        if len + name.len() > room {
            break;
        }
        len += name.len();
    }
    reply.extend_from_slice(&rest[..len]);
    if len == rest.len() {
        reply.push(0);
    }
    Ok(reply)
}

/// A whole control plane with a fake xenstored under it.
#[derive(Debug)]
pub struct Rig {
    /// The other end.
    pub server: FakeStore,
    /// The client.
    pub store: Store,
    /// The tasks.
    pub tasks: Tasks,
    /// The timers, on `clock`.
    pub timers: Timers,
    /// The clock.
    pub clock: FakeClock,
}

impl Default for Rig {
    fn default() -> Self {
        Self::new()
    }
}

impl Rig {
    /// Domain 1 on an empty store.
    #[must_use]
    pub fn new() -> Self {
        let server = FakeStore::new(1);
        let clock = FakeClock::default();
        Self {
            store: Store::new(server.transport()),
            server,
            tasks: Tasks::new(),
            timers: Timers::new(clock.clone()),
            clock,
        }
    }

    /// Runs until nothing is left to do.
    ///
    /// # Panics
    /// If that never happens.
    pub fn run(&self) {
        for _ in 0..100_000 {
            if !turn(&self.store, &self.timers, &self.tasks) {
                return;
            }
        }
        panic!("the control plane never comes to rest");
    }

    /// Runs for a time, meeting every deadline on the way.
    pub fn run_for(&self, duration_ns: u64) {
        let end_ns = self.timers.now_ns() + duration_ns;
        loop {
            self.run();
            match self.timers.next_deadline() {
                Some(deadline_ns) if deadline_ns <= end_ns => self.clock.set_ns(deadline_ns),
                _ => break,
            }
        }
        self.clock.set_ns(end_ns);
        self.run();
    }

    /// Spawns a future; its output appears in the cell.
    pub fn start<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
    ) -> Rc<RefCell<Option<T>>> {
        let output = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&output);
        self.tasks.spawn(async move {
            let value = future.await;
            *slot.borrow_mut() = Some(value);
        });
        output
    }

    /// Runs a future to its end.
    ///
    /// # Panics
    /// If it has none.
    pub fn block_on<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        let output = self.start(future);
        self.run();
        let value = output.borrow_mut().take();
        value.expect("the future is still waiting")
    }
}
