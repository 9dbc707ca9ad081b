//! The xenstore client.

mod transaction;
mod watch;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::future::Future;
use core::mem;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use xen_ring::Corrupt;

pub use self::transaction::Transaction;
pub use self::watch::Watch;
use crate::wire::{
    self, ABS_PATH_MAX, Decoder, DirectoryPart, Errno, Header, Kind, Message, PAYLOAD_MAX,
    REL_PATH_MAX,
};

/// Pieces of 1 KiB that one [`Store::pump`] takes in.
const RECEIVE_ROUNDS: usize = 8;
/// How often a large directory is read again because it changed meanwhile.
const DIRECTORY_ATTEMPTS: usize = 8;
/// The largest directory that is read.
const DIRECTORY_MAX: usize = 64 * 1024;

/// Two byte streams to xenstored and back. Neither call waits.
pub trait Transport {
    /// Sends what fits of `bytes`; returns how many.
    ///
    /// # Errors
    /// [`Corrupt`] if the peer broke the ring.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Corrupt>;

    /// Takes what came; returns how many bytes.
    ///
    /// # Errors
    /// [`Corrupt`] if the peer broke the ring.
    fn receive(&mut self, into: &mut [u8]) -> Result<usize, Corrupt>;

    /// Tells the peer that bytes were sent or taken.
    fn notify(&mut self);
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// xenstored refused.
    Refused(Errno),
    /// The path is empty, too long, or has a NUL in it. It wasn't sent.
    BadPath,
    /// The request, or a directory, is too large. A request wasn't sent.
    TooLarge,
    /// The reply makes no sense.
    Malformed,
    /// The value isn't UTF-8.
    NotText,
    /// The transaction met others every time it was tried.
    Conflict,
    /// xenstored's stream can't be followed: nothing more can be asked of it.
    Oversize(u32),
    /// xenstored broke the ring: nothing more can be asked of it.
    Corrupt(Corrupt),
}

impl StoreError {
    /// Whether the node isn't there, as far as this domain may know. xenstored says "access
    /// denied" when the nearest parent that exists can't be read.
    #[must_use]
    pub fn is_missing(self) -> bool {
        matches!(self, Self::Refused(Errno::NoEntry | Errno::Access))
    }

    /// Whether the connection to xenstored is lost.
    #[must_use]
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::Oversize(_) | Self::Corrupt(_))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(errno) => write!(f, "xenstore refused ({errno})"),
            Self::BadPath => f.write_str("not a xenstore path"),
            Self::TooLarge => f.write_str("too large for xenstore"),
            Self::Malformed => f.write_str("xenstore's reply makes no sense"),
            Self::NotText => f.write_str("the value in xenstore is not text"),
            Self::Conflict => f.write_str("the xenstore transaction always met another one"),
            Self::Oversize(len) => write!(f, "xenstore is lost: it sent a message of {len} bytes"),
            Self::Corrupt(corrupt) => write!(f, "xenstore is lost: {corrupt}"),
        }
    }
}

impl core::error::Error for StoreError {}

/// What happened on the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Replies to requests.
    pub replies: u64,
    /// Watch events that reached a watch.
    pub events: u64,
    /// Replies to no request: ignored.
    pub unexpected_replies: u64,
    /// Events for no watch: ignored. Some are normal when a watch ends.
    pub stray_events: u64,
    /// Replies and events that make no sense.
    pub malformed: u64,
}

enum Slot {
    Waiting(Option<Waker>),
    Done(Result<Vec<u8>, StoreError>),
    /// Whoever asked is gone. The number stays taken until the reply comes.
    Forgotten,
}

struct Pending {
    kind: Kind,
    slot: Slot,
}

struct Watched {
    path: String,
    changed: bool,
    waker: Option<Waker>,
}

struct Shared {
    transport: Box<dyn Transport>,
    outgoing: VecDeque<u8>,
    decoder: Decoder,
    pending: BTreeMap<u32, Pending>,
    watched: BTreeMap<u32, Watched>,
    last_req_id: u32,
    last_token: u32,
    /// Transactions that are open, and who waits to open one.
    open_transactions: usize,
    waiting_to_open: Vec<Waker>,
    failed: Option<StoreError>,
    counters: Counters,
    /// Woken when nothing is borrowed any more.
    to_wake: Vec<Waker>,
}

