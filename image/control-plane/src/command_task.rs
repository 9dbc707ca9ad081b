//! Commands from dom0 through xenstore.

use alloc::rc::Rc;
use alloc::string::{String, ToString};

use control_api::Key;
use xenstore::StoreError;

use crate::console;
use crate::shared::Shared;

/// Runs commands that dom0 writes to `command`, and writes their output to `reply/0` and following,
/// then the number of parts to `reply/done`.
pub(crate) async fn command_task(shared: Rc<Shared>) {
    let path = Key::Command.to_string();
    let mut watch = match shared.store.watch(&path).await {
        Ok(watch) => watch,
        Err(error) => {
            log::error!(target: "xenstore", "{error}; commands from xenstore won't be run");
            return;
        }
    };
    while watch.changed().await.is_ok() {
        // Read and emptied in one transaction, so that no command is lost and any may be repeated.
        let taken = shared.store.transaction(async |tx| {
            let line = tx.read_optional(&path).await?.unwrap_or_default();
            if !line.trim_ascii().is_empty() {
                tx.write(&path, "").await?;
            }
            Ok::<_, StoreError>(line)
        });
        let Ok(line) = taken.await else { continue };
        let line = String::from_utf8_lossy(line.trim_ascii());
        if line.is_empty() {
            continue;
        }
        let mut reply = String::new();
        let _ = shared.store.remove(&Key::Reply.to_string()).await;
        console::run(&*shared.platform, &line, &mut reply);
        write_reply(&shared, &reply).await;
    }
}

async fn write_reply(shared: &Shared, reply: &str) {
    let mut count = 0;
    for part in control_api::parts(reply) {
        shared.write(Key::ReplyPart(count), part).await;
        count += 1;
    }
    shared.write(Key::ReplyDone, &count.to_string()).await;
}
