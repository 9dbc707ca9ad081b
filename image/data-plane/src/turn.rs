//! One turn of a worker: completions of backends, then a burst from each vif through the router.

use core::mem::take;

use netfront_rs::{Budget, MAX_TX_SLOTS};
use page_pool::PagePool;
use router::stages::{Plain, Stages};
use router::vlan::{MAX_TAGS, TAG_LEN};
use router::{
    BURST, DropReason, ETHERNET_LEN, HEADER_LEN, Instant, InterfaceId, Lane, Tables, Verdict,
    Verdicts,
};
use xen_hal::Hal;

use crate::allowance::Allowance;
use crate::burst::{Burst, run_len};
use crate::numbered;
use crate::transmit::{forward_plain, forward_run, punt};
use crate::tx::{Run, TxPath};
use crate::vif::Vif;
use crate::waiting::Step;
use crate::worker::Worker;

impl<H: Hal> Worker<H> {
    /// Runs one turn. `now` is in ns, here and elsewhere. Returns `true` if there is more to do
    /// immediately, as far as is known already: [`Worker::arm`] finds out the rest.
    pub fn turn(&mut self, tables: &Tables, now: u64) -> bool {
        self.turn_in(&mut Plain, tables, now)
    }

    /// Like [`turn`](Self::turn), with certain stages for all frames.
    pub fn turn_in<S: Stages>(&mut self, stages: &mut S, tables: &Tables, now: u64) -> bool {
        self.stats.turns += 1;
        let mut busy = false;
        for vif in self.vifs.iter_mut().flatten().filter(|vif| vif.up) {
            busy |= vif.reap(&mut self.pools, now);
            if !vif.waiting.is_empty() {
                send_waiting(vif, &mut self.pools, &mut self.lane, now);
            }
        }
        // Each vif has its turn as the first one.
        let vifs = self.vifs.len();
        self.first = if self.first + 1 < vifs {
            self.first + 1
        } else {
            0
        };
        let mut index = self.first;
        for _ in 0..vifs {
            busy |= self.forward(stages, tables, index, now);
            index = if index + 1 < vifs { index + 1 } else { 0 };
        }
        self.handoffs.note_time(now);
        busy | self.publish()
    }

    /// Takes a burst from one vif through the router. Returns `true` if there may be another.
    fn forward<S: Stages>(
        &mut self,
        stages: &mut S,
        tables: &Tables,
        index: usize,
        now: u64,
    ) -> bool {
        let has_frames = |vif: &Vif<H>| vif.up && vif.queue.rx_pending();
        if !numbered::of(&self.vifs, index).is_some_and(has_frames) {
            return false;
        }
        let Some(Allowance { budget, spare }) = self.allowance(index, now) else {
            return false;
        };
        let (mut count, more) = self.receive(index, budget);
        if count == 0 {
            count = self.receive_large(index, budget, now);
        }
        if count == 0 {
            return false;
        }
        // There are no more, but with this the compiler sees it, and need not check slices.
        let count = count.min(BURST);
        // Until all is read that is there, the next frames may go wherever others of it went.
        let outputs = self.decide(stages, tables, index, count, spare, now);
        if let Some(vif) = numbered::of_mut(&mut self.vifs, index) {
            vif.intake.outputs = if more { vif.intake.outputs } else { 0 } | outputs;
        }
        more
    }

    /// Receives a burst from vif `index`. Returns the number of frames, and `true` if there are
    /// more at once.
    #[inline(always)]
    fn receive(&mut self, index: usize, budget: Budget) -> (usize, bool) {
        let Some(vif) = numbered::of_mut(&mut self.vifs, index) else {
            return (0, false);
        };
        let Some(pool) = numbered::of_mut(&mut self.pools, vif.pool) else {
            return (0, false);
        };
        let errors = vif.queue.counters().rx_errors;
        let large = pool.large_received();
        let posted = vif.queue.rx_posted();
        let receive = if vif.queue.sends_hashes() {
            Burst::receive::<H, true>
        } else {
            Burst::receive::<H, false>
        };
        let (count, received) = receive(&mut self.burst, &mut vif.queue, pool, budget);
        let read = posted - vif.queue.rx_posted();
        if read > 0 {
            vif.intake.unread = None;
        }
        // What there was no room for yet is no news that an event would tell of.
        let mut more = read + MAX_TX_SLOTS > budget.slots && vif.queue.rx_pending();
        if vif.intake.given_up != 0 {
            vif.intake.count_read(read);
            more = true;
        }
        if pool.large_received() != large {
            self.burst.measure_segments(pool, count);
        }
        let errors = vif.queue.counters().rx_errors - errors;
        if errors > 0 {
            self.lane
                .count_drop(vif.interface, DropReason::RxError, errors);
        }
        if let Err(fault) = received {
            vif.up = false;
            vif.fault = Some(fault);
        }
        (count, more)
    }

