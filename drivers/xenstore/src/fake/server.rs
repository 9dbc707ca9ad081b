//! The store behind a [`FakeStore`](super::FakeStore), which answers as xenstored does.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::wire::{self, Decoder, Errno, Header, Kind, Message, PAYLOAD_MAX};

pub(super) type Tree = BTreeMap<String, Vec<u8>>;

pub(super) struct OpenTransaction {
    tree: Tree,
    /// The server's count of changes when it began.
    began: u64,
    touched: Vec<(String, Change)>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Change {
    Written,
    Removed,
}

pub(super) struct WatchEntry {
    /// As the client gave it.
    given: Vec<u8>,
    path: String,
    token: Vec<u8>,
}

/// What xenstored keeps, and how it behaves.
pub(super) struct Server {
    pub(super) home: String,
    pub(super) tree: Tree,
    pub(super) changes: u64,
    pub(super) transactions: BTreeMap<u32, OpenTransaction>,
    pub(super) last_tx_id: u32,
    pub(super) watches: Vec<WatchEntry>,
    pub(super) requests: Decoder,
    pub(super) outbox: VecDeque<u8>,
    pub(super) held: Vec<Vec<u8>>,
    pub(super) log: Vec<(u32, Vec<u8>)>,
    pub(super) notified: u64,
    // How it behaves.
    pub(super) holding: bool,
    pub(super) chunk: (usize, usize),
    pub(super) conflicts: u32,
    pub(super) read_only: BTreeSet<String>,
    pub(super) unreadable: BTreeSet<String>,
    pub(super) refusals: BTreeMap<u32, Errno>,
    pub(super) part_max: usize,
    pub(super) most_nodes: Option<usize>,
    pub(super) broken: bool,
}

fn parent(path: &str) -> Option<&str> {
    match path.rsplit_once('/')? {
        (_, "") => None,
        ("", _) => Some("/"),
        (parent, _) => Some(parent),
    }
}

/// Sets a node, and creates those above it.
pub(super) fn put(tree: &mut Tree, path: &str, value: Vec<u8>) {
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

/// Removes a node and all below it; returns `true` if it was there.
pub(super) fn cut(tree: &mut Tree, root: &str) -> bool {
    let before = tree.len();
    tree.retain(|path, _| !is_below(path, root));
    tree.len() != before
}

/// How many nodes there are below one.
fn below(tree: &Tree, root: &str) -> usize {
    tree.keys().filter(|path| is_below(path, root)).count()
}

impl Server {
    /// Creates an empty store, but for the directory of domain `domid`.
    pub(super) fn new(domid: u16) -> Self {
        let home = format!("/local/domain/{domid}");
        let mut tree = Tree::new();
        put(&mut tree, &home, Vec::new());
        Self {
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
            most_nodes: None,
            part_max: PAYLOAD_MAX,
            broken: false,
        }
    }

    pub(super) fn absolute(&self, path: &str) -> String {
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

    pub(super) fn fire(&mut self, changed: &str, change: Change) {
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

    pub(super) fn serve(&mut self, request: &Message) {
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

    /// How many nodes the client's directory holds.
    pub(super) fn nodes(&self) -> usize {
        below(&self.tree, &self.home)
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
            let mut missing = 0;
            let mut above = Some(path);
            while let Some(node) = above.filter(|node| !tree.contains_key(*node)) {
                missing += 1;
                above = parent(node);
            }
            let all = || below(tree, &self.home) + missing;
            if missing > 0 && self.most_nodes.is_some_and(|most| all() > most) {
                return Err(Errno::Quota);
            }
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