impl Shared {
    /// Queues a request; returns its number.
    fn post(
        &mut self,
        kind: Kind,
        tx_id: u32,
        payload: &[&[u8]],
        slot: Slot,
    ) -> Result<u32, StoreError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let len: usize = payload.iter().map(|part| part.len()).sum();
        if len > PAYLOAD_MAX {
            return Err(StoreError::TooLarge);
        }
        let req_id = next_free(&mut self.last_req_id, |id| self.pending.contains_key(&id));
        let len = u32::try_from(len).map_err(|_| StoreError::TooLarge)?;
        self.outgoing.extend(
            Header {
                kind: kind as u32,
                req_id,
                tx_id,
                len,
            }
            .to_bytes(),
        );
        self.outgoing.extend(payload.iter().copied().flatten());
        self.pending.insert(req_id, Pending { kind, slot });
        Ok(req_id)
    }

    /// Queues a request whose outcome doesn't matter.
    fn post_and_forget(&mut self, kind: Kind, tx_id: u32, payload: &[&[u8]]) {
        // It can fail only if the connection is lost, and then nothing is left to undo.
        let _ = self.post(kind, tx_id, payload, Slot::Forgotten);
    }

    fn pump(&mut self) -> Result<bool, StoreError> {
        let mut moved = false;
        while !self.outgoing.is_empty() {
            let (bytes, _) = self.outgoing.as_slices();
            let sent = self
                .transport
                .send(bytes)
                .map_err(StoreError::Corrupt)?
                .min(bytes.len());
            if sent == 0 {
                break;
            }
            self.outgoing.drain(..sent);
            moved = true;
        }
        for _ in 0..RECEIVE_ROUNDS {
            let mut buffer = [0; 1024];
            let came = self
                .transport
                .receive(&mut buffer)
                .map_err(StoreError::Corrupt)?;
            let Some(bytes @ [_, ..]) = buffer.get(..came) else {
                break;
            };
            moved = true;
            self.decoder.push(bytes);
            while let Some(message) = self
                .decoder
                .next_message()
                .map_err(|oversize| StoreError::Oversize(oversize.len))?
            {
                self.dispatch(message);
            }
        }
        if moved {
            self.transport.notify();
        }
        Ok(moved)
    }

    fn dispatch(&mut self, message: Message) {
        if message.header.is(Kind::WatchEvent) {
            self.dispatch_event(&message.payload);
            return;
        }
        let Some(pending) = self.pending.get_mut(&message.header.req_id) else {
            self.counters.unexpected_replies += 1;
            return;
        };
        if matches!(pending.slot, Slot::Done(_)) {
            self.counters.unexpected_replies += 1;
            return;
        }
        self.counters.replies += 1;
        let result = if message.header.is(Kind::Error) {
            Err(StoreError::Refused(Errno::parse(&message.payload)))
        } else if message.header.is(pending.kind) {
            Ok(message.payload)
        } else {
            self.counters.malformed += 1;
            Err(StoreError::Malformed)
        };
        if matches!(pending.slot, Slot::Forgotten) {
            let kind = pending.kind;
            self.pending.remove(&message.header.req_id);
            if let (Kind::TransactionStart, Ok(payload)) = (kind, result)
                && let Some(tx_id) = parse_tx_id(&payload)
            {
                self.post_and_forget(Kind::TransactionEnd, tx_id, &[b"F\0"]);
            }
        } else if let Slot::Waiting(Some(waker)) =
            mem::replace(&mut pending.slot, Slot::Done(result))
        {
            self.to_wake.push(waker);
        }
    }

    fn dispatch_event(&mut self, payload: &[u8]) {
        // The path is not of interest: a watch says "look again", not what happened.
        let mut strings = wire::strings(payload);
        let token = match (strings.next(), strings.next()) {
            (Some(_path), Some(token)) => parse_token(token),
            _ => None,
        };
        let Some(token) = token else {
            self.counters.malformed += 1;
            return;
        };
        let Some(watched) = self.watched.get_mut(&token) else {
            self.counters.stray_events += 1;
            return;
        };
        self.counters.events += 1;
        watched.changed = true;
        self.to_wake.extend(watched.waker.take());
    }

    fn fail(&mut self, error: StoreError) {
        log::error!(target: "xenstore", "{error}");
        self.failed = Some(error);
        self.outgoing.clear();
        self.pending.retain(|_, pending| {
            if let Slot::Waiting(waker) = &mut pending.slot {
                self.to_wake.extend(waker.take());
                pending.slot = Slot::Done(Err(error));
            }
            !matches!(pending.slot, Slot::Forgotten)
        });
        for watched in self.watched.values_mut() {
            self.to_wake.extend(watched.waker.take());
        }
    }
}

/// Counts `last` up to a number that is not 0 and not taken.
fn next_free(last: &mut u32, taken: impl Fn(u32) -> bool) -> u32 {
    loop {
        *last = last.wrapping_add(1);
        if *last != 0 && !taken(*last) {
            return *last;
        }
    }
}

fn parse_tx_id(payload: &[u8]) -> Option<u32> {
    let text = payload.strip_suffix(b"\0").unwrap_or(payload);
    core::str::from_utf8(text)
        .ok()?
        .parse()
        .ok()
        .filter(|tx_id| *tx_id != 0)
}

