//! The client against a real little xenstored that is slow, out of order, or hostile.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use executor::join_all;
use proptest::prelude::*;
use xenstore::fake::Rig;
use xenstore::wire::{Header, Kind, PAYLOAD_MAX};
use xenstore::{Errno, Store, StoreError, Watch};

fn refused<T>(errno: Errno) -> Result<T, StoreError> {
    Err(StoreError::Refused(errno))
}

#[test]
fn what_is_written_can_be_read_until_it_is_removed() {
    let rig = Rig::new();
    let store = rig.store.clone();
    rig.block_on(async move {
        store.write("data/a/b", "one").await.unwrap();
        store.mkdir("data/c").await.unwrap();
        assert_eq!(store.read("data/a/b").await.unwrap(), b"one");
        assert_eq!(
            store.read_string("/local/domain/1/data/a/b").await.unwrap(),
            "one"
        );
        assert_eq!(store.read("data/c").await.unwrap(), b"");
        assert_eq!(store.directory("data").await.unwrap(), ["a", "c"]);
        assert_eq!(store.directory("data/c").await.unwrap(), [""; 0]);
        store.remove("data/a").await.unwrap();
        assert_eq!(store.read("data/a/b").await, refused(Errno::NoEntry));
        assert_eq!(store.read_optional("data/a/b").await, Ok(None));
        store.remove("data/a").await.unwrap();
        assert_eq!(store.remove("x/y").await, refused(Errno::NoEntry));
        assert_eq!(store.directory("x").await, refused(Errno::NoEntry));
    });
    assert_eq!(rig.store.in_flight(), 0);
}

#[test]
fn values_that_are_no_text_are_bytes_only() {
    let rig = Rig::new();
    rig.server.set("data", [0xff, 0, 1]);
    let store = rig.store.clone();
    rig.block_on(async move {
        assert_eq!(store.read("data").await.unwrap(), [0xff, 0, 1]);
        assert_eq!(store.read_string("data").await, Err(StoreError::NotText));
    });
}

#[test]
fn what_may_not_be_sent_is_not_sent() {
    let rig = Rig::new();
    let store = rig.store.clone();
    rig.block_on(async move {
        let (long_relative, long) = ("a".repeat(2049), format!("/{}", "a".repeat(3072)));
        for path in ["", "a\0b", "\0", &long_relative, &long] {
            assert_eq!(store.read(path).await, Err(StoreError::BadPath));
            assert_eq!(store.write(path, "").await, Err(StoreError::BadPath));
            assert_eq!(store.directory(path).await, Err(StoreError::BadPath));
            assert_eq!(store.watch(path).await.map(drop), Err(StoreError::BadPath));
        }
        let value = "v".repeat(PAYLOAD_MAX - 1);
        assert_eq!(store.write("a", &value).await, Err(StoreError::TooLarge));
        assert_eq!(store.write("a", &value[1..]).await, Ok(()));
    });
    assert_eq!(rig.server.requests().len(), 1);
    assert_eq!(rig.server.watch_count(), 0);
    assert_eq!(rig.store.in_flight(), 0);
}

#[test]
fn messages_larger_than_the_ring_go_in_pieces() {
    let rig = Rig::new();
    rig.server.set_chunk(700, 300);
    let store = rig.store.clone();
    rig.block_on(async move {
        let value = "0123456789".repeat(400);
        store.write("data", &value).await.unwrap();
        assert_eq!(store.read_string("data").await.unwrap(), value);
    });
}

#[test]
fn many_requests_share_a_round_trip_and_replies_may_come_in_any_order() {
    let rig = Rig::new();
    for n in 0..50 {
        rig.server.set(&format!("data/{n}"), format!("value {n}"));
    }
    rig.server.hold();
    let store = rig.store.clone();
    let values = rig.start(async move {
        let paths: Vec<String> = (0..50).map(|n| format!("data/{n}")).collect();
        join_all(paths.iter().map(|path| store.read_string(path))).await
    });
    rig.run();
    assert_eq!(rig.server.requests().len(), 50);
    assert_eq!(rig.store.in_flight(), 50);
    rig.server.release(true);
    rig.run();
    let values = values.take().unwrap();
    assert!(
        values
            .iter()
            .enumerate()
            .all(|(n, value)| value == &Ok(format!("value {n}")))
    );
}

