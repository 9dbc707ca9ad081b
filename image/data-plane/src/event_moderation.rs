//! Event moderation: whether to be woken by every frame, or once for many.
//!
//! A wake-up costs the same whether one frame waits or sixty: the hypervisor's way in and out
//! of the domain, the backend's event, and on the way out one event for what was sent. Being
//! woken by each frame is best for as long as that is cheap, since then no frame waits. Where
//! frames come so fast that wake-ups would take more than a few per cent of a processor,
//! [`EventModeration`] coalesces: the loop then sleeps until [`COALESCED_FRAMES`] have come or
//! [`EventModeration::wait_limit_ns`] has passed, and no frame waits longer than that.
//!
//! How long that is follows from what a wake-up costs on this machine, as measured: so long
//! that wake-ups take about 2.5 % of a processor, and never more than [`MAX_WAIT_NS`].
//!
//! Coalescing only pays when the frames don't depend on each other. Where each frame answers one
//! that was delayed (a ping, a request and its response), delay lowers the rate and nothing is
//! gained. So what the first waits bring is compared with what was expected; if it is less
//! than half, frames wake at once again, and the next try is made only after a pause that
//! grows with each failure.
//!
//! The time is an argument. A loop that found nothing sleeps without a limit, so that there is no
//! tick.

/// The number of frames that end a wait: a burst of the loop, which is also what Linux's netback
/// handles at a time.
pub const COALESCED_FRAMES: u32 = 64;
/// The maximum wait in ns, which limits the additional delay of a frame.
pub const MAX_WAIT_NS: u64 = 250_000;
/// The minimum wait in ns: below this, a timer is no cheaper than the events.
const MIN_WAIT_NS: u64 = 50_000;
/// The ratio of a wait to the cost of a wake-up, and thus the inverse of the maximum share of CPU
/// time for wake-ups.
const WAKEUPS_PER_WAIT: u64 = 40;
/// The number of frames expected in a wait from which coalescing starts.
const ENTER: u64 = 4;
/// The number of frames expected in a wait below which coalescing ends.
const LEAVE: u64 = 2;
/// Waits in a period, at whose end it is judged: frames come in lumps, so that a single wait
/// says little.
const PERIOD: u64 = 8;
/// The assumed cost of a wake-up until it has been measured, in ns.
const INITIAL_WAKEUP_COST_NS: u64 = 5_000;
/// The number of waits before the next attempt, after one failed attempt and after many.
const PAUSE: core::ops::RangeInclusive<u64> = 64..=4096;
/// A wake-up with at most this many frames is used to measure the cost.
const FEW: u32 = 2;

/// The activity since the last sleep was planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// The caller slept.
    pub slept: bool,
    /// Frames received.
    pub frames: u32,
    /// CPU time used, in ns, including the hypervisor's on our behalf.
    pub cpu_time_ns: u64,
}

/// How to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sleep {
    /// Frames on one ring that are worth an event.
    pub frames: u32,
    /// The time limit, in ns from now.
    pub limit: Option<u64>,
}

/// Woken by each frame.
const PROMPT: Sleep = Sleep {
    frames: 1,
    limit: None,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Each frame wakes.
    Prompt,
    /// Frames are coalesced, and this many were expected in each wait.
    Trying { expected: u64 },
    /// Frames are coalesced.
    Coalescing,
}

/// Decides how to sleep based on past activity.
#[derive(Clone, Debug)]
pub struct EventModeration {
    state: State,
    /// What a wake-up costs in ns, as a moving average.
    wakeup_cost_ns: u64,
    /// Start of the time in which `frames` came, in ns.
    start: u64,
    frames: u64,
    /// Before this, in ns, frames aren't coalesced.
    not_before: u64,
    /// Waits to pass after the next failure.
    pause: u64,
}

impl Default for EventModeration {
    fn default() -> Self {
        Self::new()
    }
}

