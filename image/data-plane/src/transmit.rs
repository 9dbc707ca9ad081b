//! Transmission of the frames of a burst: forwarded ones leave by another vif, punted ones go to
//! the router's slow path.

use core::mem::take;

use netfront_rs::Queue;
use page_pool::{Frame, FrameHeader, HomeId, PagePool};
use router::stages::Stages;
use router::{DropReason, FrameFlags, FrameMeta, Header, InterfaceId, Lane, Tables};
use xen_hal::Hal;

use crate::egress::{self, Refused};
use crate::tx::{Run, TxDrops, TxPath};
use crate::vif::Vif;
use crate::waiting::Step;

/// Hands a frame that begins with `header` to the router's slow path, which takes no large ones:
/// those come to it as the segments that they would have been.
pub(crate) fn punt<H: Hal>(
    lane: &mut Lane,
    tables: &Tables,
    input: InterfaceId,
    meta: FrameMeta,
    pool: &PagePool<H>,
    (frame, header): (&Frame, &FrameHeader),
) {
    if !frame.is_gso() {
        lane.punt(tables, input, meta, |bytes| {
            let known = bytes.len().min(header.len());
            pool.copy_out(frame, known, bytes.get_mut(known..).unwrap_or_default());
            for (to, from) in bytes.iter_mut().zip(header) {
                *to = *from;
            }
        });
        return;
    }
    let mut flags = FrameFlags::DATA_VALIDATED;
    let left = egress::each_segment(pool, frame, header, |len, write| {
        let meta = FrameMeta {
            flags,
            ..FrameMeta::plain(len)
        };
        flags |= FrameFlags::LATER_SEGMENT;
        lane.punt(tables, input, meta, |bytes| write(bytes))
    });
    match left {
        Some(0) => {}
        Some(left) => lane.count_unpunted_segments(input, left as u64),
        None => lane.count_drop(input, DropReason::BadGso, 1),
    }
}

/// Sends the plain frames that `frames`, received into pages of `home`, begin with, as far as there
/// is room: as they are but for their headers. `spare` is how many pages their home may lend, and
/// is then less by what it did. Returns their number.
#[inline(always)]
pub(crate) fn forward_plain<H: Hal, S: Stages>(
    queue: &mut Queue<H>,
    pool: &mut PagePool<H>,
    home: HomeId,
    frames: &mut [Frame],
    headers: &[Header],
    spare: &mut usize,
) -> usize {
    let most = pool.lendable_to(queue.id(), home).min(*spare);
    let end = frames.len().min(most);
    let (frames, _) = frames.split_at_mut(end);
    let sent = put_on_ring::<H, S>(queue, pool, home, frames, headers);
    *spare -= sent;
    sent
}

/// Apart from all else, so that all of its values are in registers.
#[inline(never)]
fn put_on_ring<H: Hal, S: Stages>(
    queue: &mut Queue<H>,
    pool: &mut PagePool<H>,
    home: HomeId,
    frames: &mut [Frame],
    headers: &[Header],
) -> usize {
    let headers = headers.iter().map(|header| &header.0);
    queue.forward(pool, home, frames.iter_mut().zip(headers), S::WRITTEN_BACK)
}

/// Sends a run of frames on one vif that aren't all plain, find no room, get tags, are of another
/// backend's pool, or follow others that wait: each as it needs it. `spare` is as for plain ones.
#[inline(never)]
pub(crate) fn forward_run<H: Hal, S: Stages>(
    vif: Option<&mut Vif<H>>,
    pools: &mut [Option<PagePool<H>>],
    run: Run<'_>,
    spare: &mut usize,
) -> TxDrops {
    let from = run.path.from;
    let mut lost = TxDrops::default();
    let to = vif.as_ref().map(|vif| vif.pool);
    let (source, target) = match to {
        Some(to) if to != from => match pools.get_disjoint_mut([from, to]) {
            Ok([source, target]) => (source.as_mut(), target.as_mut()),
            Err(_) => return lost,
        },
        _ => (pools.get_mut(from).and_then(Option::as_mut), None),
    };
    let Some(source) = source else { return lost };
    let Some(vif) = vif else {
        drop_all(source, run.frames, &mut lost);
        return lost;
    };
    if target.is_some() || !run.path.tags.is_empty() {
        forward_each(vif, source, target, run, spare, &mut lost);
        return lost;
    }
    let Run {
        path,
        home,
        mut headers,
        mut frames,
    } = run;
    while !frames.is_empty() {
        let plain = |frame: &Frame| vif.queue.forwards(frame) && vif.waiting.is_empty();
        let odd = frames.iter().take_while(|frame| !plain(frame)).count();
        let done = if odd > 0 {
            let run = Run {
                path,
                home,
                headers,
                frames: frames.get_mut(..odd).unwrap_or_default(),
            };
            forward_each(vif, source, None, run, spare, &mut lost);
            odd
        } else {
            forward_plain::<H, S>(&mut vif.queue, source, home, frames, headers, spare)
        };
        headers = headers.get(done..).unwrap_or_default();
        frames = frames.get_mut(done..).unwrap_or_default();
        if odd == 0
            && let Some(next) = frames.first()
            && vif.queue.forwards(next)
        {
            // There is no more room.
            let run = Run {
                path,
                home,
                headers,
                frames,
            };
            forward_each(vif, source, None, run, spare, &mut lost);
            break;
        }
    }
    lost
}