#[test]
fn silence_keeps_the_event_channel_silent() {
    let rig = Rig::new();
    assert!(!rig.store.pump());
    assert_eq!(rig.server.notified(), 0);
    let store = rig.store.clone();
    rig.block_on(async move { store.mkdir("a").await }).unwrap();
    let notified = rig.server.notified();
    assert!((1..=3).contains(&notified), "{notified}");
    assert!(!rig.store.pump());
    assert_eq!(rig.server.notified(), notified);
}

#[test]
fn refusals_carry_their_reason() {
    let rig = Rig::new();
    rig.server.set_read_only("control");
    let store = rig.store.clone();
    rig.block_on(async move {
        assert_eq!(store.write("control/x", "1").await, refused(Errno::Access));
        assert_eq!(store.mkdir("control/x").await, refused(Errno::Access));
        assert_eq!(store.remove("control").await, refused(Errno::Access));
    });
    for errno in Errno::NAMED {
        rig.server.refuse(Kind::Read, *errno);
        let store = rig.store.clone();
        assert_eq!(
            rig.block_on(async move { store.read("a").await }),
            refused(*errno)
        );
    }
    rig.server.refuse(Kind::Read, Errno::Other);
    let store = rig.store.clone();
    assert_eq!(
        rig.block_on(async move { store.read("a").await }),
        refused(Errno::Other)
    );
}

// Directories that need several messages.

fn fill(rig: &Rig, count: usize) -> Vec<String> {
    let mut names: Vec<String> = (0..count)
        .map(|n| format!("a-rather-long-name-{n}"))
        .collect();
    names.sort();
    for name in &names {
        rig.server.set(&format!("big/{name}"), "");
    }
    names
}

#[test]
fn large_directories_come_in_parts() {
    let rig = Rig::new();
    let names = fill(&rig, 600);
    let store = rig.store.clone();
    assert_eq!(
        rig.block_on(async move { store.directory("big").await }),
        Ok(names)
    );
}

#[test]
fn a_directory_that_changes_meanwhile_is_read_again() {
    let rig = Rig::new();
    let mut names = fill(&rig, 600);
    rig.server.set_chunk(usize::MAX, 512);
    let store = rig.store.clone();
    let got = rig.start(async move { store.directory("big").await });
    while rig.server.requests().len() < 3 {
        xenstore::turn(&rig.store, &rig.timers, &rig.tasks);
    }
    rig.server.set("big/zzz", "");
    rig.run();
    names.push("zzz".into());
    assert_eq!(got.take(), Some(Ok(names)));
}

#[test]
fn a_directory_that_never_ends_or_never_rests_is_given_up() {
    let rig = Rig::new();
    fill(&rig, 600);
    rig.server.set_part_max(3);
    let store = rig.store.clone();
    let read = || {
        let store = store.clone();
        async move { store.directory("big").await }
    };
    assert_eq!(rig.block_on(read()), Err(StoreError::Malformed));

    rig.server.set_part_max(64);
    let got = rig.start(read());
    for n in 0..100_000 {
        if got.borrow().is_some() {
            break;
        }
        rig.server.set("big/moving", n.to_string());
        xenstore::turn(&rig.store, &rig.timers, &rig.tasks);
    }
    assert_eq!(got.take(), Some(Err(StoreError::Conflict)));

    rig.server.set_part_max(PAYLOAD_MAX);
    fill(&rig, 4000);
    assert_eq!(rig.block_on(read()), Err(StoreError::TooLarge));

    rig.server.refuse(Kind::DirectoryPart, Errno::NoSys);
    assert_eq!(rig.block_on(read()), refused(Errno::NoSys));
}

// Watches.

