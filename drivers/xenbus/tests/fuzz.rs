//! A xenstored that sends anything: nothing panics, nothing runs forever.

use executor::Signal;
use xenbus::{Ended, Handler, Shutdown, ShutdownRequest, XenbusState, attach_devices, run_device};
use xenstore::StoreError;
use xenstore::fake::Rig;
use xenstore::wire::{Errno, Kind};

struct Nothing;

impl Handler for Nothing {
    type Connection = ();
    type Error = xenbus::KeyError;
    type Fault = &'static str;

    async fn connect(
        &mut self,
        device: &xenbus::Device,
        _: &Signal<&'static str>,
    ) -> Result<(), xenbus::KeyError> {
        let keys = device.backend_keys(&["feature-sg", "mac"]).await?;
        keys.flag("feature-sg")?;
        keys.require::<String>("mac").map(drop)
    }

    fn established(&mut self, _: &xenbus::Device, (): &mut ()) {}
    fn stop(&mut self, (): &mut ()) {}
    async fn disconnect(&mut self, (): ()) {}
}

/// A control plane with everything in use at once.
fn busy_rig() -> Rig {
    let rig = Rig::new();
    let (store, timers, tasks) = (rig.store.clone(), rig.timers.clone(), rig.tasks.clone());
    rig.tasks.spawn({
        let store = store.clone();
        async move {
            attach_devices(&store.clone(), &tasks, &timers.clone(), "vif", move |id| {
                let (store, timers) = (store.clone(), timers.clone());
                async move {
                    let _: Ended = run_device(&store, &timers, "vif", id, Nothing).await;
                }
            })
            .await;
        }
    });
    rig.tasks.spawn({
        let store = store.clone();
        async move {
            let Ok(mut shutdown) = Shutdown::listen(&store).await else {
                return;
            };
            while shutdown.next().await.is_ok() {}
        }
    });
    rig.tasks.spawn(async move {
        let _ = store.reset_watches().await;
        let _ = store.directory("device").await;
        let _ = store.transaction(async |tx| tx.write("a", "1").await).await;
        let _: Result<(), StoreError> = store.mkdir("a").await;
    });
    rig
}

/// Never runs out of budget unless the store keeps sending.
fn settle(rig: &Rig) {
    for _ in 0..2000 {
        if !xenstore::turn(&rig.store, &rig.timers, &rig.tasks) {
            return;
        }
    }
    panic!("never at rest");
}

#[test]
fn any_bytes_from_xenstored() {
    bolero::check!()
        .with_iterations(3000)
        .for_each(|bytes: &[u8]| {
            let rig = busy_rig();
            rig.server.hold();
            settle(&rig);
            for piece in bytes.chunks(37) {
                rig.server.inject(piece);
                settle(&rig);
            }
            rig.server.release(false);
            settle(&rig);
        });
}

#[test]
fn any_well_formed_messages_from_xenstored() {
    // (kind, req_id, payload): small numbers, so that they often meet a request.
    type Sent = Vec<(u8, u8, Vec<u8>)>;
    bolero::check!()
        .with_iterations(3000)
        .with_type::<Sent>()
        .for_each(|messages| {
            let rig = busy_rig();
            rig.server.hold();
            settle(&rig);
            for (kind, req_id, payload) in messages {
                let payload = &payload[..payload.len().min(4096)];
                rig.server
                    .inject_message(u32::from(kind % 24), u32::from(req_id % 24), payload);
                settle(&rig);
            }
            rig.server.release(true);
            settle(&rig);
        });
}

#[test]
fn any_answer_to_each_request() {
    // Answers of the right kind to the requests in flight, with any payload or error.
    bolero::check!()
        .with_iterations(2000)
        .with_type::<Vec<(u8, Vec<u8>)>>()
        .for_each(|answers| {
            let rig = busy_rig();
            rig.server.hold();
            let mut answered = 0;
            for (choice, payload) in answers {
                settle(&rig);
                let requests = rig.server.requests();
                let Some((kind, _)) = requests.get(answered) else {
                    break;
                };
                answered += 1;
                let req_id = u32::try_from(answered).unwrap();
                let payload = &payload[..payload.len().min(4096)];
                match choice % 4 {
                    0 => {
                        let errno = Errno::NAMED[usize::from(*choice) % Errno::NAMED.len()];
                        rig.server.inject_message(
                            Kind::Error as u32,
                            req_id,
                            errno.name().as_bytes(),
                        );
                    }
                    1 => rig.server.inject_message(*kind, req_id, b"1\0"),
                    _ => rig.server.inject_message(*kind, req_id, payload),
                }
            }
            settle(&rig);
        });
}

#[test]
fn any_value() {
    bolero::check!()
        .with_iterations(3000)
        .for_each(|bytes: &[u8]| {
            let _ = XenbusState::parse(bytes);
            let _ = ShutdownRequest::parse(bytes);
        });
}
