//! The client.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::mem;
use core::ops::Deref;
use core::task::Waker;

use crate::connection::{Connection, StoreCounters, Watched, next_free, token_text};
use crate::error::StoreError;
use crate::transport::Transport;
use crate::view::{View, check_path};
use crate::watch::Watch;
use crate::wire::Kind;

/// A client of xenstored. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Store(View);

impl Deref for Store {
    type Target = View;

    fn deref(&self) -> &View {
        &self.0
    }
}

impl Store {
    /// Creates a client on a transport that carries nothing yet.
    #[must_use]
    pub fn new(transport: impl Transport + 'static) -> Self {
        let connection = Connection::new(Box::new(transport));
        Self(View {
            connection: Rc::new(RefCell::new(connection)),
            tx_id: 0,
        })
    }

    /// Moves bytes in both directions and wakes the tasks concerned. Returns `true` if any were
    /// moved.
    ///
    /// Never blocks. The work of one call is bounded, whatever the peer sends.
    pub fn pump(&self) -> bool {
        let mut connection = self.connection.borrow_mut();
        if connection.failed.is_some() {
            return false;
        }
        let moved = connection.pump().unwrap_or_else(|error| {
            connection.fail(error);
            true
        });
        let to_wake = mem::take(&mut connection.to_wake);
        drop(connection);
        to_wake.into_iter().for_each(Waker::wake);
        moved
    }

    /// Returns the counters.
    #[must_use]
    pub fn counters(&self) -> StoreCounters {
        self.connection.borrow().counters
    }

    /// Returns the error by which the connection was lost; `None` if it wasn't.
    #[must_use]
    pub fn failure(&self) -> Option<StoreError> {
        self.connection.borrow().failed
    }

    /// Returns the number of requests that xenstored hasn't answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.connection.borrow().pending.len()
    }

    /// Watches a node and everything below it. xenstored reports a first change immediately.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn watch(&self, path: &str) -> Result<Watch, StoreError> {
        let bytes = check_path(path)?;
        let token = {
            let mut connection = self.connection.borrow_mut();
            let Connection {
                last_token,
                watched,
                ..
            } = &mut *connection;
            let token = next_free(last_token, |token| watched.has(token));
            watched.add(
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
            connection: Rc::clone(&self.connection),
            token,
        };
        self.request(
            Kind::Watch,
            &[bytes, b"\0", token_text(token).as_bytes(), b"\0"],
        )
        .await?;
        Ok(watch)
    }

    /// Makes xenstored forget all watches and transactions of this domain, then sets up the
    /// existing watches again. For a domain that may have inherited some: one that was started by
    /// another kernel, or resumed.
    ///
    /// # Errors
    /// [`StoreError`]; old versions of xenstored don't support this request.
    pub async fn reset_watches(&self) -> Result<(), StoreError> {
        self.request(Kind::ResetWatches, &[b"\0"]).await?;
        let mut connection = self.connection.borrow_mut();
        let again: Vec<(u32, String)> = connection
            .watched
            .iter()
            .map(|(token, watched)| (token, watched.path.clone()))
            .collect();
        for (token, path) in again {
            let token = token_text(token);
            let payload: [&[u8]; 4] = [path.as_bytes(), b"\0", token.as_bytes(), b"\0"];
            connection.post_and_forget(Kind::Watch, 0, &payload);
        }
        Ok(())
    }
}
