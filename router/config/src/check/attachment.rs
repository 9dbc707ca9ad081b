//! What interfaces are attached to: vifs, or other interfaces whose frames have a tag.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::{fmt, mem};

use crate::draft::{At, DraftAttachment, DraftInterface};
use crate::error::ConfigError;
use crate::limits::{MAX_INTERFACES, MAX_VIFS};
use crate::model::{Attachment, InterfaceConfig};
use crate::suggest::did_you_mean;
use wire::vlan::MAX_TAGS;

/// Validates the attachments of interfaces and sorts the interfaces: vifs first, then the others,
/// each after its parent. Sub-interfaces without an MTU get that of the parent.
pub(super) fn arrange(interfaces: &mut Vec<DraftInterface>) -> Result<(), ConfigError> {
    let depths = interfaces.iter().map(|this| depth(interfaces, this));
    let depths = depths.collect::<Result<Vec<_>, _>>()?;
    let mut all: Vec<_> = depths.into_iter().zip(mem::take(interfaces)).collect();
    for depth in 0..=MAX_TAGS {
        for (_, mut this) in all.extract_if(.., |&mut (of, _)| of == depth) {
            let fail = |text: String| Err(ConfigError::new(this.line, text));
            if interfaces.len() == MAX_INTERFACES {
                return fail(format!("more than {MAX_INTERFACES} interfaces"));
            }
            if interfaces.len() == MAX_VIFS && depth == 0 {
                return fail(format!("more than {MAX_VIFS} interfaces that are vifs"));
            }
            attach(interfaces, &mut this)?;
            interfaces.push(this);
        }
    }
    Ok(())
}

/// Returns the depth of an interface below its vif, which is the number of tags of its frames.
fn depth(all: &[DraftInterface], of: &DraftInterface) -> Result<usize, ConfigError> {
    if of.attachment.value == DraftAttachment::Loopback {
        return Ok(1);
    }
    let mut depth = 0;
    let mut at = of;
    while let DraftAttachment::Vlan { parent: name, .. } = &at.attachment.value {
        let fail = |text: String| Err(name.error(text));
        let (_, parent) = named(all, name)?;
        if parent.attachment.value == DraftAttachment::Loopback {
            return fail(format!("{} is a loopback and has no VLANs", name.value));
        }
        if parent.config.name == of.config.name {
            return fail(match depth {
                0 => format!("interface {} can't be its own parent", name.value),
                _ => format!("the parents of interface {} lead back to it", name.value),
            });
        }
        depth += 1;
        if depth > MAX_TAGS {
            let name = &of.config.name;
            return fail(format!(
                "frames of {name} would have more than {MAX_TAGS} tags"
            ));
        }
        at = parent;
    }
    Ok(depth)
}

fn named<'a>(
    all: &'a [DraftInterface],
    wanted: &At<String>,
) -> Result<(usize, &'a DraftInterface), ConfigError> {
    let mut each = all.iter().enumerate();
    let found = each.find(|(_, interface)| interface.config.name == wanted.value);
    found.ok_or_else(|| {
        let names = &mut all.iter().map(|interface| interface.config.name.as_str());
        let hint = did_you_mean(&wanted.value, names);
        wanted.error(format!("no interface \"{}\"{hint}", wanted.value))
    })
}

/// Attaches an interface, `earlier` being those that it may be attached to.
fn attach(earlier: &[DraftInterface], this: &mut DraftInterface) -> Result<(), ConfigError> {
    let at = &this.attachment;
    this.config.attachment = match &at.value {
        DraftAttachment::Vif(vif) => {
            unique(earlier, at, format_args!("vif {vif}"))?;
            Attachment::Vif(*vif)
        }
        DraftAttachment::Mac(mac) => {
            if !mac.is_unicast() {
                let text = format!("{mac} can't be the MAC address of an interface");
                return Err(at.error(text));
            }
            unique(earlier, at, format_args!("mac {mac}"))?;
            Attachment::Mac(*mac)
        }
        DraftAttachment::Loopback => {
            loopback(this)?;
            Attachment::Loopback
        }
        DraftAttachment::Vlan { parent: name, tag } => {
            unique(
                earlier,
                at,
                format_args!("vlan {} of {}", tag.vid, name.value),
            )?;
            let (parent, outer) = named(earlier, name)?;
            this.config.mtu = inner_mtu(this, &outer.config)?;
            Attachment::Vlan { parent, tag: *tag }
        }
    };
    Ok(())
}

/// Fails if there is such an attachment already, called `what`.
fn unique(
    earlier: &[DraftInterface],
    attachment: &At<DraftAttachment>,
    what: fmt::Arguments<'_>,
) -> Result<(), ConfigError> {
    match earlier.iter().find(|other| other.attachment == *attachment) {
        Some(other) => {
            let name = &other.config.name;
            Err(attachment.error(format!("{what} is already interface {name}")))
        }
        None => Ok(()),
    }
}

/// Returns the MTU of an interface whose frames are those of `parent` with a tag.
fn inner_mtu(this: &DraftInterface, parent: &InterfaceConfig) -> Result<Option<u16>, ConfigError> {
    let (Some(mtu), Some(most)) = (this.config.mtu, parent.mtu) else {
        return Ok(this.config.mtu.or(parent.mtu));
    };
    if mtu > most {
        let (name, parent) = (&this.config.name, &parent.name);
        let text = format!("mtu {mtu} of {name} is more than that of its parent {parent}, {most}");
        return Err(ConfigError::new(this.line, text));
    }
    Ok(Some(mtu))
}

/// Checks that a loopback interface has only valid keys.
fn loopback(interface: &DraftInterface) -> Result<(), ConfigError> {
    let name = &interface.config.name;
    let keys = [
        ("mtu", interface.config.mtu.is_some()),
        ("rpf", interface.config.rpf.is_some()),
        ("source", interface.source.is_some()),
        ("advertise", interface.advertise.is_some()),
        (
            "directed_broadcast",
            interface.config.allow.directed_broadcast,
        ),
        ("redirects", interface.config.allow.redirects),
        ("source_route", interface.config.allow.source_route),
        ("proxy_arp", interface.config.allow.proxy_arp),
    ];
    if let Some((key, _)) = keys.into_iter().find(|&(_, given)| given) {
        let text = format!("{name} is a loopback, for which \"{key}\" means nothing");
        return Err(ConfigError::new(interface.line, text));
    }
    for network in &interface.addresses {
        let address = network.value.address;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        if network.value.len != whole {
            return Err(network.error(format!(
                "{}: a loopback interface has no neighbors \
                 (did you mean \"{address}/{whole}\"?)",
                network.value
            )));
        }
    }
    Ok(())
}
