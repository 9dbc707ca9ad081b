//! Watches.

use alloc::rc::Rc;
use core::cell::RefCell;
use core::fmt;
use core::mem;
use core::task::{Context, Poll};

use crate::connection::{Connection, token_text};
use crate::error::StoreError;
use crate::wire::Kind;

/// A watch, which ends when it is dropped.
pub struct Watch {
    pub(crate) connection: Rc<RefCell<Connection>>,
    pub(crate) token: u32,
}

impl Watch {
    /// Waits for a change since the last one that was reported. Several changes may be reported as
    /// one, but none is lost.
    ///
    /// # Errors
    /// [`StoreError`] if the connection is lost.
    pub async fn changed(&mut self) -> Result<(), StoreError> {
        core::future::poll_fn(|cx| self.poll_changed(cx)).await
    }

    /// Polls for a change, like [`Watch::changed`], to be combined with other futures.
    ///
    /// # Errors
    /// [`StoreError`] if the connection is lost.
    pub fn poll_changed(&mut self, cx: &Context<'_>) -> Poll<Result<(), StoreError>> {
        let mut connection = self.connection.borrow_mut();
        if let Some(error) = connection.failed {
            return Poll::Ready(Err(error));
        }
        let Some(watched) = connection.watched.get_mut(self.token) else {
            return Poll::Pending;
        };
        if mem::take(&mut watched.changed) {
            return Poll::Ready(Ok(()));
        }
        watched.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut connection = self.connection.borrow_mut();
        if let Some(watched) = connection.watched.remove(self.token) {
            let token = token_text(self.token);
            let payload: [&[u8]; 4] = [watched.path.as_bytes(), b"\0", token.as_bytes(), b"\0"];
            connection.post_and_forget(Kind::Unwatch, 0, &payload);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
