//! The tables `[[route]]` and `[[route_file]]`.

use alloc::borrow::ToOwned;

use crate::draft::{Action, At, DraftRoute, DraftRouteFile, DraftTarget};
use crate::error::ConfigError;
use crate::notation::{self, MTU_MIN};
use crate::toml_table::Table;

pub(super) fn route(mut table: Table<'_>) -> Result<DraftRoute, ConfigError> {
    let prefix = table.parsed("prefix", notation::network);
    let vrf = table.text("vrf");
    let via = table.list("via", notation::via);
    let via_vrf = table.text("via_vrf");
    let interface = table.text("interface");
    let action = table.choice("action", &Action::ALL);
    let mtu = table.number("mtu", MTU_MIN..=u16::MAX);
    if let Some(none) = via.as_ref().filter(|via| via.value.is_empty()) {
        table.note(none.error("\"via\" names no gateway"));
    }
    let is_drop = action.is_some();
    let via = via.map(|at| at.map(DraftTarget::Via));
    let interface = interface.map(|at| at.map(DraftTarget::Interface));
    let action = action.map(|at| at.map(DraftTarget::Drop));
    let several = "a route has one of \"via\", \"interface\" and \"action\", not several";
    let target = table.one_of(via, interface, several);
    let target = table.one_of(target, action, several);
    let whole = table.finish()?;
    let prefix = prefix.ok_or_else(|| whole.error("a route needs \"prefix\""))?;
    let target = match (target, &via_vrf) {
        (Some(_), Some(vrf)) if is_drop => {
            return Err(vrf.error("a route with \"action\" goes nowhere and has no \"via_vrf\""));
        }
        (Some(target), _) => target,
        (None, Some(vrf)) => At::new(vrf.line, DraftTarget::Vrf),
        (None, None) => {
            return Err(whole
                .error("a route needs one of \"via\", \"via_vrf\", \"interface\" and \"action\""));
        }
    };
    Ok(DraftRoute {
        prefix,
        vrf,
        via_vrf,
        target,
        mtu,
    })
}

pub(super) fn route_file(mut table: Table<'_>) -> Result<DraftRouteFile, ConfigError> {
    let path = table.text("path");
    let vrf = table.text("vrf");
    let whole = table.finish()?;
    let mut path = path.ok_or_else(|| whole.error("a route_file needs \"path\""))?;
    if let Some(rest) = path.value.strip_prefix("./") {
        path.value = rest.to_owned();
    }
    Ok(DraftRouteFile { path, vrf })
}
