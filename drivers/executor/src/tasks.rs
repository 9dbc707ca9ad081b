//! Just enough of an executor for the control plane.
//!
//! One thread, a handful of tasks, no priorities. [`Tasks::poll`] runs what was woken and
//! returns; who sleeps, and how, is the main loop's business.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::Future;
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// How often [`Tasks::poll`] goes round before it lets the caller do something else.
const MAX_ROUNDS: usize = 32;

/// Set when its task can go on.
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
    /// No tasks yet.
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

    /// Runs every task that was woken, and those they wake in turn. Returns whether any ran.
    ///
    /// Tasks that keep waking each other are cut off after some rounds; they go on at the next
    /// call. A task that calls this itself runs nothing.
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
                // Whatever they own may touch the set when it is dropped.
                drop((finished, future));
            } else {
                self.0.tasks.borrow_mut()[index].future = Some(future);
                index += 1;
            }
        }
        ran
    }

    /// Whether a task can run right now.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        self.0
            .tasks
            .borrow()
            .iter()
            .any(|task| task.woken.0.load(Ordering::Acquire))
    }

    /// Tasks that haven't ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.tasks.borrow().len()
    }

    /// Whether every task has ended.
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

/// A clock that never goes back.
pub trait Clock {
    /// Nanoseconds since some fixed moment.
    fn now_ns(&self) -> u64;
}

#[derive(Default)]
struct Sleepers {
    next_id: u64,
    /// By deadline, then in order of falling asleep.
    waiting: BTreeMap<(u64, u64), Waker>,
}

/// Wakes tasks when their time comes. Clones are handles to the same timers.
#[derive(Clone)]
pub struct Timers {
    clock: Rc<dyn Clock>,
    sleepers: Rc<RefCell<Sleepers>>,
}

impl Timers {
    /// Timers that go by `clock`.
    #[must_use]
    pub fn new(clock: impl Clock + 'static) -> Self {
        Self {
            clock: Rc::new(clock),
            sleepers: Rc::default(),
        }
    }

    /// What the clock says.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// Waits until the clock reaches `deadline_ns`.
    #[must_use]
    pub fn sleep_until(&self, deadline_ns: u64) -> Sleep {
        let mut sleepers = self.sleepers.borrow_mut();
        let id = sleepers.next_id;
        sleepers.next_id += 1;
        Sleep {
            timers: self.clone(),
            key: (deadline_ns, id),
        }
    }

    /// Waits for `duration_ns` from now.
    #[must_use]
    pub fn sleep(&self, duration_ns: u64) -> Sleep {
        self.sleep_until(self.now_ns().saturating_add(duration_ns))
    }

    /// When the next sleeper is due: the main loop must not sleep longer.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.sleepers
            .borrow()
            .waiting
            .keys()
            .next()
            .map(|(deadline_ns, _)| *deadline_ns)
    }

    /// Wakes those whose time has come. Returns whether there were any.
    pub fn expire(&self) -> bool {
        let now_ns = self.now_ns();
        let mut any = false;
        loop {
            let due = self.sleepers.borrow_mut().pop_due(now_ns);
            let Some(waker) = due else { break };
            waker.wake();
            any = true;
        }
        any
    }
}

impl Sleepers {
    fn pop_due(&mut self, now_ns: u64) -> Option<Waker> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now_ns).then(|| first.remove())
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers")
            .field("next_deadline", &self.next_deadline())
            .finish_non_exhaustive()
    }
}

/// A wait for a moment ([`Timers::sleep_until`]).
#[derive(Debug)]
pub struct Sleep {
    timers: Timers,
    key: (u64, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.timers.now_ns() >= self.key.0 {
            return Poll::Ready(());
        }
        self.timers
            .sleepers
            .borrow_mut()
            .waiting
            .insert(self.key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.timers.sleepers.borrow_mut().waiting.remove(&self.key);
    }
}

#[derive(Debug)]
struct SignalState<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

/// A word passed to one waiting task, from code that isn't a task.
///
/// Clones are handles to the same signal. What is raised first stays until it is taken.
#[derive(Debug)]
pub struct Signal<T>(Rc<RefCell<SignalState<T>>>);

impl<T> Signal<T> {
    /// Not raised.
    #[must_use]
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(SignalState {
            value: None,
            waker: None,
        })))
    }

    /// Raises it, unless it already is.
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

    /// Whether it is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.borrow().value.is_some()
    }

    /// Takes what was raised, or has the task woken when something is. One task may wait.
    pub fn poll_taken(&self, cx: &Context<'_>) -> Poll<T> {
        let mut state = self.0.borrow_mut();
        if let Some(value) = state.value.take() {
            return Poll::Ready(value);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Waits until it is raised, and takes what was.
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

/// Runs futures side by side and waits for all; their outputs come in their order.
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

/// What [`select`] saw end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first future.
    First(A),
    /// The second one.
    Second(B),
}

/// Runs two futures until one ends, and drops the other. `a` is polled first.
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
    use crate::fake::FakeClock;
    use alloc::string::String;

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

    #[test]
    fn sleepers_wake_in_order_of_their_deadlines() {
        let (clock, tasks) = (FakeClock::default(), Tasks::new());
        let timers = Timers::new(clock.clone());
        let log = Rc::new(RefCell::new(Vec::new()));
        for deadline in [30, 10, 20, 10] {
            let (log, sleep) = (Rc::clone(&log), timers.sleep_until(deadline));
            tasks.spawn(async move {
                sleep.await;
                log.borrow_mut().push(deadline);
            });
        }
        tasks.poll();
        assert_eq!(timers.next_deadline(), Some(10));
        clock.set_ns(9);
        assert!(!timers.expire());
        clock.set_ns(10);
        assert!(timers.expire());
        tasks.poll();
        assert_eq!(*log.borrow(), [10, 10]);
        clock.set_ns(u64::MAX);
        timers.expire();
        tasks.poll();
        assert_eq!(log.borrow().len(), 4);
        assert_eq!(timers.next_deadline(), None);
    }

    #[test]
    fn a_dropped_sleeper_leaves_no_deadline() {
        let (clock, tasks) = (FakeClock::default(), Tasks::new());
        let timers = Timers::new(clock);
        let mut sleep = timers.sleep(5);
        let waker = Waker::noop();
        assert!(
            Pin::new(&mut sleep)
                .poll(&mut Context::from_waker(waker))
                .is_pending()
        );
        assert_eq!(timers.next_deadline(), Some(5));
        drop(sleep);
        assert_eq!(timers.next_deadline(), None);
        assert!(!tasks.poll());
    }

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
}
