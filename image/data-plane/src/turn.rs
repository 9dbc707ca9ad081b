//! One turn of a worker: what backends completed, then a burst from each vif through the router.

use core::mem::take;

use netfront_rs::Budget;
use page_pool::PagePool;
use router::vlan::{MAX_TAGS, TAG_LEN, Tags};
use router::{
    BURST, DropReason, ETHERNET_LEN, HEADER_LEN, Instant, InterfaceId, REWRITTEN, Tables, Verdict,
    Verdicts,
};
use xen_hal::Hal;

use crate::burst::{Burst, run_len};
use crate::segmentation::resume_segmentation;
use crate::transmit::{forward_run, punt};
use crate::tx::TxPath;
use crate::vif::Vif;
use crate::worker::{Worker, home_of};

impl<H: Hal> Worker<H> {
    /// Takes one turn. `now` is in ns, here and elsewhere. Returns `true` if there is more to do
    /// at once, as far as that is known already: [`Worker::arm`] finds out the rest.
    pub fn turn(&mut self, tables: &Tables, now: u64) -> bool {
        self.stats.turns += 1;
        let mut busy = false;
        for vif in self.vifs.iter_mut().flatten().filter(|vif| vif.up) {
            busy |= vif.reap(&mut self.pools, now);
            if let Some(pending) = &vif.pending {
                let path = pending.path;
                let from = (path.from != vif.pool).then_some(path.from);
                let lost = with_pools(&mut self.pools, vif.pool, from, |pool, source| {
                    resume_segmentation(&mut vif.queue, &mut vif.pending, pool, source, now)
                });
                if lost.frames > 0 {
                    self.lane.count_tx_full(path.out, lost.frames, lost.bytes);
                }
            }
        }
        for index in 0..self.vifs.len() {
            busy |= self.forward(tables, index, now);
        }
        self.publish();
        busy
    }

    /// Takes a burst from one vif through the router. Returns `true` if there may be another.
    fn forward(&mut self, tables: &Tables, index: usize, now: u64) -> bool {
        if !self.vifs[index]
            .as_ref()
            .is_some_and(|vif| vif.up && vif.queue.rx_pending())
        {
            return false;
        }
        let room = self.room(now);
        // What may have to be segmented is to be the last of its burst.
        let as_it_is = |vif: &Vif<H>| !vif.up || vif.takes_large;
        let any = self.vifs.iter().flatten().all(as_it_is);
        let Some(vif) = self.vifs[index].as_mut() else {
            return false;
        };
        let Some(pool) = self.pools[vif.pool].as_mut() else {
            return false;
        };
        if room == 0 {
            // What isn't read stays with the backend, where dropping it costs least.
            return false;
        }
        let errors = vif.queue.counters().rx_errors;
        let budget = Budget {
            frames: BURST,
            slots: room,
            large: if any { usize::MAX } else { 1 },
        };
        let receive = if vif.queue.sends_hashes() {
            Burst::receive::<H, true>
        } else {
            Burst::receive::<H, false>
        };
        let (count, received) = receive(&mut self.burst, &mut vif.queue, pool, budget);
        let input = vif.interface;
        let errors = vif.queue.counters().rx_errors - errors;
        if errors > 0 {
            self.lane.count_drop(input, DropReason::RxError, errors);
        }
        if let Err(fault) = received {
            vif.up = false;
            vif.fault = Some(fault);
        }
        if count == 0 {
            return false;
        }
        self.stats.bursts += 1;
        self.stats.frames += count as u64;
        let Burst {
            headers,
            metas,
            verdicts,
            in_common,
            ..
        } = &mut *self.burst;
        *in_common = self.lane.process(
            tables,
            Instant(now),
            input,
            &mut headers[..count],
            &metas[..count],
            &mut verdicts[..count],
        );
        if *in_common == Verdicts::Tagged {
            self.untag(tables, index, count, now);
        }
        self.dispatch(tables, index, count, now);
        count == room
    }

