//! The executor and its tasks.
//!
//! There is one thread, a handful of tasks, and no priorities. [`Tasks::poll`] runs the tasks that
//! were woken and returns; the main loop decides when and how to sleep.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Waker};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The maximum number of rounds of [`Tasks::poll`] before it returns to the caller.
const MAX_ROUNDS: usize = 32;

/// Set when its task has been woken.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

struct Task {
    woken: Arc<Woken>,
    waker: Waker,
    /// Absent while it is being polled.
    future: Option<BoxFuture<'static, ()>>,
}

/// A set of running tasks. Clones are handles to the same set.
#[derive(Clone, Default)]
pub struct Tasks(Rc<TaskSet>);

#[derive(Default)]
struct TaskSet {
    tasks: RefCell<Vec<Task>>,
    polling: Cell<bool>,
}

impl Tasks {
    /// Creates an empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a task; it first runs at the next [`Tasks::poll`]. A task may spawn others.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        self.0.tasks.borrow_mut().push(Task {
            woken,
            waker,
            future: Some(Box::pin(future)),
        });
    }

    /// Runs all tasks that were woken, and those that they wake in turn. Returns `true` if any ran.
    ///
    /// If tasks keep waking each other, this returns after some rounds, and they continue with the
    /// next call. It does nothing when called by a task.
    pub fn poll(&self) -> bool {
        if self.0.polling.replace(true) {
            return false;
        }
        let mut ran = false;
        for _ in 0..MAX_ROUNDS {
            if !self.poll_round() {
                break;
            }
            ran = true;
        }
        self.0.polling.set(false);
        ran
    }

    fn poll_round(&self) -> bool {
        let mut ran = false;
        let mut index = 0;
        // The set is not borrowed while a task runs: the task may add to it.
        loop {
            let (waker, future) = {
                let mut tasks = self.0.tasks.borrow_mut();
                let Some(task) = tasks.get_mut(index) else {
                    break;
                };
                if !task.woken.0.swap(false, Ordering::Acquire) {
                    index += 1;
                    continue;
                }
                (task.waker.clone(), task.future.take())
            };
            let Some(mut future) = future else { break };
            ran = true;
            let done = future
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready();
            if done {
                let finished = self.0.tasks.borrow_mut().remove(index);
                // What they own may use the set when it is dropped.
                drop((finished, future));
            } else {
                self.0.tasks.borrow_mut()[index].future = Some(future);
                index += 1;
            }
        }
        ran
    }

    /// Returns `true` if a task has been woken.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        self.0
            .tasks
            .borrow()
            .iter()
            .any(|task| task.woken.0.load(Ordering::Acquire))
    }

    /// Returns the number of tasks that haven't completed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.tasks.borrow().len()
    }

    /// Returns `true` if all tasks have completed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signal;
    use alloc::string::String;
    use core::task::Poll;

    #[test]
    fn tasks_run_when_woken_and_only_then() {
        let tasks = Tasks::new();
        let signal = Signal::new();
        let log = Rc::new(RefCell::new(String::new()));
        let (from, into) = (signal.clone(), Rc::clone(&log));
        tasks.spawn(async move {
            loop {
                let word: char = from.taken().await;
                into.borrow_mut().push(word);
                if word == '.' {
                    break;
                }
            }
        });
        assert!(tasks.poll());
        assert!(!tasks.poll());
        for word in ['a', 'b', '.'] {
            signal.raise(word);
            signal.raise('?');
            assert!(tasks.is_woken());
            assert!(tasks.poll());
        }
        assert_eq!(*log.borrow(), "ab.");
        assert!(tasks.is_empty());
    }

    #[test]
    fn a_task_may_spawn_and_be_dropped_with_what_it_owns() {
        let tasks = Tasks::new();
        let inner = tasks.clone();
        let count = Rc::new(Cell::new(0));
        let seen = Rc::clone(&count);
        tasks.spawn(async move {
            for _ in 0..3 {
                let seen = Rc::clone(&seen);
                inner.spawn(async move { seen.set(seen.get() + 1) });
            }
        });
        tasks.poll();
        assert_eq!(count.get(), 3);
        assert_eq!(Rc::strong_count(&count), 1);
        assert!(tasks.is_empty());
    }

    #[test]
    fn tasks_that_wake_themselves_forever_do_not_hold_the_caller() {
        let tasks = Tasks::new();
        tasks.spawn(core::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        assert!(tasks.poll());
        assert!(tasks.is_woken());
    }
}
