//! The entry point of the fast path.

use crate::forward::lane::{Lane, Traffic};
use crate::forward::pass::Pass;
use crate::forward::stages::{Plain, REWRITTEN, Stages};
use crate::frame::{BURST, FrameMeta, HEADER_LEN, Header, InterfaceId, Verdict, Verdicts};
use crate::tables::Tables;
use crate::time::Instant;

impl Lane {
    /// Decides about frames received on one interface, preferably up to [`BURST`](crate::BURST) at
    /// once, and rewrites the headers of those to forward. Frames beyond the shortest of the slices
    /// are ignored.
    ///
    /// Returns what the verdicts have in common.
    #[inline(always)]
    pub fn process(
        &mut self,
        tables: &Tables,
        now: Instant,
        input: InterfaceId,
        headers: &mut [Header],
        metas: &[FrameMeta],
        verdicts: &mut [Verdict],
    ) -> Verdicts {
        self.process_in(&mut Plain, tables, now, input, headers, metas, verdicts)
    }

    /// Like [`process`](Self::process), with certain stages. Up to [`Stages::WRITTEN_BACK`] bytes
    /// of the header of each forwarded frame may change.
    #[inline(always)]
    #[expect(
        clippy::too_many_arguments,
        reason = "they are all that is known of a burst"
    )]
    pub fn process_in<S: Stages>(
        &mut self,
        stages: &mut S,
        tables: &Tables,
        now: Instant,
        input: InterfaceId,
        headers: &mut [Header],
        metas: &[FrameMeta],
        verdicts: &mut [Verdict],
    ) -> Verdicts {
        const { assert!(S::WRITTEN_BACK >= REWRITTEN && S::WRITTEN_BACK <= HEADER_LEN) };
        self.redirect_due = tables.is_redirect_due(now, input);
        self.for_others = Traffic::default();
        let mut ways = 0;
        let mut verdict = Verdicts::Mixed;
        let bursts = headers.chunks_mut(BURST).zip(metas.chunks(BURST));
        for ((headers, metas), verdicts) in bursts.zip(verdicts.chunks_mut(BURST)) {
            let count = headers.len().min(metas.len()).min(verdicts.len());
            if let (Some(headers), Some(metas), Some(verdicts)) = (
                headers.get_mut(..count),
                metas.get(..count),
                verdicts.get_mut(..count),
            ) {
                let found =
                    Pass::<S>::new(tables).burst(stages, self, input, headers, metas, verdicts);
                ways += u32::from(ways == 0 || found != verdict);
                verdict = found;
            }
        }
        if ways > 1 {
            verdict = Verdicts::Mixed;
        }
        let Traffic { packets, bytes } = self.for_others;
        if packets == 0 {
            return verdict;
        }
        self.with_counters(input, |c| {
            c.rx_packets -= packets;
            c.rx_bytes -= bytes;
        });
        Verdicts::Tagged
    }
}
