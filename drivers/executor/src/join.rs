//! Waiting for several futures.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::{Pin, pin};
use core::task::Poll;

/// Runs futures concurrently and waits for all of them. Returns their outputs in order.
///
/// Requests to another domain that are made this way share one round trip.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    core::future::poll_fn(|cx| {
        let mut pending = false;
        for (future, slot) in running.iter_mut().zip(&mut done) {
            if slot.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(output) => *slot = Some(output),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// The output of the future that [`select`] saw complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first future.
    First(A),
    /// The second one.
    Second(B),
}

/// Runs two futures until one completes, and drops the other. `a` is polled first.
pub async fn select<A: Future, B: Future>(a: A, b: B) -> Either<A::Output, B::Output> {
    let (mut a, mut b) = (pin!(a), pin!(b));
    core::future::poll_fn(|cx| {
        if let Poll::Ready(output) = a.as_mut().poll(cx) {
            return Poll::Ready(Either::First(output));
        }
        b.as_mut().poll(cx).map(Either::Second)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Signal, Tasks};
    use alloc::rc::Rc;
    use core::cell::RefCell;

    #[test]
    fn join_all_keeps_order() {
        let tasks = Tasks::new();
        let signals: Vec<Signal<u8>> = (0..3).map(|_| Signal::new()).collect();
        let out = Rc::new(RefCell::new(Vec::new()));
        let (waiting, into) = (signals.clone(), Rc::clone(&out));
        tasks.spawn(async move {
            let all = join_all(waiting.iter().map(Signal::taken)).await;
            *into.borrow_mut() = all;
        });
        for (index, value) in [(2, 2), (0, 0), (1, 1)] {
            tasks.poll();
            assert!(out.borrow().is_empty());
            signals[index].raise(value);
        }
        tasks.poll();
        assert_eq!(*out.borrow(), [0, 1, 2]);
    }

    #[test]
    fn select_gives_what_ends_first_and_drops_the_other() {
        let tasks = Tasks::new();
        let (first, second): (Signal<u8>, Signal<char>) = (Signal::new(), Signal::new());
        let out = Rc::new(RefCell::new(Vec::new()));
        for _ in 0..2 {
            let (a, b, into) = (first.clone(), second.clone(), Rc::clone(&out));
            tasks.spawn(async move {
                let ended = select(a.taken(), b.taken()).await;
                into.borrow_mut().push(ended);
            });
            tasks.poll();
            if out.borrow().is_empty() {
                second.raise('b');
            } else {
                // Of two that can end, the first one does.
                second.raise('c');
                first.raise(1);
            }
            tasks.poll();
        }
        assert_eq!(*out.borrow(), [Either::Second('b'), Either::First(1)]);
        assert!(second.is_raised() && tasks.is_empty());
    }
}
