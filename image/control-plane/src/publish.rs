//! The keys that the guest publishes in xenstore.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};

use control_api::{ConfigStatus, Key, State};

use crate::platform::with_router;
use crate::shared::Shared;

/// Writes the guest's identity and the status of its configuration to xenstore.
pub(crate) async fn publish_identity(shared: Rc<Shared>) {
    shared.write(Key::Version, env!("CARGO_PKG_VERSION")).await;
    publish_status(&shared).await;
    publish_state(&shared).await;
}

async fn publish_status(shared: &Shared) {
    let warning = shared.mtu_warning.borrow().clone();
    let status = match &shared.config_error {
        None => ConfigStatus::Ok {
            generation: 0,
            warning: Some(&*warning).filter(|text| !text.is_empty()),
        },
        Some(error) => ConfigStatus::Error {
            line: error.line,
            text: &error.text,
        },
    };
    shared.write(Key::ConfigStatus, &status.to_string()).await;
}

async fn publish_state(shared: &Shared) {
    shared.write(Key::State, shared.state.get().as_str()).await;
    if let Some(us) = shared.ready_us.get() {
        shared.write(Key::BootUs, &us.to_string()).await;
    }
}

/// Updates the state after a link has changed, and publishes changes.
pub(crate) fn links_changed(shared: &Rc<Shared>) {
    if shared.config_error.is_some() {
        return;
    }
    let (up, warnings) = with_router(&*shared.platform, |router| {
        (router.all_links_up(), router.mtu_warnings())
    });
    mtus_changed(shared, &warnings);
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

/// Logs and publishes new warnings about the links' MTUs.
fn mtus_changed(shared: &Rc<Shared>, warnings: &[String]) {
    let news = warnings.join("; ");
    if *shared.mtu_warning.borrow() == news {
        return;
    }
    let old = shared.mtu_warning.replace(news);
    for warning in warnings.iter().filter(|it| !old.contains(it.as_str())) {
        log::warn!(target: "net", "{warning}");
    }
    let this = Rc::clone(shared);
    shared
        .tasks
        .spawn(async move { publish_status(&this).await });
}