/// Frees frames that can't leave.
fn drop_all<H: Hal>(pool: &mut PagePool<H>, frames: &mut [Frame], lost: &mut TxDrops) {
    for frame in frames {
        lost.add_full(frame.len());
        pool.free(take(frame));
    }
}

/// Sends frames one by one; those that find no room wait. `target` is the output's pool if they are
/// of another.
fn forward_each<H: Hal>(
    vif: &mut Vif<H>,
    source: &mut PagePool<H>,
    mut target: Option<&mut PagePool<H>>,
    run: Run<'_>,
    spare: &mut usize,
    lost: &mut TxDrops,
) {
    let Run {
        path,
        home,
        headers,
        frames,
    } = run;
    // Pages of frames that may come to wait, once that was asked.
    let mut room = None;
    for (frame, header) in frames.iter_mut().zip(headers) {
        let (frame, header) = (take(frame), &header.0);
        let pages = frame.slots();
        let sent = if !vif.waiting.is_empty() {
            Err((frame, Refused::NoRoom))
        } else if let Some(target) = target.as_deref_mut() {
            let (mut output, ..) = vif.output(target);
            match output.send_copy(source, &frame, header, path.tags.as_bytes()) {
                Ok(()) => {
                    source.free(frame);
                    Ok(0)
                }
                Err(why) => Err((frame, why)),
            }
        } else if pages > source.lendable_to(vif.queue.id(), home).min(*spare) {
            // Its pages would be missed where they were received, or by other outputs.
            Err((frame, Refused::NoRoom))
        } else if vif.queue.tx_free() < frame.tx_slots() {
            // Before it is changed: it may wait.
            Err((frame, Refused::NoRoom))
        } else {
            let (mut output, ..) = vif.output(source);
            output
                .send(frame, header, path.tags.as_bytes())
                .map(|()| pages)
        };
        match sent {
            Ok(lent) => {
                *spare -= lent;
                room = None;
            }
            Err((frame, Refused::Never)) => {
                lost.add_full(frame.len());
                source.free(frame);
            }
            Err((frame, Refused::NoRoom | Refused::NeedsSegmentation)) => {
                let same_pool = target.is_none();
                let most =
                    room.unwrap_or_else(|| room_to_wait(vif, source, same_pool, &path, home));
                if pages > most.min(*spare) {
                    room = Some(most);
                    lost.add_full(frame.len());
                    source.free(frame);
                    continue;
                }
                let target = target.as_deref_mut();
                let (held, dropped) = hold(vif, source, target, &path, home, (frame, header));
                *spare -= held;
                room = (held > 0).then_some(most - held);
                lost.join(dropped);
            }
        }
    }
}

/// Returns the number of pages of `home`, of pool `source`, that frames may have which come to wait
/// for a vif: what is left of its share. `same_pool` says that what is on its ring is of that, too.
#[cold]
fn room_to_wait<H: Hal>(
    vif: &Vif<H>,
    source: &PagePool<H>,
    same_pool: bool,
    path: &TxPath,
    home: HomeId,
) -> usize {
    if vif.waiting.is_full() || vif.hangs(path.now) {
        return 0;
    }
    let lent = if same_pool {
        source.lent_to(vif.queue.id(), home)
    } else {
        0
    };
    let waiting = vif.waiting.pages_of(path.from, home);
    source.share(home).saturating_sub(lent + waiting)
}

/// Lets a frame wait for its output, behind those that do. If it is the only one, what can be sent of
/// it is sent. Returns the number of pages that are held.
#[cold]
fn hold<H: Hal>(
    vif: &mut Vif<H>,
    source: &mut PagePool<H>,
    target: Option<&mut PagePool<H>>,
    path: &TxPath,
    home: HomeId,
    (frame, header): (Frame, &FrameHeader),
) -> (usize, TxDrops) {
    let (pages, len) = (frame.slots(), frame.len());
    let alone = vif.waiting.is_empty();
    if let Err(frame) = vif.waiting.push(path, home, frame, header) {
        source.free(frame);
        return (0, TxDrops::full(len));
    }
    if !alone {
        return (pages, TxDrops::default());
    }
    let step = match target {
        None => {
            let (mut output, waiting, left) = vif.output(source);
            waiting.step(&mut output, None, left, path.now)
        }
        Some(target) => {
            let (mut output, waiting, left) = vif.output(target);
            waiting.step(&mut output, Some(source), left, path.now)
        }
    };
    match step {
        Step::Sent => (0, TxDrops::default()),
        Step::Dropped(lost) => (0, lost),
        Step::Waits => (pages, TxDrops::default()),
    }
}
