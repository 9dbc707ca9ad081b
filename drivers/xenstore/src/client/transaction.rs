//! Changes that take effect at once or not at all.

use super::*;

/// How often a transaction is tried before it is given up.
const TRANSACTION_ATTEMPTS: usize = 16;
/// Transactions open at once; others wait. xenstored's quota is often 10 for a domain.
const TRANSACTIONS_OPEN: usize = 4;

impl Store {
    /// Runs `body` in a transaction, again from the start if another one came between.
    ///
    /// What `body` wrote takes effect at once or, if it fails, not at all.
    ///
    /// # Errors
    /// Those of `body`; [`StoreError::Conflict`] if it came to nothing too often.
    pub async fn transaction<R, E: From<StoreError>>(
        &self,
        body: impl AsyncFn(&Transaction) -> Result<R, E>,
    ) -> Result<R, E> {
        for _ in 0..TRANSACTION_ATTEMPTS {
            let _turn = self.turn_to_open().await;
            let reply = self.request(Kind::TransactionStart, &[b"\0"]).await?;
            let tx_id = parse_tx_id(&reply).ok_or(StoreError::Malformed)?;
            let shared = Rc::clone(&self.shared);
            let transaction = Transaction {
                access: Access { shared, tx_id },
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
            let mut shared = self.shared.borrow_mut();
            if shared.open_transactions < TRANSACTIONS_OPEN {
                shared.open_transactions += 1;
                return Poll::Ready(Turn(Rc::clone(&self.shared)));
            }
            shared.waiting_to_open.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// The right to have one transaction open.
struct Turn(Rc<RefCell<Shared>>);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut shared = self.0.borrow_mut();
        shared.open_transactions -= 1;
        let waiting = mem::take(&mut shared.waiting_to_open);
        drop(shared);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Access within a transaction. Discarded if it is dropped uncommitted.
#[derive(Debug)]
pub struct Transaction {
    access: Access,
    ended: bool,
}

impl Transaction {
    async fn commit(mut self) -> Result<(), StoreError> {
        let request = self.access.clone();
        self.ended = true;
        request
            .request(Kind::TransactionEnd, &[b"T\0"])
            .await
            .map(drop)
    }
}

impl Deref for Transaction {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.access
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.ended {
            let mut shared = self.access.shared.borrow_mut();
            shared.post_and_forget(Kind::TransactionEnd, self.access.tx_id, &[b"F\0"]);
        }
    }
}