fn parse_token(token: &[u8]) -> Option<u32> {
    core::str::from_utf8(token)
        .ok()?
        .strip_prefix('w')?
        .parse()
        .ok()
}

fn check_path(path: &str) -> Result<&[u8], StoreError> {
    let max = if path.starts_with('/') {
        ABS_PATH_MAX
    } else {
        REL_PATH_MAX
    };
    if path.is_empty() || path.len() > max || path.contains('\0') {
        return Err(StoreError::BadPath);
    }
    Ok(path.as_bytes())
}

/// A request on its way.
struct Reply {
    shared: Rc<RefCell<Shared>>,
    req_id: u32,
    taken: bool,
}

impl Future for Reply {
    type Output = Result<Vec<u8>, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let shared = Rc::clone(&self.shared);
        let mut shared = shared.borrow_mut();
        let Some(pending) = shared.pending.get_mut(&self.req_id) else {
            return Poll::Ready(Err(StoreError::Malformed));
        };
        if let Slot::Waiting(waker) = &mut pending.slot {
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.taken = true;
        match shared
            .pending
            .remove(&self.req_id)
            .map(|pending| pending.slot)
        {
            Some(Slot::Done(result)) => Poll::Ready(result),
            _ => Poll::Ready(Err(StoreError::Malformed)),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let mut shared = self.shared.borrow_mut();
        let Some(pending) = shared.pending.get_mut(&self.req_id) else {
            return;
        };
        match mem::replace(&mut pending.slot, Slot::Forgotten) {
            Slot::Done(result) => {
                let kind = pending.kind;
                shared.pending.remove(&self.req_id);
                if let (Kind::TransactionStart, Ok(payload)) = (kind, result)
                    && let Some(tx_id) = parse_tx_id(&payload)
                {
                    shared.post_and_forget(Kind::TransactionEnd, tx_id, &[b"F\0"]);
                }
            }
            Slot::Waiting(_) | Slot::Forgotten => {}
        }
    }
}

/// Reading and writing, inside a transaction ([`Transaction`]) or outside ([`Store`]).
///
/// A path that doesn't start with `/` is relative to the domain's own directory. A future
/// that is dropped early leaves the request to be answered to nobody.
#[derive(Clone)]
pub struct Access {
    shared: Rc<RefCell<Shared>>,
    tx_id: u32,
}

impl Access {
    async fn request(&self, kind: Kind, payload: &[&[u8]]) -> Result<Vec<u8>, StoreError> {
        let req_id =
            self.shared
                .borrow_mut()
                .post(kind, self.tx_id, payload, Slot::Waiting(None))?;
        Reply {
            shared: Rc::clone(&self.shared),
            req_id,
            taken: false,
        }
        .await
    }

    /// The value of a node.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with [`Errno::NoEntry`] if it isn't there, and others.
    pub async fn read(&self, path: &str) -> Result<Vec<u8>, StoreError> {
        self.request(Kind::Read, &[check_path(path)?, b"\0"]).await
    }

    /// The value of a node, as text.
    ///
    /// # Errors
    /// Those of [`Access::read`], and [`StoreError::NotText`].
    pub async fn read_string(&self, path: &str) -> Result<String, StoreError> {
        String::from_utf8(self.read(path).await?).map_err(|_| StoreError::NotText)
    }

    /// The value of a node that may be missing, or hidden from this domain.
    ///
    /// # Errors
    /// Any other [`StoreError`].
    pub async fn read_optional(&self, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.read(path).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets a node, and creates it and its parents where missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write(&self, path: &str, value: impl AsRef<[u8]>) -> Result<(), StoreError> {
        self.request(Kind::Write, &[check_path(path)?, b"\0", value.as_ref()])
            .await
            .map(drop)
    }

    /// Makes sure that a node exists.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn mkdir(&self, path: &str) -> Result<(), StoreError> {
        self.request(Kind::Mkdir, &[check_path(path)?, b"\0"])
            .await
            .map(drop)
    }

    /// Removes a node and all below it. A node that isn't there is no error, one whose parent
    /// isn't is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove(&self, path: &str) -> Result<(), StoreError> {
        self.request(Kind::Remove, &[check_path(path)?, b"\0"])
            .await
            .map(drop)
    }

