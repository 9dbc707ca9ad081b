//! What the toolstack asks: devices that come and go, and the end of the domain.

use std::cell::RefCell;
use std::rc::Rc;

use executor::Signal;
use xenbus::ShutdownRequest::{self, Crash, Halt, Poweroff, Reboot, Suspend};
use xenbus::fake::Toolstack;
use xenbus::{DeviceList, MIN_BACKOFF_NS, Shutdown, advertise_shutdown, attach_devices};
use xenstore::fake::Rig;
use xenstore::wire::Kind;
use xenstore::{Errno, StoreError};

#[test]
fn requests_are_told_by_name() {
    let table: [(&[u8], Option<ShutdownRequest>); 12] = [
        (b"poweroff", Some(Poweroff)),
        (b"halt", Some(Halt)),
        (b"reboot", Some(Reboot)),
        (b"crash", Some(Crash)),
        (b"suspend", Some(Suspend)),
        (b" reboot\0", Some(Reboot)),
        (b"", None),
        (b"\0", None),
        (b"Reboot", None),
        (b"reboot now", None),
        (b"s3", None),
        (b"\xff\xff", None),
    ];
    for (value, request) in table {
        assert_eq!(ShutdownRequest::parse(value), request, "{value:?}");
    }
}

/// Listens for good; what is heard appears in the list.
fn listen(rig: &Rig) -> Rc<RefCell<Vec<ShutdownRequest>>> {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let (store, into) = (rig.store.clone(), Rc::clone(&heard));
    rig.tasks.spawn(async move {
        let mut shutdown = Shutdown::listen(&store).await.unwrap();
        while let Ok(request) = shutdown.next().await {
            into.borrow_mut().push(request);
        }
    });
    rig.run();
    heard
}

#[test]
fn a_request_is_heard_once_and_acknowledged() {
    let rig = Rig::new();
    let heard = listen(&rig);
    for (name, request) in [("poweroff", Poweroff), ("reboot", Reboot), ("halt", Halt)] {
        rig.server.set("control/shutdown", name);
        rig.run();
        assert_eq!(heard.take(), [request]);
        assert_eq!(rig.server.get("control/shutdown").as_deref(), Some(""));
    }
}

#[test]
fn a_request_made_before_anyone_listened_is_heard() {
    let rig = Rig::new();
    rig.server.set("control/shutdown", "reboot");
    assert_eq!(listen(&rig).take(), [Reboot]);
}

#[test]
fn what_is_not_done_is_not_acknowledged() {
    let rig = Rig::new();
    let heard = listen(&rig);
    rig.server.set("control/shutdown", "suspend");
    rig.run();
    assert_eq!(
        rig.server.get("control/shutdown").as_deref(),
        Some("suspend")
    );
    rig.server.set("control/shutdown", "dance");
    rig.run();
    assert_eq!(heard.take(), [Suspend]);
    assert_eq!(rig.server.get("control/shutdown").as_deref(), Some("dance"));
    rig.server.remove("control/shutdown");
    rig.run();
    assert_eq!(heard.take(), []);
}

#[test]
fn a_request_counts_even_if_it_cannot_be_acknowledged() {
    let rig = Rig::new();
    rig.server.set_read_only("control");
    let heard = listen(&rig);
    rig.server.set("control/shutdown", "poweroff");
    rig.run();
    assert_eq!(heard.take(), [Poweroff]);
    rig.server.refuse(Kind::TransactionStart, Errno::Quota);
    rig.server.set("control/shutdown", "reboot");
    rig.run();
    assert_eq!(heard.take(), [Reboot]);
}

#[test]
fn only_what_is_done_is_advertised() {
    let rig = Rig::new();
    let store = rig.store.clone();
    rig.block_on(async move { advertise_shutdown(&store).await })
        .unwrap();
    assert_eq!(
        rig.server.get("control/feature-poweroff").as_deref(),
        Some("1")
    );
    assert_eq!(
        rig.server.get("control/feature-reboot").as_deref(),
        Some("1")
    );
    assert_eq!(rig.server.get("control/feature-suspend"), None);
}

