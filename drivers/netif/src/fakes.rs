//! A backend in memory, for tests of frontends and of their users (feature `fake`).
//!
//! [`Backend`] moves frames as an honest backend does, and panics if the frontend breaks the
//! protocol. It can also be told to lie: [`Backend::answer_rx`], [`Backend::answer_tx`] and
//! [`Backend::poke`] put anything on the rings.

#![expect(clippy::indexing_slicing, reason = "a fake panics if it is misused")]

mod back_ring;
mod backend;
mod control;

pub use self::backend::{Backend, Delivery, Ring, Sent};
pub use self::control::{ControlBackend, Hashing};
