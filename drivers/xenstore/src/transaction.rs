//! Transactions: changes that take effect atomically.

use alloc::rc::Rc;
use core::cell::RefCell;
use core::mem;
use core::ops::Deref;
use core::task::{Poll, Waker};

use crate::connection::{Connection, parse_tx_id};
use crate::error::StoreError;
use crate::store::Store;
use crate::view::View;
use crate::wire::{Errno, Kind};

/// The maximum number of attempts of a transaction.
const TRANSACTION_ATTEMPTS: usize = 16;
/// The maximum number of open transactions; others wait. xenstored's quota is often 10 per domain.
const TRANSACTIONS_OPEN: usize = 4;

impl Store {
    /// Runs `body` in a transaction, and again from the start if it conflicts with another one.
    ///
    /// The writes of `body` take effect atomically or, if it fails, not at all.
    ///
    /// # Errors
    /// Those of `body`; [`StoreError::Conflict`] after too many conflicts.
    pub async fn transaction<R, E: From<StoreError>>(
        &self,
        body: impl AsyncFn(&Transaction) -> Result<R, E>,
    ) -> Result<R, E> {
        for _ in 0..TRANSACTION_ATTEMPTS {
            let _turn = self.turn_to_open().await;
            let reply = self.request(Kind::TransactionStart, &[b"\0"]).await?;
            let tx_id = parse_tx_id(&reply).ok_or(StoreError::Malformed)?;
            let connection = Rc::clone(&self.connection);
            let transaction = Transaction {
                view: View { connection, tx_id },
                ended: false,
            };
            let result = body(&transaction).await?;
            match transaction.commit().await {
                Ok(()) => return Ok(result),
                Err(StoreError::Refused(Errno::Again)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn turn_to_open(&self) -> Turn {
        core::future::poll_fn(|cx| {
            let mut connection = self.connection.borrow_mut();
            if connection.open_transactions < TRANSACTIONS_OPEN {
                connection.open_transactions += 1;
                return Poll::Ready(Turn(Rc::clone(&self.connection)));
            }
            connection.waiting_to_open.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// A permit for one open transaction.
struct Turn(Rc<RefCell<Connection>>);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut connection = self.0.borrow_mut();
        connection.open_transactions -= 1;
        let waiting = mem::take(&mut connection.waiting_to_open);
        drop(connection);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// A transaction's view of the nodes. The transaction is discarded if this is dropped uncommitted.
#[derive(Debug)]
pub struct Transaction {
    view: View,
    ended: bool,
}

impl Transaction {
    async fn commit(mut self) -> Result<(), StoreError> {
        let request = self.view.clone();
        self.ended = true;
        request
            .request(Kind::TransactionEnd, &[b"T\0"])
            .await
            .map(drop)
    }
}

impl Deref for Transaction {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.ended {
            let mut connection = self.view.connection.borrow_mut();
            connection.post_and_forget(Kind::TransactionEnd, self.view.tx_id, &[b"F\0"]);
        }
    }
}
