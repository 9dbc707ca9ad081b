//! A value passed to a waiting task.

use alloc::rc::Rc;
use core::cell::RefCell;
use core::task::{Context, Poll, Waker};

#[derive(Debug)]
struct SignalState<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

/// A value passed to a waiting task from code that isn't a task.
///
/// Clones are handles to the same signal. The first value that is raised stays until it is taken.
#[derive(Debug)]
pub struct Signal<T>(Rc<RefCell<SignalState<T>>>);

impl<T> Signal<T> {
    /// Creates a signal that isn't raised.
    #[must_use]
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(SignalState {
            value: None,
            waker: None,
        })))
    }

    /// Raises the signal with a value, unless it is already raised.
    pub fn raise(&self, value: T) {
        let mut state = self.0.borrow_mut();
        if state.value.is_some() {
            return;
        }
        state.value = Some(value);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Returns `true` if it is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.borrow().value.is_some()
    }

    /// Takes the raised value, or registers the task to be woken when one is raised. Only one task
    /// may wait.
    pub fn poll_taken(&self, cx: &Context<'_>) -> Poll<T> {
        let mut state = self.0.borrow_mut();
        if let Some(value) = state.value.take() {
            return Poll::Ready(value);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Waits until the signal is raised, and takes the value.
    pub async fn taken(&self) -> T {
        core::future::poll_fn(|cx| self.poll_taken(cx)).await
    }
}

impl<T> Clone for Signal<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Default for Signal<T> {
    fn default() -> Self {
        Self::new()
    }
}