/// Counts the changes that a watch reports.
fn count_changes(rig: &Rig, mut watch: Watch) -> Rc<Cell<u32>> {
    let count = Rc::new(Cell::new(0));
    let counter = Rc::clone(&count);
    rig.tasks.spawn(async move {
        while watch.changed().await.is_ok() {
            counter.set(counter.get() + 1);
        }
    });
    count
}

fn watch(rig: &Rig, path: &'static str) -> Watch {
    let store = rig.store.clone();
    rig.block_on(async move { store.watch(path).await })
        .unwrap()
}

#[test]
fn a_watch_fires_at_first_and_for_all_below() {
    let rig = Rig::new();
    let count = count_changes(&rig, watch(&rig, "device"));
    rig.run();
    assert_eq!(count.get(), 1);
    rig.server.set("device/vif/0/state", "1");
    rig.run();
    assert_eq!(count.get(), 2);
    rig.server.set("devices", "not below");
    rig.run();
    assert_eq!(count.get(), 2);
    rig.server.remove("/local/domain/1");
    rig.run();
    assert_eq!(count.get(), 3);
}

#[test]
fn changes_that_come_together_count_as_one() {
    let rig = Rig::new();
    let count = count_changes(&rig, watch(&rig, "a"));
    rig.run();
    for n in 0..100 {
        rig.server.set("a", n.to_string());
    }
    rig.run();
    assert_eq!(count.get(), 2);
    assert_eq!(rig.store.counters().events, 101);
}

#[test]
fn events_that_come_while_a_reply_is_awaited_are_kept() {
    let rig = Rig::new();
    rig.server.set("a", "old");
    let mut watched = watch(&rig, "a");
    rig.server.hold();
    let store = rig.store.clone();
    let seen = rig.start(async move {
        watched.changed().await.unwrap();
        let first = store.read_string("a").await.unwrap();
        watched.changed().await.unwrap();
        (first, store.read_string("a").await.unwrap())
    });
    rig.run();
    // The read is answered already, but its reply is held: the change overtakes it.
    rig.server.set("a", "new");
    rig.run();
    assert_eq!(rig.store.in_flight(), 1);
    rig.server.release(false);
    rig.run();
    assert_eq!(seen.take(), Some(("old".into(), "new".into())));
}

#[test]
fn a_dropped_watch_ends_and_its_late_events_are_ignored() {
    let rig = Rig::new();
    let watched = watch(&rig, "a");
    assert_eq!(rig.server.watch_count(), 1);
    drop(watched);
    rig.server.set("a", "1");
    rig.run();
    assert_eq!(rig.server.watch_count(), 0);
    assert_eq!(rig.store.counters().stray_events, 1);
    assert_eq!(rig.store.in_flight(), 0);
    assert_eq!(rig.store.counters().unexpected_replies, 0);
}

#[test]
fn a_watch_given_up_before_the_answer_ends_too() {
    let rig = Rig::new();
    rig.server.hold();
    let store = rig.store.clone();
    let timers = rig.timers.clone();
    let gave_up = rig.start(async move {
        let sleep = timers.sleep(10);
        first(sleep, store.watch("a")).await.is_none()
    });
    rig.run_for(20);
    assert_eq!(gave_up.take(), Some(true));
    rig.server.release(false);
    rig.run();
    assert_eq!(rig.server.watch_count(), 0);
    assert_eq!(rig.store.in_flight(), 0);
}

#[test]
fn a_refused_watch_is_an_error() {
    let rig = Rig::new();
    rig.server.refuse(Kind::Watch, Errno::Quota);
    let store = rig.store.clone();
    let result = rig.block_on(async move { store.watch("a").await.map(drop) });
    assert_eq!(result, refused(Errno::Quota));
    assert_eq!(rig.store.in_flight(), 0);
}

