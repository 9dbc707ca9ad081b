//! Error types, by who is at fault.
//!
//! [`PeerFault`]: the backend violated the protocol; the vif has to be closed and may reconnect.
//! [`SendError`]: a frame can't be sent here or now, and is returned to the caller. [`QueueError`]:
//! the machine or the caller is at fault, as with [`PoolError`](page_pool::PoolError).

use core::fmt;

use page_pool::Frame;
use xen_hal::HalError;
use xen_ring::Corrupt;

/// A protocol violation by the backend. The queue does nothing more until it is closed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerFault {
    /// The index of the receive ring is impossible.
    RxIndex(Corrupt),
    /// The index of the transmit ring is impossible.
    TxIndex(Corrupt),
    /// A receive response has an id other than the request in its slot.
    RxId {
        /// The slot.
        slot: u8,
        /// The id of the response.
        id: u16,
    },
    /// A received fragment reaches beyond its page.
    RxBounds {
        /// The offset of the fragment in its page.
        offset: u16,
        /// Its length in bytes.
        len: u16,
    },
    /// A receive response has flags that are invalid at its position.
    RxFlags(u16),
    /// A received packet has more slots than the protocol allows.
    RxTooManySlots,
    /// An extra info of a received packet is invalid.
    RxExtra {
        /// Its type.
        kind: u8,
    },
    /// A transmit response has the id of no request in flight.
    TxId(u16),
    /// A transmit response has a status that netif.h doesn't know.
    TxStatus(i16),
    /// A transmit response is for an extra info, but none was sent.
    TxNull,
    /// The index of the control ring is impossible.
    CtrlIndex(Corrupt),
    /// A control response has an id other than the request's.
    CtrlId(u16),
    /// A control response has a type other than the request's.
    CtrlType(u16),
}

impl fmt::Display for PeerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerFault::RxIndex(corrupt) => write!(f, "receive: {corrupt}"),
            PeerFault::TxIndex(corrupt) => write!(f, "transmit: {corrupt}"),
            PeerFault::RxId { slot, id } => {
                write!(
                    f,
                    "receive: response {id} in slot {slot} is to another request"
                )
            }
            PeerFault::RxBounds { offset, len } => {
                write!(f, "receive: {len} bytes at {offset} exceed the page")
            }
            PeerFault::RxFlags(flags) => write!(f, "receive: invalid flags {flags:#x}"),
            PeerFault::RxTooManySlots => f.write_str("receive: packet in too many slots"),
            PeerFault::RxExtra { kind } => write!(f, "receive: bad extra info of type {kind}"),
            PeerFault::TxId(id) => write!(f, "transmit: response {id} without a request"),
            PeerFault::TxStatus(status) => write!(f, "transmit: unknown status {status}"),
            PeerFault::TxNull => f.write_str("transmit: response without an extra info"),
            PeerFault::CtrlIndex(corrupt) => write!(f, "control: {corrupt}"),
            PeerFault::CtrlId(id) => write!(f, "control: response {id} without a request"),
            PeerFault::CtrlType(kind) => {
                write!(f, "control: response of type {kind} to another request")
            }
        }
    }
}

impl core::error::Error for PeerFault {}

/// The reason why a frame can't be sent.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// No room in the ring now.
    Full,
    /// The backend doesn't accept packets in several slots (`feature-sg`).
    NoScatter,
    /// The backend doesn't segment this type of packet (`feature-gso-*`).
    NoGso,
    /// The backend doesn't complete checksums (`feature-no-csum-offload`), or not in this IP
    /// version (`feature-ipv6-csum-offload`).
    NoChecksum,
    /// It is in more slots than a backend has to accept
    /// ([`MAX_SLOTS`](netif::messages::MAX_SLOTS)).
    TooManySlots,
    /// It is longer than a packet may be ([`MAX_TX_SIZE`](netif::messages::MAX_TX_SIZE)).
    TooLong,
    /// The frame's pool is granted to another domain: it must be copied.
    OtherPool,
    /// The queue has stopped because of a [`PeerFault`].
    Closed,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Full => "transmit ring full",
            SendError::NoScatter => "backend takes one slot a frame",
            SendError::NoGso => "backend takes no large frames",
            SendError::NoChecksum => "backend completes no checksums",
            SendError::TooManySlots => "frame is in too many slots",
            SendError::TooLong => "frame is too long",
            SendError::OtherPool => "frame is granted to another domain",
            SendError::Closed => "queue is closed",
        })
    }
}

impl core::error::Error for SendError {}

/// A frame that was not sent.
#[derive(Debug)]
#[must_use = "the frame is to be sent elsewhere or freed"]
pub struct Unsent {
    /// The frame, as it was.
    pub frame: Frame,
    /// The reason.
    pub why: SendError,
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl core::error::Error for Unsent {}

/// The reason why a queue can't be created.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueError {
    /// The machine has no more pages, grants or event channels.
    Hal(HalError),
    /// The pool has no such home.
    NoSuchHome,
    /// The pool's limit of queues is reached.
    TooManyQueues,
}

impl From<HalError> for QueueError {
    fn from(error: HalError) -> Self {
        QueueError::Hal(error)
    }
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueError::Hal(error) => error.fmt(f),
            QueueError::NoSuchHome => f.write_str("no such home of packet pages"),
            QueueError::TooManyQueues => f.write_str("too many queues"),
        }
    }
}

impl core::error::Error for QueueError {}
