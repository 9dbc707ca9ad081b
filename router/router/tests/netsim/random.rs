//! Numbers that follow from a seed, and the seeds that tests run with.

/// A sequence of well mixed numbers (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    /// Returns `true` this many times in a thousand.
    pub(crate) fn per_mille(&mut self, part: u64) -> bool {
        part > 0 && self.below(1000) < part
    }
}

/// Prints which seed it was if a test fails.
struct Running(u64);

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to run this again: NETSIM_SEED={}", self.0);
        }
    }
}

/// Runs a test with seeds 1 to `count`, or the one that the environment names.
pub(crate) fn with_seeds(count: u64, test: impl Fn(u64)) {
    let seeds = match std::env::var("NETSIM_SEED") {
        Ok(text) => {
            let seed = text.parse().expect("NETSIM_SEED is a number");
            seed..=seed
        }
        Err(_) => 1..=count,
    };
    for seed in seeds {
        let _running = Running(seed);
        test(seed);
    }
}
