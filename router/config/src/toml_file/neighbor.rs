//! The table `[[neighbor]]`.

use crate::draft::DraftNeighbor;
use crate::error::ConfigError;
use crate::notation;
use crate::toml_table::Table;

pub(super) fn read(mut table: Table<'_>) -> Result<DraftNeighbor, ConfigError> {
    let interface = table.text("interface");
    let address = table.parsed("address", notation::address);
    let mac = table.parsed("mac", notation::mac);
    let whole = table.finish()?;
    match (interface, address, mac) {
        (Some(interface), Some(address), Some(mac)) => Ok(DraftNeighbor {
            interface,
            address,
            mac,
        }),
        _ => Err(whole.error("a neighbor needs \"interface\", \"address\" and \"mac\"")),
    }
}