    /// Receives a frame that needs more slots than there is room for where it is expected to go,
    /// if it isn't left unread for that. Returns the number of frames.
    #[cold]
    fn receive_large(&mut self, index: usize, budget: Budget, now: u64) -> usize {
        let Some(vif) = numbered::of(&self.vifs, index) else {
            return 0;
        };
        if !vif.up || !vif.queue.rx_pending() {
            return 0;
        }
        let most = vif.most.min(MAX_TX_SLOTS);
        if budget.slots < most && self.room_of_rest(index, most, now).is_none() {
            return 0;
        }
        let one = Budget {
            frames: 1,
            slots: MAX_TX_SLOTS,
            ..budget
        };
        self.receive(index, one).0
    }

    /// Has the router decide about a burst of `count` frames that came from vif `index`, and does
    /// what it decided. `spare` is how many pages may be lent for that. Returns the vifs that frames
    /// left by, a bit for each.
    #[inline(always)]
    fn decide<S: Stages>(
        &mut self,
        stages: &mut S,
        tables: &Tables,
        index: usize,
        count: usize,
        mut spare: usize,
        now: u64,
    ) -> u64 {
        let input = InterfaceId(index as u8);
        self.stats.bursts += 1;
        self.stats.frames += count as u64;
        let Burst {
            headers,
            metas,
            verdicts,
            in_common,
            ..
        } = &mut *self.burst;
        let (headers, _) = headers.split_at_mut(count);
        let (metas, _) = metas.split_at(count);
        let (verdicts, _) = verdicts.split_at_mut(count);
        *in_common = self.lane.process_in(
            stages,
            tables,
            Instant(now),
            input,
            headers,
            metas,
            verdicts,
        );
        if *in_common == Verdicts::Tagged {
            self.untag(stages, tables, index, count, now);
        }
        self.dispatch::<S>(tables, index, count, &mut spare, now)
    }

    /// Takes the tags off frames of the burst of `count` that came from vif `index`, and lets the
    /// router decide about them as frames of the interfaces that they are for.
    #[cold]
    fn untag<S: Stages>(
        &mut self,
        stages: &mut S,
        tables: &Tables,
        index: usize,
        count: usize,
        now: u64,
    ) {
        let vif = numbered::of(&self.vifs, index);
        let pool = vif.and_then(|vif| numbered::of_mut(&mut self.pools, vif.pool));
        let Some(pool) = pool else { return };
        let Burst {
            frames,
            headers,
            metas,
            verdicts,
            inputs,
            ..
        } = &mut *self.burst;
        inputs.fill(InterfaceId(index as u8));
        let mut start = 0;
        while let Some(rest) = verdicts.get(start..count)
            && let Some(&verdict) = rest.first()
        {
            let run = start..start + run_len(rest);
            start = run.end;
            let Verdict::Tagged(interface) = verdict else {
                continue;
            };
            let (Some(headers), Some(metas), Some(verdicts), Some(inputs)) = (
                headers.get_mut(run.clone()),
                metas.get_mut(run.clone()),
                verdicts.get_mut(run.clone()),
                inputs.get_mut(run.clone()),
            ) else {
                return;
            };
            let frames = frames.iter_mut().skip(run.start);
            for ((header, meta), frame) in headers.iter_mut().zip(&mut *metas).zip(frames) {
                // The header's bytes are not read again, only those behind it.
                let mut next = [0; MAX_TAGS * TAG_LEN];
                pool.copy_out(frame, HEADER_LEN, &mut next);
                let tags = header.tags_len();
                header.untag(next);
                // More follows the tags: the router has seen an EtherType.
                pool.trim_front(frame, tags);
                pool.copy_in(frame, 0, &header.0[..ETHERNET_LEN]);
                meta.len -= tags as u32;
            }
            inputs.fill(interface);
            self.lane.process_in(
                stages,
                tables,
                Instant(now),
                interface,
                headers,
                metas,
                verdicts,
            );
        }
    }

