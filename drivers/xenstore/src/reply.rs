//! The reply to a request, to be awaited.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::connection::{Connection, Slot, parse_tx_id};
use crate::error::StoreError;
use crate::wire::Kind;

/// A request on its way.
pub(crate) struct Reply {
    connection: Rc<RefCell<Connection>>,
    req_id: u32,
    taken: bool,
}

impl Reply {
    /// Returns the reply to the request of this number.
    pub(crate) fn to(connection: Rc<RefCell<Connection>>, req_id: u32) -> Self {
        Self {
            connection,
            req_id,
            taken: false,
        }
    }
}

impl Future for Reply {
    type Output = Result<Vec<u8>, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let connection = Rc::clone(&self.connection);
        let mut connection = connection.borrow_mut();
        let Some(pending) = connection.pending.get_mut(self.req_id) else {
            return Poll::Ready(Err(StoreError::Malformed));
        };
        if let Slot::Waiting(waker) = &mut pending.slot {
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.taken = true;
        match connection
            .pending
            .remove(self.req_id)
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
        let mut connection = self.connection.borrow_mut();
        let Some(pending) = connection.pending.get_mut(self.req_id) else {
            return;
        };
        match mem::replace(&mut pending.slot, Slot::Forgotten) {
            Slot::Done(result) => {
                let kind = pending.kind;
                connection.pending.remove(self.req_id);
                if let (Kind::TransactionStart, Ok(payload)) = (kind, result)
                    && let Some(tx_id) = parse_tx_id(&payload)
                {
                    connection.post_and_forget(Kind::TransactionEnd, tx_id, &[b"F\0"]);
                }
            }
            Slot::Waiting(_) | Slot::Forgotten => {}
        }
    }
}