#[test]
fn advertising_may_be_forbidden_but_not_fail() {
    let rig = Rig::new();
    rig.server.set_read_only("control");
    let store = rig.store.clone();
    assert_eq!(
        rig.block_on(async move { advertise_shutdown(&store).await }),
        Ok(())
    );
    rig.server.refuse(Kind::Write, Errno::Io);
    let store = rig.store.clone();
    let result = rig.block_on(async move { advertise_shutdown(&store).await });
    assert_eq!(result, Err(StoreError::Refused(Errno::Io)));
}

#[test]
fn only_numbers_are_devices() {
    let rig = Rig::new();
    let current = || {
        let store = rig.store.clone();
        rig.block_on(async move {
            let list = DeviceList::open(&store, "vif").await?;
            list.current().await
        })
    };
    assert_eq!(current(), Ok([].into()));
    for name in [
        "0",
        "10",
        "2",
        "x",
        "+1",
        "-1",
        "01",
        "1a",
        "99999999999",
        "4294967295",
    ] {
        rig.server.set(&format!("device/vif/{name}/state"), "1");
    }
    assert_eq!(current(), Ok([0, 2, 10, u32::MAX].into()));
}

#[test]
fn each_device_is_driven_from_its_coming_to_its_end() {
    let rig = Rig::new();
    let log = Rc::new(RefCell::new(Vec::new()));
    let ends = Rc::new(RefCell::new(Vec::<(u32, Signal<()>)>::new()));
    let (store, tasks, timers) = (rig.store.clone(), rig.tasks.clone(), rig.timers.clone());
    let (notes, handles) = (Rc::clone(&log), Rc::clone(&ends));
    rig.tasks.spawn(async move {
        attach_devices(&store, &tasks, &timers, "vif", |id| {
            let (log, end) = (Rc::clone(&notes), Signal::new());
            handles.borrow_mut().push((id, end.clone()));
            async move {
                log.borrow_mut().push(format!("start {id}"));
                end.taken().await;
                log.borrow_mut().push(format!("end {id}"));
            }
        })
        .await;
    });
    let end = |id| {
        ends.borrow()
            .iter()
            .rfind(|(of, _)| *of == id)
            .unwrap()
            .1
            .raise(())
    };
    rig.run();
    assert_eq!(log.take(), [""; 0]);

    rig.server.add_device("vif", 0, 0);
    rig.server.add_device("vif", 3, 0);
    rig.run();
    assert_eq!(log.take(), ["start 0", "start 3"]);
    rig.server.set("device/vif/0/state", "4");
    rig.run();
    assert_eq!(log.take(), [""; 0]);

    rig.server.remove("device/vif/0");
    end(0);
    rig.run();
    assert_eq!(log.take(), ["end 0"]);
    rig.server.add_device("vif", 0, 0);
    rig.run();
    assert_eq!(log.take(), ["start 0"]);

    // Removed and there again before its task noticed.
    rig.server.remove("device/vif/3");
    rig.server.add_device("vif", 3, 0);
    rig.run();
    assert_eq!(log.take(), [""; 0]);
    end(3);
    rig.run();
    assert_eq!(log.take(), ["end 3", "start 3"]);
}

#[test]
fn a_device_whose_driver_ends_again_and_again_is_started_ever_less_often() {
    let rig = Rig::new();
    let starts = Rc::new(RefCell::new(0));
    let (store, tasks, timers) = (rig.store.clone(), rig.tasks.clone(), rig.timers.clone());
    let count = Rc::clone(&starts);
    rig.tasks.spawn(async move {
        attach_devices(&store, &tasks, &timers, "vif", |_| {
            *count.borrow_mut() += 1;
            core::future::ready(())
        })
        .await;
    });
    rig.server.add_device("vif", 0, 0);
    rig.run();
    // Once more at once, then after 1, 2, 4, 8, 16 and 30 s.
    assert_eq!(*starts.borrow(), 2);
    rig.run_for(62 * MIN_BACKOFF_NS);
    assert_eq!(*starts.borrow(), 8);
    // A new one begins at the start.
    rig.server.remove("device/vif/0");
    rig.run();
    rig.server.add_device("vif", 0, 0);
    rig.run();
    assert_eq!(*starts.borrow(), 10);
}