    /// Does what the router decided with the burst of `count` frames that came from vif `index`,
    /// in runs of the same verdict: frames of one flow come in trains.
    /// `spare` is how many pages may be lent for that.
    #[inline(always)]
    fn dispatch<S: Stages>(
        &mut self,
        tables: &Tables,
        index: usize,
        count: usize,
        spare: &mut usize,
        now: u64,
    ) -> u64 {
        let vif = numbered::of(&self.vifs, index);
        let Some((from, home)) = vif.map(|vif| (vif.pool, vif.queue.home())) else {
            return 0;
        };
        let mut outputs = 0u64;
        let Burst {
            headers,
            frames,
            metas,
            verdicts,
            inputs,
            in_common,
        } = &mut *self.burst;
        let input_vif = InterfaceId(index as u8);
        let (mut rest, _) = verdicts.split_at(count);
        let mut start = 0;
        while let Some(&verdict) = rest.first() {
            let len = match in_common {
                Verdicts::AllTo(_) => count,
                _ => run_len(rest),
            };
            let run = start..start + len;
            let (Some(frames), Some(headers)) = (frames.get_mut(run.clone()), headers.get(run))
            else {
                debug_assert!(false, "a run is longer than its burst");
                break;
            };
            match verdict {
                Verdict::Forward(out) => {
                    let (to, tags) = tables.port(out);
                    outputs |= 1u64.checked_shl(to.0.into()).unwrap_or(0);
                    let vif = numbered::of_mut(&mut self.vifs, to.index());
                    let sent = match (vif, numbered::of_mut(&mut self.pools, from)) {
                        (Some(vif), Some(pool)) if vif.takes_plain(from) && tags.is_empty() => {
                            forward_plain::<H, S>(
                                &mut vif.queue,
                                pool,
                                home,
                                frames,
                                headers,
                                spare,
                            )
                        }
                        _ => 0,
                    };
                    if sent < len {
                        let rest = Run {
                            path: TxPath {
                                from,
                                out,
                                tags,
                                now,
                            },
                            home,
                            headers: headers.get(sent..).unwrap_or_default(),
                            frames: frames.get_mut(sent..).unwrap_or_default(),
                        };
                        let lost = match numbered::of_mut(&mut self.vifs, to.index()) {
                            None if tables.is_up(out) => {
                                self.handoffs.take_in(to, &mut self.pools, rest, spare)
                            }
                            vif => {
                                let vif = vif.filter(|vif| vif.up);
                                forward_run::<H, S>(vif, &mut self.pools, rest, spare)
                            }
                        };
                        lost.count(&mut self.lane, out);
                    }
                }
                Verdict::Punt | Verdict::Drop | Verdict::Tagged(_) => {
                    let Some(pool) = numbered::of_mut(&mut self.pools, from) else {
                        return outputs;
                    };
                    let known = metas.iter().zip(&*inputs).skip(start);
                    let frames = frames.iter_mut().zip(headers);
                    for ((frame, header), (meta, input)) in frames.zip(known) {
                        if verdict == Verdict::Punt {
                            let tagged = *in_common == Verdicts::Tagged;
                            let input = if tagged { *input } else { input_vif };
                            let bytes = (&*frame, &header.0);
                            punt(&mut self.lane, tables, input, *meta, pool, bytes);
                        }
                        pool.free(take(frame));
                    }
                }
            }
            rest = rest.get(len..).unwrap_or(&[]);
            start += len;
        }
        outputs
    }
}

/// Sends frames that wait for a vif, as far as there is room and their segments are enough for a
/// turn.
#[cold]
fn send_waiting<H: Hal>(
    vif: &mut Vif<H>,
    pools: &mut [Option<PagePool<H>>],
    lane: &mut Lane,
    now: u64,
) {
    while let Some(&TxPath { from, out, .. }) = vif.waiting.first() {
        let other = (from != vif.pool).then_some(from);
        let step = with_pools(pools, vif.pool, other, |pool, source| {
            let (mut output, waiting, left) = vif.output(pool);
            waiting.step(&mut output, source, left, now)
        });
        match step {
            Some(Step::Sent) => {}
            Some(Step::Dropped(lost)) => lost.count(lane, out),
            Some(Step::Waits) | None => return,
        }
    }
}

/// Calls `f` with pool `at`, and pool `other` if that is another.
fn with_pools<H: Hal, T>(
    pools: &mut [Option<PagePool<H>>],
    at: usize,
    other: Option<usize>,
    f: impl FnOnce(&mut PagePool<H>, Option<&mut PagePool<H>>) -> T,
) -> Option<T> {
    match other {
        None => numbered::of_mut(pools, at).map(|pool| f(pool, None)),
        Some(other) => match pools.get_disjoint_mut([at, other]) {
            Ok([Some(pool), Some(other)]) => Some(f(pool, Some(other))),
            _ => None,
        },
    }
}