#[test]
fn resetting_watches_sets_up_those_in_use_again() {
    let rig = Rig::new();
    let count = count_changes(&rig, watch(&rig, "a"));
    rig.run();
    let store = rig.store.clone();
    rig.block_on(async move { store.reset_watches().await })
        .unwrap();
    assert_eq!(rig.server.watch_count(), 1);
    assert_eq!(count.get(), 2);
    rig.server.set("a", "1");
    rig.run();
    assert_eq!(count.get(), 3);

    rig.server.refuse(Kind::ResetWatches, Errno::NoSys);
    let store = rig.store.clone();
    assert_eq!(
        rig.block_on(async move { store.reset_watches().await }),
        refused(Errno::NoSys)
    );
}

// Transactions.

#[test]
fn a_transaction_takes_effect_at_once() {
    let rig = Rig::new();
    let (store, server) = (rig.store.clone(), rig.server.clone());
    let result = rig.block_on(async move {
        store
            .transaction(async |tx| {
                tx.write("a", "1").await?;
                tx.mkdir("b").await?;
                assert_eq!(server.get("a"), None);
                assert_eq!(tx.read("a").await?, b"1");
                assert_eq!(tx.directory("b").await?, [""; 0]);
                Ok::<_, StoreError>(7)
            })
            .await
    });
    assert_eq!(result, Ok(7));
    assert_eq!(rig.server.get("a").as_deref(), Some("1"));
    assert_eq!(rig.server.transaction_count(), 0);
}

#[test]
fn a_conflict_runs_the_transaction_again_but_not_forever() {
    for (conflicts, runs, expected) in [
        (0, 1, Ok(())),
        (3, 4, Ok(())),
        (15, 16, Ok(())),
        (16, 16, Err(StoreError::Conflict)),
    ] {
        let rig = Rig::new();
        rig.server.conflict(conflicts);
        let store = rig.store.clone();
        let count = Rc::new(Cell::new(0));
        let counter = Rc::clone(&count);
        let result = rig.block_on(async move {
            store
                .transaction(async |tx| {
                    counter.set(counter.get() + 1);
                    tx.write("a", "1").await
                })
                .await
        });
        assert_eq!(result, expected);
        assert_eq!(count.get(), runs);
        assert_eq!(rig.server.get("a").is_some(), expected.is_ok());
        assert_eq!(rig.server.transaction_count(), 0);
    }
}

#[test]
fn transactions_side_by_side_all_get_through() {
    let rig = Rig::new();
    rig.server.set("n", "0");
    // More than xenstored lets a domain open at once.
    for _ in 0..40 {
        let store = rig.store.clone();
        rig.tasks.spawn(async move {
            store
                .transaction(async |tx| {
                    let n: u32 = tx.read_string("n").await?.parse().unwrap();
                    tx.write("n", (n + 1).to_string()).await
                })
                .await
                .unwrap();
        });
    }
    rig.run();
    assert_eq!(rig.server.get("n").as_deref(), Some("40"));
}

#[test]
fn a_failed_or_abandoned_transaction_is_discarded() {
    let rig = Rig::new();
    let store = rig.store.clone();
    let result: Result<(), StoreError> = rig.block_on(async move {
        store
            .transaction(async |tx| {
                tx.write("a", "1").await?;
                tx.read("missing").await.map(drop)
            })
            .await
    });
    assert_eq!(result, refused(Errno::NoEntry));
    rig.run();
    assert_eq!(rig.server.get("a"), None);
    assert_eq!(rig.server.transaction_count(), 0);

    // Given up at every possible moment: before the id is known, within, at the end.
    for answered in 0..4 {
        let rig = Rig::new();
        let (store, timers) = (rig.store.clone(), rig.timers.clone());
        let task = rig.start(async move {
            let transaction = store.transaction(async |tx| {
                tx.write("a", "1").await?;
                tx.write("b", "2").await
            });
            first(timers.sleep(10), transaction).await
        });
        for _ in 0..answered {
            rig.server.hold();
            rig.run();
            rig.server.release(false);
        }
        rig.server.hold();
        rig.run();
        rig.run_for(20);
        rig.server.release(false);
        rig.run();
        assert!(task.take().is_some());
        assert_eq!(rig.server.transaction_count(), 0, "{answered} answered");
        assert_eq!(rig.store.in_flight(), 0, "{answered} answered");
    }
}