impl EventModeration {
    /// Creates a state in which each frame wakes the CPU, until there are many.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Prompt,
            wakeup_cost_ns: INITIAL_WAKEUP_COST_NS,
            start: 0,
            frames: 0,
            not_before: 0,
            pause: *PAUSE.start(),
        }
    }

    /// Returns how long a frame may wait for others, in ns.
    #[must_use]
    pub fn wait_limit_ns(&self) -> u64 {
        self.wakeup_cost_ns
            .saturating_mul(WAKEUPS_PER_WAIT)
            .clamp(MIN_WAIT_NS, MAX_WAIT_NS)
    }

    /// Returns `true` if frames are coalesced.
    #[must_use]
    pub fn is_coalescing(&self) -> bool {
        self.state != State::Prompt
    }

    /// Returns what a wake-up costs, in ns of processor time.
    #[must_use]
    pub fn wakeup_cost_ns(&self) -> u64 {
        self.wakeup_cost_ns
    }

    /// Returns how to sleep at `now`, in ns. Must be called each time that the caller is about to
    /// sleep, even if it then finds that it can't.
    pub fn plan(&mut self, now: u64, activity: Activity) -> Sleep {
        if activity.slept && (1..=FEW).contains(&activity.frames) {
            let sample = activity.cpu_time_ns.min(MAX_WAIT_NS / WAKEUPS_PER_WAIT * 2);
            self.wakeup_cost_ns = (self.wakeup_cost_ns * 7 + sample) / 8;
        }
        self.frames += u64::from(activity.frames);
        let wait = self.wait_limit_ns();
        let elapsed = now.saturating_sub(self.start);
        // `expected` frames in a wait, as a product that doesn't round.
        let comes =
            |expected: u64| self.frames.saturating_mul(wait) >= expected.saturating_mul(elapsed);
        if elapsed >= PERIOD * wait {
            match self.state {
                State::Prompt if comes(ENTER) && now >= self.not_before => {
                    let expected = self.frames.saturating_mul(wait) / elapsed;
                    self.state = State::Trying { expected };
                }
                State::Trying { expected } if comes(expected / 2) => {
                    self.state = State::Coalescing;
                    self.pause = *PAUSE.start();
                }
                State::Trying { .. } => {
                    self.state = State::Prompt;
                    self.not_before = now.saturating_add(self.pause.saturating_mul(wait));
                    self.pause = (self.pause * 2).min(*PAUSE.end());
                }
                State::Coalescing if !comes(LEAVE) => self.state = State::Prompt,
                State::Prompt | State::Coalescing => {}
            }
            self.start = now;
            self.frames = 0;
        }
        // A wait that brought nothing is followed by one for the next frame, however long that
        // takes: a timer that goes on by itself would be a tick.
        if self.state == State::Prompt || (activity.slept && activity.frames == 0) {
            return PROMPT;
        }
        Sleep {
            frames: COALESCED_FRAMES,
            limit: Some(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    /// What a wake-up costs here, in ns.
    const PRICE: u64 = 3_000;
    /// What a frame costs.
    const WORK: u64 = 400;

    /// A loop that sleeps as it is told.
    #[derive(Default)]
    struct Loop {
        moderation: EventModeration,
        now: u64,
        wakes: u64,
        frames: u64,
        /// Wake-ups without a frame.
        empty: u64,
        /// Longest that a frame waited, in ns.
        delay: u64,
    }

    impl Loop {
        /// Feeds frames that arrive at these times, in ns and in order, and goes to sleep for
        /// good when they have all come. Returns the last plan.
        fn run(&mut self, arrivals: impl IntoIterator<Item = u64>) -> Sleep {
            let mut arrivals = arrivals.into_iter().peekable();
            let mut activity = Activity::default();
            loop {
                let sleep = self.moderation.plan(self.now, activity);
                let limit = sleep.limit.map_or(u64::MAX, |limit| self.now + limit);
                let mut frames = 0;
                let mut first = None;
                let mut woken = limit;
                while let Some(&at) = arrivals.peek() {
                    if at > limit {
                        break;
                    }
                    arrivals.next();
                    first.get_or_insert(at);
                    frames += 1;
                    if frames == sleep.frames {
                        woken = at.max(self.now);
                        break;
                    }
                }
                if woken == u64::MAX {
                    return sleep;
                }
                // Late ones that came while it worked are found with the rest.
                while arrivals.next_if(|&at| at <= woken).is_some() {
                    frames += 1;
                }
                let ran = PRICE + u64::from(frames) * WORK;
                self.delay = self
                    .delay
                    .max(first.map_or(0, |at| woken.saturating_sub(at)));
                self.now = woken + ran;
                self.wakes += 1;
                self.frames += u64::from(frames);
                self.empty += u64::from(frames == 0);
                activity = Activity {
                    slept: true,
                    frames,
                    cpu_time_ns: ran,
                };
            }
        }

        /// The same with frames at `rate` a second for `ms` milliseconds, beginning now.
        fn steady(&mut self, rate: u64, ms: u64) -> Sleep {
            let (start, gap) = (self.now, 1_000_000_000 / rate);
            self.run((1..=rate * ms / 1000).map(|i| start + i * gap))
        }

        fn per_wake(&mut self, rate: u64, ms: u64) -> u64 {
            self.steady(rate, 200);
            (self.wakes, self.frames) = (0, 0);
            self.steady(rate, ms);
            self.frames / self.wakes
        }
    }

    #[test]
    fn few_frames_never_wait() {
        for rate in [1, 100, 1_000, 5_000, 9_000] {
            let mut it = Loop::default();
            it.steady(rate, 2_000);
            assert_eq!((it.delay, it.empty), (0, 0), "{rate}");
            assert_eq!(it.wakes, it.frames, "{rate}");
        }
    }

    #[test]
    fn many_frames_share_a_wake_up() {
        let mut it = Loop::default();
        assert!(it.per_wake(400_000, 1_000) >= 32);
        assert!(it.per_wake(1_000_000, 1_000) >= 60);
        assert!(it.moderation.is_coalescing());
    }

    #[test]
    fn waits_are_worth_forty_wake_ups() {
        let mut it = Loop::default();
        it.steady(1_000, 1_000);
        let wait = it.moderation.wait_limit_ns();
        assert!((PRICE * 40..PRICE * 56).contains(&wait), "{wait}");
        // Between few frames and a full burst, wake-ups take about one part in forty.
        (it.wakes, it.frames) = (0, 0);
        it.steady(40_000, 2_000);
        assert!(it.wakes * PRICE < 2_000_000_000 / 24, "{}", it.wakes);
    }

    #[test]
    fn no_frame_waits_longer_than_said() {
        for rate in [5_000, 20_000, 50_000, 100_000, 1_000_000] {
            let mut it = Loop::default();
            it.steady(rate, 500);
            // Those that came while it worked on others waited for that as well.
            let work = PRICE + u64::from(COALESCED_FRAMES) * WORK;
            assert!(
                it.delay <= it.moderation.wait_limit_ns().max(MAX_WAIT_NS) + work,
                "{rate}: {}",
                it.delay
            );
        }
        // However dear a wake-up is said to be.
        let mut moderation = EventModeration::new();
        for i in 0..100 {
            let activity = Activity {
                slept: true,
                frames: 1,
                cpu_time_ns: u64::MAX,
            };
            moderation.plan(i * 1_000_000_000, activity);
        }
        assert_eq!(moderation.wait_limit_ns(), MAX_WAIT_NS);
    }

    #[test]
    fn silence_ends_all_waits() {
        let mut it = Loop::default();
        it.steady(300_000, 100);
        // A single wait may have been in vain, none after it.
        assert_eq!(it.steady(300_000, 100), PROMPT);
        assert!(it.empty <= 2, "{}", it.empty);
        it.now += 3_000_000_000;
        it.delay = 0;
        it.steady(10, 1_000);
        assert_eq!(it.delay, 0, "the first frame after silence waited");
        assert!(!it.moderation.is_coalescing());
    }

    #[test]
    fn lumps_are_a_rate_too() {
        let mut it = Loop::default();
        // 64 frames at once every 3 ms.
        it.run((0..12_800).map(|i| i / 64 * 3_000_000));
        (it.wakes, it.frames, it.empty) = (0, 0, 0);
        let start = it.now;
        it.run((0..12_800).map(|i| start + i / 64 * 3_000_000));
        assert!(it.frames / it.wakes >= 21, "{} in {}", it.frames, it.wakes);
        assert!(
            it.empty <= 200,
            "at most one wait in vain a lump: {}",
            it.empty
        );
    }

    /// A ping-pong: each frame is sent when the one before was answered.
    #[test]
    fn frames_that_wait_for_each_other_are_left_alone() {
        let mut moderation = EventModeration::new();
        let (mut now, mut activity) = (0, Activity::default());
        let (mut prompt, mut total) = (0, 0);
        while now < 20_000_000_000 {
            let sleep = moderation.plan(now, activity);
            let arrival = now + 30_000;
            now = if sleep.frames == 1 {
                arrival
            } else {
                now + sleep.limit.unwrap()
            };
            prompt += u64::from(sleep.frames == 1);
            total += 1;
            activity = Activity {
                slept: true,
                frames: 1,
                cpu_time_ns: PRICE + WORK,
            };
            now += PRICE + WORK;
        }
        assert!(prompt * 1000 >= total * 995, "{prompt} of {total}");
    }

    #[test]
    fn clocks_that_stand_still_or_jump_do_no_harm() {
        let mut moderation = EventModeration::new();
        for now in [0, 0, 5, u64::MAX, 3, u64::MAX - 1, 0] {
            let activity = Activity {
                slept: true,
                frames: u32::MAX,
                cpu_time_ns: 0,
            };
            let sleep = moderation.plan(now, activity);
            assert!(sleep.limit.is_none_or(|limit| limit <= MAX_WAIT_NS));
        }
    }
}