    /// The names of a node's children, however many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn directory(&self, path: &str) -> Result<Vec<String>, StoreError> {
        match self
            .request(Kind::Directory, &[check_path(path)?, b"\0"])
            .await
        {
            Ok(list) => names(&list),
            Err(StoreError::Refused(Errno::TooBig)) => names(&self.large_directory(path).await?),
            Err(error) => Err(error),
        }
    }

    /// Collects a directory piece by piece, again from the start whenever it changed.
    async fn large_directory(&self, path: &str) -> Result<Vec<u8>, StoreError> {
        for _ in 0..DIRECTORY_ATTEMPTS {
            let mut list = Vec::new();
            let mut generation = None;
            loop {
                let offset = list.len().to_string();
                let payload: [&[u8]; 4] = [check_path(path)?, b"\0", offset.as_bytes(), b"\0"];
                let reply = self.request(Kind::DirectoryPart, &payload).await?;
                let part = DirectoryPart::parse(&reply).ok_or(StoreError::Malformed)?;
                if *generation.get_or_insert_with(|| part.generation.to_vec()) != part.generation {
                    break;
                }
                list.extend_from_slice(part.list);
                if part.last {
                    return Ok(list);
                }
                if part.list.is_empty() {
                    return Err(StoreError::Malformed);
                }
                if list.len() > DIRECTORY_MAX {
                    return Err(StoreError::TooLarge);
                }
            }
        }
        Err(StoreError::Conflict)
    }
}

fn names(list: &[u8]) -> Result<Vec<String>, StoreError> {
    wire::strings(list)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8(name.to_vec()).map_err(|_| StoreError::NotText))
        .collect()
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("tx_id", &self.tx_id)
            .finish_non_exhaustive()
    }
}

/// A connection to xenstored. Clones share it.
#[derive(Clone, Debug)]
pub struct Store(Access);

impl Deref for Store {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.0
    }
}

impl Store {
    /// A client on a transport that carries nothing yet.
    #[must_use]
    pub fn new(transport: impl Transport + 'static) -> Self {
        let shared = Shared {
            transport: Box::new(transport),
            outgoing: VecDeque::new(),
            decoder: Decoder::default(),
            pending: BTreeMap::new(),
            watched: BTreeMap::new(),
            last_req_id: 0,
            last_token: 0,
            open_transactions: 0,
            waiting_to_open: Vec::new(),
            failed: None,
            counters: Counters::default(),
            to_wake: Vec::new(),
        };
        Self(Access {
            shared: Rc::new(RefCell::new(shared)),
            tx_id: 0,
        })
    }

    /// Moves bytes both ways and wakes those they concern. Returns whether any moved.
    ///
    /// Never waits. The work of one call is bounded, whatever the peer sends.
    pub fn pump(&self) -> bool {
        let mut shared = self.shared.borrow_mut();
        if shared.failed.is_some() {
            return false;
        }
        let moved = shared.pump().unwrap_or_else(|error| {
            shared.fail(error);
            true
        });
        let to_wake = mem::take(&mut shared.to_wake);
        drop(shared);
        to_wake.into_iter().for_each(Waker::wake);
        moved
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.borrow().counters
    }

    /// Why the connection was lost, if it was.
    #[must_use]
    pub fn failure(&self) -> Option<StoreError> {
        self.shared.borrow().failed
    }

    /// Requests that xenstored hasn't answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.borrow().pending.len()
    }

    /// Watches a node and all below it. xenstored reports one change at once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn watch(&self, path: &str) -> Result<Watch, StoreError> {
        let bytes = check_path(path)?;
        let token = {
            let mut shared = self.shared.borrow_mut();
            let Shared {
                last_token,
                watched,
                ..
            } = &mut *shared;
            let token = next_free(last_token, |token| watched.contains_key(&token));
            watched.insert(
                token,
                Watched {
                    path: path.to_string(),
                    changed: false,
                    waker: None,
                },
            );
            token
        };
        // From here on, dropping this future ends the watch.
        let watch = Watch {
            shared: Rc::clone(&self.shared),
            token,
        };
        self.request(
            Kind::Watch,
            &[bytes, b"\0", token_text(token).as_bytes(), b"\0"],
        )
        .await?;
        Ok(watch)
    }

    /// Has xenstored forget every watch and transaction of this domain, then sets up again
    /// the watches that exist here. For a domain that may have inherited some: one that was
    /// started by another kernel, or resumed.
    ///
    /// # Errors
    /// [`StoreError`]; old versions of xenstored don't know this request.
    pub async fn reset_watches(&self) -> Result<(), StoreError> {
        self.request(Kind::ResetWatches, &[b"\0"]).await?;
        let mut shared = self.shared.borrow_mut();
        let again: Vec<(u32, String)> = shared
            .watched
            .iter()
            .map(|(token, watched)| (*token, watched.path.clone()))
            .collect();
        for (token, path) in again {
            let token = token_text(token);
            let payload: [&[u8]; 4] = [path.as_bytes(), b"\0", token.as_bytes(), b"\0"];
            shared.post_and_forget(Kind::Watch, 0, &payload);
        }
        Ok(())
    }
}

fn token_text(token: u32) -> String {
    format!("w{token}")
}