/// `b`'s output, unless `a` ends first.
async fn first<A: Future, B: Future>(a: A, b: B) -> Option<B::Output> {
    let (mut a, mut b) = (Box::pin(a), Box::pin(b));
    std::future::poll_fn(|cx| {
        if a.as_mut().poll(cx).is_ready() {
            return std::task::Poll::Ready(None);
        }
        b.as_mut().poll(cx).map(Some)
    })
    .await
}

// A xenstored that is broken or hostile.

/// Starts a read that is never answered, and a watch; returns how each ends.
#[expect(clippy::type_complexity, reason = "two results")]
fn waiters(
    rig: &Rig,
) -> (
    Rc<RefCell<Option<Result<Vec<u8>, StoreError>>>>,
    Rc<RefCell<Option<Result<(), StoreError>>>>,
) {
    let mut watched = watch(rig, "watched");
    rig.server.hold();
    let store = rig.store.clone();
    let read = rig.start(async move { store.read("a").await });
    let watched = rig.start(async move {
        watched.changed().await?;
        watched.changed().await
    });
    rig.run();
    (read, watched)
}

fn assert_lost(rig: &Rig, error: StoreError) {
    assert!(error.is_fatal());
    assert_eq!(rig.store.failure(), Some(error));
    assert!(!rig.store.pump());
    let store = rig.store.clone();
    rig.block_on(async move {
        assert_eq!(store.read("a").await, Err(error));
        assert_eq!(store.watch("a").await.map(drop), Err(error));
        let body = async |_: &_| Ok::<(), StoreError>(());
        assert_eq!(store.transaction(body).await, Err(error));
    });
    assert_eq!(rig.store.in_flight(), 0);
}

#[test]
fn an_oversized_message_ends_the_connection_for_all() {
    let rig = Rig::new();
    let (read, watched) = waiters(&rig);
    rig.server.inject(
        &Header {
            kind: 2,
            req_id: 1,
            tx_id: 0,
            len: 4097,
        }
        .to_bytes(),
    );
    rig.run();
    assert_eq!(read.take(), Some(Err(StoreError::Oversize(4097))));
    assert_eq!(watched.take(), Some(Err(StoreError::Oversize(4097))));
    assert_lost(&rig, StoreError::Oversize(4097));
}

#[test]
fn a_broken_ring_ends_the_connection_for_all() {
    let rig = Rig::new();
    let (read, watched) = waiters(&rig);
    rig.server.break_ring();
    rig.run();
    let error = rig.store.failure().unwrap();
    assert!(matches!(error, StoreError::Corrupt(_)));
    assert_eq!(read.take(), Some(Err(error)));
    assert_eq!(watched.take(), Some(Err(error)));
    assert_lost(&rig, error);
}

#[test]
fn replies_to_no_request_are_counted_and_ignored() {
    let rig = Rig::new();
    let (read, _watched) = waiters(&rig);
    let replies = rig.store.counters().replies;
    for req_id in [0, 1, 77, u32::MAX] {
        rig.server
            .inject_message(Kind::Read as u32, req_id, b"not yours");
    }
    rig.run();
    assert_eq!(rig.store.counters().unexpected_replies, 4);
    assert_eq!(rig.store.counters().replies, replies);
    assert!(read.borrow().is_none());
    rig.server.release(false);
    rig.run();
    assert_eq!(read.take(), Some(refused(Errno::NoEntry)));
}

#[test]
fn a_reply_of_the_wrong_kind_fails_that_request_only() {
    let rig = Rig::new();
    let (read, _watched) = waiters(&rig);
    for kind in [Kind::Write as u32, 99, 0xffff] {
        rig.server.inject_message(kind, 2, b"?");
    }
    rig.run();
    assert_eq!(read.take(), Some(Err(StoreError::Malformed)));
    assert_eq!(rig.store.counters().malformed, 1);
    assert_eq!(rig.store.counters().unexpected_replies, 2);
    assert_eq!(rig.store.failure(), None);
}