    /// Takes the tags off frames of the burst of `count` that came from vif `index`, and lets the
    /// router decide about them as frames of the interfaces that they are for.
    #[cold]
    fn untag(&mut self, tables: &Tables, index: usize, count: usize, now: u64) {
        let pool = self.vifs[index].as_ref().map(|vif| vif.pool);
        let pool = pool.and_then(|pool| self.pools[pool].as_mut());
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
        while let Some(&verdict) = verdicts[..count].get(start) {
            let len = run_len(&verdicts[start..count]);
            let run = start..start + len;
            start += len;
            let Verdict::Tagged(interface) = verdict else {
                continue;
            };
            for at in run.clone() {
                let (frame, header) = (&mut frames[at], &mut headers[at]);
                // The header's bytes are not read again, only those behind it.
                let mut next = [0; MAX_TAGS * TAG_LEN];
                pool.copy_out(frame, HEADER_LEN, &mut next);
                let tags = header.tags_len();
                header.untag(next);
                // More follows the tags: the router has seen an EtherType.
                pool.trim_front(frame, tags);
                pool.copy_in(frame, 0, &header.0[..ETHERNET_LEN]);
                metas[at].len -= tags as u32;
            }
            inputs[run.clone()].fill(interface);
            self.lane.process(
                tables,
                Instant(now),
                interface,
                &mut headers[run.clone()],
                &metas[run.clone()],
                &mut verdicts[run],
            );
        }
    }

    /// Does what the router decided with the burst of `count` frames that came from vif `index`,
    /// in runs of the same verdict: frames of one flow come in trains.
    fn dispatch(&mut self, tables: &Tables, index: usize, count: usize, now: u64) {
        let Some(from) = self.vifs[index].as_ref().map(|vif| vif.pool) else {
            return;
        };
        let Burst {
            headers,
            frames,
            metas,
            verdicts,
            inputs,
            in_common,
        } = &mut *self.burst;
        let input_vif = InterfaceId(index as u8);
        let mut rest = &verdicts[..count];
        let mut start = 0;
        while let Some(&verdict) = rest.first() {
            let len = match in_common {
                Verdicts::AllTo(_) => count,
                _ => run_len(rest),
            };
            let run = start..start + len;
            let frames = &mut frames[run.clone()];
            match verdict {
                Verdict::Forward(out)
                    if lacks_queue(&self.ports, &self.vifs, out) && tables.is_up(out) =>
                {
                    let Some(pool) = self.pools[from].as_mut() else {
                        return;
                    };
                    for (frame, header) in frames.iter_mut().zip(&headers[run]) {
                        let mut frame = take(frame);
                        pool.write_header(&mut frame, &header.0, REWRITTEN);
                        if let Err(frame) = self.handoff.push(from, out, frame) {
                            self.lane.count_tx_full(out, 1, frame.len() as u64);
                            pool.free(frame);
                        }
                    }
                }
                Verdict::Forward(out) => {
                    let &(to, tags) = self.ports.get(out.index()).unwrap_or(&(out, Tags::NONE));
                    let vif = self.vifs.get_mut(to.index()).and_then(Option::as_mut);
                    let lost = forward_run(
                        vif.filter(|vif| vif.up),
                        &mut self.pools,
                        &TxPath {
                            from,
                            out,
                            tags,
                            now,
                        },
                        home_of(input_vif),
                        &headers[run],
                        frames,
                    );
                    if lost.frames > 0 {
                        self.lane.count_tx_full(out, lost.frames, lost.bytes);
                    }
                }
                Verdict::Punt | Verdict::Drop | Verdict::Tagged(_) => {
                    let Some(pool) = self.pools[from].as_mut() else {
                        return;
                    };
                    let inputs = metas[run.clone()].iter().zip(&inputs[run]);
                    for (frame, (meta, input)) in frames.iter_mut().zip(inputs) {
                        if verdict == Verdict::Punt {
                            let tagged = *in_common == Verdicts::Tagged;
                            let input = if tagged { *input } else { input_vif };
                            punt(&mut self.lane, tables, input, *meta, pool, frame);
                        }
                        pool.free(take(frame));
                    }
                }
            }
            rest = rest.get(len..).unwrap_or(&[]);
            start += len;
        }
    }
}

/// Returns `true` if the vif of an interface has no queue here: its backend has fewer than others.
fn lacks_queue<H: Hal>(
    ports: &[(InterfaceId, Tags)],
    vifs: &[Option<Vif<H>>],
    out: InterfaceId,
) -> bool {
    let vif = ports.get(out.index()).map_or(out, |&(vif, _)| vif);
    vifs.get(vif.index()).is_none_or(Option::is_none)
}

/// Calls `f` with pool `at`, and pool `other` if that is another.
fn with_pools<H: Hal, T: Default>(
    pools: &mut [Option<PagePool<H>>],
    at: usize,
    other: Option<usize>,
    f: impl FnOnce(&mut PagePool<H>, Option<&mut PagePool<H>>) -> T,
) -> T {
    match other {
        None => match pools.get_mut(at) {
            Some(Some(pool)) => f(pool, None),
            _ => T::default(),
        },
        Some(other) => match pools.get_disjoint_mut([at, other]) {
            Ok([Some(pool), other]) => f(pool, other.as_mut()),
            _ => T::default(),
        },
    }
}
