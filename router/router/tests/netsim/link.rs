//! Links: what a switch and its cables do to frames.

use crate::random::Random;

/// What a link does to frames beside carrying them. Shares are in a thousand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) delay_us: u64,
    /// At most so much more, drawn again for each frame: they overtake each other.
    pub(crate) jitter_us: u64,
    pub(crate) lost: u64,
    /// The same for ARP and Neighbor Discovery.
    pub(crate) questions_lost: u64,
    pub(crate) duplicated: u64,
}

impl Weather {
    pub(crate) const CALM: Self = Self {
        delay_us: 100,
        jitter_us: 0,
        lost: 0,
        questions_lost: 0,
        duplicated: 0,
    };

    /// Packets get lost, come twice and overtake each other.
    pub(crate) const STORM: Self = Self {
        delay_us: 100,
        jitter_us: 3000,
        lost: 50,
        questions_lost: 50,
        duplicated: 50,
    };
}

/// Who is on a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Node {
    /// A router by its number, with the interface.
    Router(usize, u8),
    Host(usize),
}

/// What became of frames, once for each node that each was for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) duplicated: u64,
    pub(crate) lost: u64,
    pub(crate) delivered: u64,
    pub(crate) under_way: u64,
}

impl Tally {
    pub(crate) fn assert_balance(&self) {
        assert_eq!(
            self.sent + self.duplicated,
            self.lost + self.delivered + self.under_way
        );
    }
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) nodes: Vec<Node>,
    /// The largest IP packet, in bytes.
    pub(crate) mtu: usize,
    pub(crate) weather: Weather,
    pub(crate) up: bool,
    pub(crate) tally: Tally,
    /// Of these, the datagrams.
    pub(crate) datagrams: Tally,
}

impl Link {
    /// When a frame arrives, in us from now: never, once or twice.
    pub(crate) fn arrivals(&self, random: &mut Random, is_question: bool) -> Vec<u64> {
        let weather = &self.weather;
        let lost = match is_question {
            true => weather.questions_lost,
            false => weather.lost,
        };
        if !self.up || random.per_mille(lost) {
            return vec![];
        }
        let copies = 1 + usize::from(random.per_mille(weather.duplicated));
        (0..copies)
            .map(|_| weather.delay_us + random.below(weather.jitter_us + 1))
            .collect()
    }
}

/// Returns `true` if a frame is one of ARP or Neighbor Discovery.
pub(crate) fn is_question(frame: &[u8]) -> bool {
    match frame[12..14] {
        [8, 6] => true,
        [0x86, 0xdd] => frame[20] == 58 && matches!(frame.get(54), Some(133..=137)),
        _ => false,
    }
}