#[test]
fn events_that_make_no_sense_are_counted_and_ignored() {
    let rig = Rig::new();
    let count = count_changes(&rig, watch(&rig, "a"));
    rig.run();
    let malformed: [&[u8]; 8] = [
        b"",
        b"\0",
        b"a",
        b"a\0",
        b"a\0\0",
        b"a\0w\0",
        b"a\0w99999999999\0",
        b"a\0\xff\xff\0",
    ];
    for payload in malformed {
        rig.server
            .inject_message(Kind::WatchEvent as u32, 0, payload);
    }
    rig.server
        .inject_message(Kind::WatchEvent as u32, 0, b"a\0w500\0");
    rig.run();
    assert_eq!(rig.store.counters().malformed, 8);
    assert_eq!(rig.store.counters().stray_events, 1);
    assert_eq!(count.get(), 1);
    rig.server
        .inject_message(Kind::WatchEvent as u32, 9, b"\0w1\0more");
    rig.run();
    assert_eq!(count.get(), 2);
}

#[test]
fn a_transaction_id_that_makes_no_sense_is_an_error() {
    for reply in [
        &b""[..],
        b"\0",
        b"0\0",
        b"x\0",
        b"-1\0",
        b"4294967296\0",
        b"1\x002\0",
    ] {
        let rig = Rig::new();
        rig.server.hold();
        let store = rig.store.clone();
        let result =
            rig.start(async move { store.transaction(async |tx| tx.write("a", "1").await).await });
        rig.run();
        rig.server
            .inject_message(Kind::TransactionStart as u32, 1, reply);
        rig.run();
        assert_eq!(result.take(), Some(Err(StoreError::Malformed)), "{reply:?}");
    }
}

#[test]
fn a_flood_of_events_is_taken_in_bounded_portions() {
    let rig = Rig::new();
    let _watched = watch(&rig, "a");
    for _ in 0..10_000 {
        rig.server
            .inject_message(Kind::WatchEvent as u32, 0, b"a\0w1\0");
    }
    let before = rig.store.counters().events;
    rig.store.pump();
    assert!(rig.store.counters().events - before <= 8 * 1024 / 21 + 1);
    rig.run();
    assert_eq!(rig.store.counters().events - before, 10_000);
}

#[test]
fn a_silent_xenstored_holds_up_nobody() {
    let rig = Rig::new();
    rig.server.set_chunk(0, 0);
    let store = rig.store.clone();
    let read = rig.start(async move { store.read("a").await });
    rig.run();
    assert!(read.borrow().is_none());
}

// However the bytes are cut, the same comes of it.

async fn script(store: Store) -> Vec<String> {
    let mut log = Vec::new();
    let mut watch = store.watch("s").await.unwrap();
    watch.changed().await.unwrap();
    for n in 0..3 {
        store
            .write(&format!("s/{n}"), "x".repeat(n * 100))
            .await
            .unwrap();
        watch.changed().await.unwrap();
        let values = join_all((0..=n).map(async |m| store.read_string(&format!("s/{m}")).await));
        log.push(format!("{:?}", values.await));
    }
    let sum = store
        .transaction(async |tx| {
            let mut sum = 0;
            for name in tx.directory("s").await? {
                sum += tx.read(&format!("s/{name}")).await?.len();
            }
            tx.write("sum", sum.to_string()).await?;
            Ok::<_, StoreError>(sum)
        })
        .await;
    log.push(format!("{sum:?}"));
    log.push(format!("{:?}", store.read_string("sum").await));
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chunking_changes_nothing(send in 1usize..60, receive in 1usize..60) {
        let expected = {
            let rig = Rig::new();
            rig.block_on(script(rig.store.clone()))
        };
        let rig = Rig::new();
        rig.server.set_chunk(send, receive);
        prop_assert_eq!(rig.block_on(script(rig.store.clone())), expected);
        prop_assert_eq!(rig.store.in_flight(), 0);
    }
}
