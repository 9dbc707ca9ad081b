//! What an interface is attached to: a vif, or another interface whose frames have a tag.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::ConfigError;
use super::draft::{At, DraftInterface, VIF_MAX};
use super::limits::{MAX_INTERFACES, MAX_VIFS};
use super::model::Attachment;
use super::suggest::did_you_mean;
use super::toml_value::{Lines, Value, integer, mac, string};
use wire::addr::Mac;
use wire::vlan::{MAX_TAGS, Tag, TagProtocol, VID_MAX};

/// An [`Attachment`] whose parent has a name and no number yet.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum DraftAttachment {
    Vif(u8),
    Mac(Mac),
    Loopback,
    Vlan { parent: At<String>, tag: Tag },
}

/// The keys that say what an interface is attached to.
#[derive(Default)]
pub(crate) struct Keys {
    vif: Option<At<DraftAttachment>>,
    parent: Option<At<String>>,
    vlan: Option<At<u16>>,
    protocol: Option<At<TagProtocol>>,
    loopback: bool,
}

impl Keys {
    pub(crate) const NAMES: [&str; 6] = ["vif", "mac", "type", "parent", "vlan", "protocol"];

    /// Reads one of the keys in [`Keys::NAMES`] of the table `whole`.
    pub(crate) fn read(
        &mut self,
        lines: &Lines,
        whole: &str,
        key: &str,
        value: &Value<'_>,
    ) -> Result<(), ConfigError> {
        let line = lines.of(&value.span());
        match key {
            "type" => {
                let text = string(lines, "type", value)?.value;
                if text != "loopback" {
                    let hint = did_you_mean(&text, ["loopback"]);
                    let text = format!("unknown type \"{text}\"{hint}");
                    return Err(ConfigError::new(line, text));
                }
                self.loopback = true;
            }
            "parent" => self.parent = Some(string(lines, "parent", value)?),
            "vlan" => {
                let number = integer(lines, "vlan", value, 1, VID_MAX.into())?;
                let value = u16::try_from(number).unwrap_or(VID_MAX);
                self.vlan = Some(At { line, value });
            }
            "protocol" => {
                let text = string(lines, "protocol", value)?.value;
                let all = [TagProtocol::Customer, TagProtocol::Service];
                let Some(value) = all.into_iter().find(|p| p.name() == text) else {
                    let hint = did_you_mean(&text, all.map(TagProtocol::name));
                    let text = format!("unknown protocol \"{text}\"{hint}");
                    return Err(ConfigError::new(line, text));
                };
                self.protocol = Some(At { line, value });
            }
            _ => {
                if self.vif.is_some() {
                    let text = format!("{whole} has both \"vif\" and \"mac\", it needs one");
                    return Err(ConfigError::new(line, text));
                }
                let value = if key == "vif" {
                    let number = integer(lines, "vif", value, 0, VIF_MAX.into())?;
                    DraftAttachment::Vif(u8::try_from(number).unwrap_or(VIF_MAX))
                } else {
                    DraftAttachment::Mac(mac(&string(lines, "mac", value)?)?)
                };
                self.vif = Some(At { line, value });
            }
        }
        Ok(())
    }

    /// What all keys together say of the table `whole`, which begins on `line`.
    pub(crate) fn finish(self, line: u32, whole: &str) -> Result<At<DraftAttachment>, ConfigError> {
        let fail = |line, what: &str| Err(ConfigError::new(line, format!("{whole} {what}")));
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
                None => Ok(At {
                    line,
                    value: DraftAttachment::Loopback,
                }),
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
                let protocol = protocol.map_or(TagProtocol::Customer, |p| p.value);
                let tag = Tag { protocol, vid };
                let value = DraftAttachment::Vlan { parent, tag };
                Ok(At { line, value })
            }
            (vif, None, None) => match (vif, protocol) {
                (_, Some(At { line, .. })) => {
                    fail(line, "has a \"protocol\", which goes with \"vlan\"")
                }
                (Some(vif), None) => Ok(vif),
                (None, None) => fail(
                    line,
                    "needs \"vif\" (a number) or \"mac\", or \"parent\" and \"vlan\", \
                     or type = \"loopback\"",
                ),
            },
        }
    }
}

