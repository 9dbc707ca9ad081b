//! The keys of an interface's attachment: a vif, or a VLAN of another interface.

use alloc::format;
use alloc::string::String;

use crate::draft::{At, DraftAttachment};
use crate::error::ConfigError;
use crate::limits::VIF_MAX;
use crate::notation;
use crate::toml_table::Table;
use wire::vlan::{Tag, TagProtocol, VID_MAX};

pub(super) struct Keys {
    vif: Option<At<DraftAttachment>>,
    loopback: bool,
    parent: Option<At<String>>,
    vlan: Option<At<u16>>,
    protocol: Option<At<TagProtocol>>,
}

impl Keys {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let vif = table.number("vif", 0..=VIF_MAX);
        let vif = vif.map(|at| at.map(DraftAttachment::Vif));
        let mac = table.parsed("mac", notation::mac);
        let mac = mac.map(|at| at.map(DraftAttachment::Mac));
        let both = format!(
            "{} has both \"vif\" and \"mac\", it needs one",
            table.path()
        );
        let protocols = [TagProtocol::Customer, TagProtocol::Service];
        Self {
            vif: table.one_of(vif, mac, &both),
            loopback: table.choice("type", &[("loopback", ())]).is_some(),
            parent: table.text("parent"),
            vlan: table.number("vlan", 1..=VID_MAX),
            protocol: table.choice("protocol", &protocols.map(|p| (p.name(), p))),
        }
    }

    /// Returns the attachment that all keys of the interface `whole` describe together.
    pub(super) fn attachment(self, whole: &At<String>) -> Result<At<DraftAttachment>, ConfigError> {
        let fail = |line, what: &str| {
            let text = format!("{} {what}", whole.value);
            Err(ConfigError::new(line, text))
        };
        let Self {
            vif,
            parent,
            vlan,
            protocol,
            loopback,
        } = self;
        if loopback {
            let others = [
                vif.map(|at| at.line),
                parent.map(|at| at.line),
                vlan.map(|at| at.line),
                protocol.map(|at| at.line),
            ];
            return match others.into_iter().flatten().next() {
                Some(line) => fail(line, "is a loopback and has neither vif nor VLAN"),
                None => Ok(At::new(whole.line, DraftAttachment::Loopback)),
            };
        }
        match (vif, parent, vlan) {
            (Some(_), Some(At { line, .. }), _) => {
                fail(line, "has a vif and a \"parent\", it needs one")
            }
            (Some(_), None, Some(At { line, .. })) => fail(
                line,
                "is a vif; a VLAN on it is an interface of its own with \"parent\" and \"vlan\"",
            ),
            (None, Some(At { line, .. }), None) => {
                fail(line, "has a \"parent\" and needs \"vlan\" (1 to 4094)")
            }
            (None, None, Some(At { line, .. })) => {
                fail(line, "has a \"vlan\" and needs \"parent\" (an interface)")
            }
            (None, Some(parent), Some(At { line, value: vid })) => {
                let protocol = protocol.map_or(TagProtocol::Customer, At::into_value);
                let tag = Tag { protocol, vid };
                Ok(At::new(line, DraftAttachment::Vlan { parent, tag }))
            }
            (vif, None, None) => match (vif, protocol) {
                (_, Some(At { line, .. })) => {
                    fail(line, "has a \"protocol\", which goes with \"vlan\"")
                }
                (Some(vif), None) => Ok(vif),
                (None, None) => fail(
                    whole.line,
                    "needs \"vif\" (a number) or \"mac\", or \"parent\" and \"vlan\", \
                     or type = \"loopback\"",
                ),
            },
        }
    }
}
