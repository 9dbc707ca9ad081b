//! What the guest tells of itself in xenstore.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::ToString;

use control_api::{ConfigStatus, Key, State};

use crate::platform::with_router;
use crate::shared::Shared;

/// Writes the guest's identity to xenstore, and what became of its configuration.
pub(crate) async fn publish_identity(shared: Rc<Shared>) {
    let status = match &shared.config_error {
        None => ConfigStatus::Ok { generation: 0 },
        Some(error) => ConfigStatus::Error {
            line: error.line,
            text: &error.text,
        },
    };
    shared.write(Key::Version, env!("CARGO_PKG_VERSION")).await;
    shared.write(Key::ConfigStatus, &status.to_string()).await;
    publish_state(&shared).await;
}

async fn publish_state(shared: &Shared) {
    shared.write(Key::State, shared.state.get().as_str()).await;
    if let Some(us) = shared.ready_us.get() {
        shared.write(Key::BootUs, &us.to_string()).await;
    }
}

/// Looks again whether every interface is up, and tells so where that is news.
pub(crate) fn links_changed(shared: &Rc<Shared>) {
    if shared.config_error.is_some() {
        return;
    }
    let up = with_router(&*shared.platform, |router| router.all_links_up());
    let state = match (up, shared.ready_us.get()) {
        (true, _) => State::Ready,
        (false, None) => State::Booting,
        (false, Some(_)) => State::Degraded,
    };
    if up && shared.ready_us.get().is_none() {
        let took_us = shared.platform.since_entry_ns() / 1000;
        shared.ready_us.set(Some(took_us));
        let line = format!("ringway: ready in {took_us} us\n");
        shared.platform.write_console(&line);
    }
    if shared.state.replace(state) != state {
        let this = Rc::clone(shared);
        shared
            .tasks
            .spawn(async move { publish_state(&this).await });
    }
}