/// Checks what interfaces are attached to, and brings them in order: first those that are
/// vifs, then the others, each behind its parent. Those without an MTU get that of the parent.
pub(crate) fn arrange(interfaces: &mut Vec<DraftInterface>) -> Result<(), ConfigError> {
    let mut depths = Vec::with_capacity(interfaces.len());
    for at in 0..interfaces.len() {
        depths.push(depth(interfaces, at)?);
    }
    let mut with_depths: Vec<_> = interfaces.drain(..).zip(depths).collect();
    with_depths.sort_by_key(|&(_, depth)| depth);
    let vifs = with_depths.iter().filter(|&&(_, depth)| depth == 0).count();
    interfaces.extend(with_depths.into_iter().map(|(interface, _)| interface));
    if let Some(extra) = interfaces.get(MAX_INTERFACES) {
        let text = format!("more than {MAX_INTERFACES} interfaces");
        return Err(ConfigError::new(extra.line, text));
    }
    if let Some(extra) = interfaces.get(MAX_VIFS).filter(|_| vifs > MAX_VIFS) {
        let text = format!("more than {MAX_VIFS} interfaces that are vifs");
        return Err(ConfigError::new(extra.line, text));
    }
    for at in 0..interfaces.len() {
        let (earlier, rest) = interfaces.split_at_mut(at);
        let Some(this) = rest.first_mut() else { break };
        let value = &this.attachment.value;
        if *value == DraftAttachment::Loopback {
            loopback(this)?;
            continue;
        }
        if let DraftAttachment::Mac(mac) = value
            && !mac.is_station()
        {
            let text = format!("{mac} can't be the MAC address of an interface");
            return Err(ConfigError::new(this.attachment.line, text));
        }
        if let Some(other) = earlier.iter().find(|e| e.attachment.value == *value) {
            let what = match value {
                DraftAttachment::Vif(vif) => format!("vif {vif}"),
                DraftAttachment::Mac(mac) => format!("mac {mac}"),
                DraftAttachment::Vlan { parent, tag } => {
                    format!("vlan {} of {}", tag.vid, parent.value)
                }
                DraftAttachment::Loopback => continue,
            };
            let text = format!("{what} is already interface {}", other.name);
            return Err(ConfigError::new(this.attachment.line, text));
        }
        if let DraftAttachment::Vlan { parent, .. } = value
            && let Some(most) = earlier.iter().find(|e| e.name == parent.value)
            && let Some(most) = most.mtu
        {
            let mtu = *this.mtu.get_or_insert(most);
            if mtu > most {
                let (name, parent) = (&this.name, &parent.value);
                let text = format!("mtu {mtu} of {name} is more than that of its parent {parent}");
                return Err(ConfigError::new(this.line, format!("{text}, {most}")));
            }
        }
    }
    Ok(())
}

/// Checks that a loopback has only what makes sense there.
fn loopback(interface: &DraftInterface) -> Result<(), ConfigError> {
    let name = &interface.name;
    let keys = [
        ("mtu", interface.mtu.is_some()),
        ("rpf", interface.rpf.is_some()),
        ("source", interface.source.is_some()),
        ("advertise", interface.advertise.is_some()),
    ];
    if let Some((key, _)) = keys.into_iter().find(|&(_, given)| given) {
        let text = format!("{name} is a loopback, for which \"{key}\" means nothing");
        return Err(ConfigError::new(interface.line, text));
    }
    for &At { line, value } in &interface.addresses {
        let whole = if value.address.is_ipv4() { 32 } else { 128 };
        if value.len != whole {
            let text = format!(
                "{value}: nobody else is on the network of a loopback (did you mean \"{}/{whole}\"?)",
                value.address
            );
            return Err(ConfigError::new(line, text));
        }
    }
    Ok(())
}

/// How far behind the vifs an interface comes: as many tags as its frames have.
fn depth(interfaces: &[DraftInterface], of: usize) -> Result<usize, ConfigError> {
    let is_loopback = |at: usize| {
        let interface = interfaces.get(at);
        interface.is_some_and(|i| i.attachment.value == DraftAttachment::Loopback)
    };
    let mut depth = usize::from(is_loopback(of));
    let mut at = of;
    while let Some(DraftInterface {
        attachment:
            At {
                value: DraftAttachment::Vlan { parent, .. },
                ..
            },
        ..
    }) = interfaces.get(at)
    {
        let fail = |text: String| Err(ConfigError::new(parent.line, text));
        let names = || interfaces.iter().map(|i| i.name.as_str());
        let Some(next) = names().position(|name| name == parent.value) else {
            let hint = did_you_mean(&parent.value, names());
            return fail(format!("no interface \"{}\"{hint}", parent.value));
        };
        if is_loopback(next) {
            return fail(format!("{} is a loopback and has no VLANs", parent.value));
        }
        if next == of {
            return fail(match depth {
                0 => format!("interface {} can't be its own parent", parent.value),
                _ => format!("the parents of interface {} lead back to it", parent.value),
            });
        }
        depth += 1;
        if depth > MAX_TAGS {
            let name = interfaces.get(of).map_or("?", |i| &i.name);
            return fail(format!(
                "frames of {name} would have more than {MAX_TAGS} tags"
            ));
        }
        at = next;
    }
    Ok(depth)
}

/// The attachment, its parent being an index into `names`.
pub(crate) fn resolve(attachment: &DraftAttachment, names: &[String]) -> Attachment {
    match attachment {
        DraftAttachment::Vif(vif) => Attachment::Vif(*vif),
        DraftAttachment::Mac(mac) => Attachment::Mac(*mac),
        DraftAttachment::Loopback => Attachment::Loopback,
        DraftAttachment::Vlan { parent, tag } => Attachment::Vlan {
            // It is there, or the interfaces would not have been arranged.
            parent: names.iter().position(|n| *n == parent.value).unwrap_or(0),
            tag: *tag,
        },
    }
}
