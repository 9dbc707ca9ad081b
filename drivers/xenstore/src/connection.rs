//! A connection to xenstored: requests in flight, watches, and the messages of both directions.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;
use core::task::Waker;

use crate::by_number::ByNumber;
use crate::error::StoreError;
use crate::transport::Transport;
use crate::wire::{self, Decoder, Errno, Header, Kind, Message, PAYLOAD_MAX};

/// Pieces of 1 KiB that one [`Connection::pump`] takes in.
const RECEIVE_ROUNDS: usize = 8;

/// What happened on the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounters {
    /// Replies to requests.
    pub replies: u64,
    /// Watch events that reached a watch.
    pub events: u64,
    /// Replies without a request, which are ignored.
    pub unexpected_replies: u64,
    /// Events without a watch, which are ignored. Some are normal when a watch ends.
    pub stray_events: u64,
    /// Malformed replies and events.
    pub malformed: u64,
}

/// The state of a request.
pub(crate) enum Slot {
    Waiting(Option<Waker>),
    Done(Result<Vec<u8>, StoreError>),
    /// The requester is gone. The number is reserved until the reply arrives.
    Forgotten,
}

/// A request that xenstored hasn't answered, or whose answer hasn't been taken.
pub(crate) struct Pending {
    pub(crate) kind: Kind,
    pub(crate) slot: Slot,
}

/// A watch that xenstored knows by its token.
pub(crate) struct Watched {
    pub(crate) path: String,
    pub(crate) changed: bool,
    pub(crate) waker: Option<Waker>,
}

/// All that is known of a connection to xenstored.
pub(crate) struct Connection {
    transport: Box<dyn Transport>,
    outgoing: VecDeque<u8>,
    decoder: Decoder,
    pub(crate) pending: ByNumber<Pending>,
    pub(crate) watched: ByNumber<Watched>,
    last_req_id: u32,
    pub(crate) last_token: u32,
    /// Transactions that are open, and who waits to open one.
    pub(crate) open_transactions: usize,
    pub(crate) waiting_to_open: Vec<Waker>,
    pub(crate) failed: Option<StoreError>,
    pub(crate) counters: StoreCounters,
    /// Woken when nothing is borrowed any more.
    pub(crate) to_wake: Vec<Waker>,
}

impl Connection {
    /// Creates a connection on a transport that carries nothing yet.
    pub(crate) fn new(transport: Box<dyn Transport>) -> Self {
        Self {
            transport,
            outgoing: VecDeque::new(),
            decoder: Decoder::default(),
            pending: ByNumber::new(),
            watched: ByNumber::new(),
            last_req_id: 0,
            last_token: 0,
            open_transactions: 0,
            waiting_to_open: Vec::new(),
            failed: None,
            counters: StoreCounters::default(),
            to_wake: Vec::new(),
        }
    }

    /// Queues a request; returns its number.
    pub(crate) fn post(
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
        let req_id = next_free(&mut self.last_req_id, |id| self.pending.has(id));
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
        self.pending.add(req_id, Pending { kind, slot });
        Ok(req_id)
    }

    /// Queues a request whose outcome doesn't matter.
    pub(crate) fn post_and_forget(&mut self, kind: Kind, tx_id: u32, payload: &[&[u8]]) {
        // It can fail only if the connection is lost, and then nothing is left to undo.
        let _ = self.post(kind, tx_id, payload, Slot::Forgotten);
    }

    /// Moves bytes both ways. Returns `true` if any moved.
    pub(crate) fn pump(&mut self) -> Result<bool, StoreError> {
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

    /// Takes a message to whoever waits for it.
    fn dispatch(&mut self, message: Message) {
        if message.header.is(Kind::WatchEvent) {
            self.dispatch_event(&message.payload);
            return;
        }
        let Some(pending) = self.pending.get_mut(message.header.req_id) else {
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
            self.pending.remove(message.header.req_id);
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
        let Some(watched) = self.watched.get_mut(token) else {
            self.counters.stray_events += 1;
            return;
        };
        self.counters.events += 1;
        watched.changed = true;
        self.to_wake.extend(watched.waker.take());
    }

    /// Ends the connection: whoever waits is told why.
    pub(crate) fn fail(&mut self, error: StoreError) {
        log::error!(target: "xenstore", "{error}");
        self.failed = Some(error);
        self.outgoing.clear();
        self.pending.retain(|pending| {
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
pub(crate) fn next_free(last: &mut u32, taken: impl Fn(u32) -> bool) -> u32 {
    loop {
        *last = last.wrapping_add(1);
        if *last != 0 && !taken(*last) {
            return *last;
        }
    }
}

/// Returns the transaction that an answer to `XS_TRANSACTION_START` names.
pub(crate) fn parse_tx_id(payload: &[u8]) -> Option<u32> {
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

/// Returns the token of a watch, as xenstored is told it.
pub(crate) fn token_text(token: u32) -> String {
    format!("w{token}")
}
