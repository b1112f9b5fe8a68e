//! What is fixed when the daemon starts: `[daemon]`.

use std::{fmt, ops::RangeInclusive};

use lb_common::{placement::Extent, table::SLOTS_PER_ELEMENT};

use super::{
    fault::{Found, part},
    snat::{self, SnatSettings},
    spec::DaemonSpec,
    validate::word,
};
use crate::model::{AliasPrefix, Aliases, Source, Sources};

/// How the program is attached to interfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// Native where the driver has it, else generic with a warning.
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the kernel's generic path: works everywhere, slower.
    Generic,
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Generic => "generic",
        })
    }
}

/// What becomes of a packet to a VIP address on which no service listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unmatched {
    /// Goes to this host's own stack.
    #[default]
    Pass,
    /// Dropped.
    Drop,
}

/// The validated values of `[daemon]`, with defaults for what was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSettings {
    /// Interfaces to attach to; each a name that an interface can have, none twice.
    pub interfaces: Vec<String>,
    /// How to attach.
    pub xdp_mode: XdpMode,
    /// Seed of the flow hash, equal on all balancers of a fleet.
    pub hash_seed: u64,
    /// What becomes of packets to a VIP address on which no service listens.
    pub unmatched: Unmatched,
    /// Where outer headers of tunnels come from.
    pub tunnel_sources: Sources,
    /// Source ports, addresses and time-outs of mode `snat`.
    pub snat: SnatSettings,
    /// Where aliases for probes that go to the VIP are taken from.
    pub probe_aliases: Aliases,
    /// UDP port that `gue` backends listen on; 1 to 65,535.
    pub gue_port: u32,
    /// Flows remembered per IP version; 1,024 to 2^24.
    pub max_flows: u32,
    /// Slots of all lookup tables together; 16,384 to 2^28, a multiple of [`SLOTS_PER_ELEMENT`].
    pub max_slots: u32,
    /// Backend numbers, the reserved number 0 among them; 16 to 2^20.
    pub max_backends: u32,
    /// VIPs per IP version, with one more for each address; 16 to 2^20.
    pub max_vips: u32,
    /// Sources per IP version whose packets are counted against a limit; 1,024 to 2^24.
    pub max_sources: u32,
    /// Group whose members may change things; `None`: not written, so `lb` if there is such a group.
    pub group: Option<String>,
    /// Group whose members may only read.
    pub read_only_group: Option<String>,
    /// Who runs the commands of `exec` probes; `None`: nobody, they are not allowed.
    pub exec_user: Option<String>,
}

impl Default for DaemonSettings {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            xdp_mode: XdpMode::default(),
            hash_seed: 0,
            unmatched: Unmatched::default(),
            tunnel_sources: Sources::default(),
            snat: SnatSettings::default(),
            probe_aliases: Aliases::default(),
            gue_port: 6_080,
            max_flows: 1 << 18,
            max_slots: 1 << 21,
            max_backends: 4_096,
            max_vips: 4_096,
            max_sources: 1 << 16,
            group: None,
            read_only_group: None,
            exec_user: None,
        }
    }
}

/// The longest name of an interface, in bytes (`IFNAMSIZ` without the final 0).
const MAX_INTERFACE_NAME: usize = 15;
/// The longest name of a group, in bytes (useradd's limit).
const MAX_GROUP_NAME: usize = 32;

/// The settings that `spec` asks for; defaults stand in for what is faulty.
pub(super) fn settings(spec: &DaemonSpec, found: &mut Found) -> DaemonSettings {
    let default = DaemonSettings::default();
    let xdp_modes = [XdpMode::Auto, XdpMode::Native, XdpMode::Generic].map(|m| (m.to_string(), m));
    let unmatched = [("pass", Unmatched::Pass), ("drop", Unmatched::Drop)];
    let settings = DaemonSettings {
        interfaces: interfaces(&spec.interfaces, found),
        xdp_mode: word(
            found,
            "daemon.xdp_mode",
            spec.xdp_mode.as_deref(),
            &xdp_modes,
        )
        .unwrap_or_default(),
        hash_seed: spec.hash_seed.unwrap_or(default.hash_seed),
        unmatched: word(
            found,
            "daemon.unmatched",
            spec.unmatched.as_deref(),
            &unmatched,
        )
        .unwrap_or_default(),
        tunnel_sources: sources(&spec.tunnel_sources, "daemon.tunnel_sources", found),
        snat: snat::settings(&spec.snat.clone().unwrap_or_default(), found),
        probe_aliases: aliases(&spec.probe_aliases, found),
        gue_port: size(
            found,
            "gue_port",
            spec.gue_port,
            1..=65_535,
            default.gue_port,
        ),
        max_flows: size(
            found,
            "max_flows",
            spec.max_flows,
            1_024..=1 << 24,
            default.max_flows,
        ),
        max_slots: size(
            found,
            "max_slots",
            spec.max_slots,
            16_384..=1 << 28,
            default.max_slots,
        )
        .next_multiple_of(SLOTS_PER_ELEMENT),
        max_backends: size(
            found,
            "max_backends",
            spec.max_backends,
            16..=1 << 20,
            default.max_backends,
        ),
        max_vips: size(
            found,
            "max_vips",
            spec.max_vips,
            16..=Extent::MAX_VIPS,
            default.max_vips,
        ),
        max_sources: size(
            found,
            "max_sources",
            spec.max_sources,
            1_024..=1 << 24,
            default.max_sources,
        ),
        group: group(found, "group", spec.group.as_deref()),
        read_only_group: group(found, "read_only_group", spec.read_only_group.as_deref()),
        exec_user: exec_user(spec, found),
    };
    if settings.group.is_some() && settings.group == settings.read_only_group {
        found.add(
            "daemon.read_only_group",
            "the group that may only read is the one that may change things: name another, or leave this out",
        );
    }
    settings
}

fn interfaces(names: &[String], found: &mut Found) -> Vec<String> {
    let mut valid: Vec<String> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let place = format!("daemon.interfaces[{index}]");
        if !is_interface_name(name) {
            let message = format!(
                "{name:?} is not the name of an interface: write 1 to {MAX_INTERFACE_NAME} bytes without `/`, `:` or white space"
            );
            found.add(place, message);
        } else if valid.contains(name) {
            found.add(place, format!("interface {name} stands here twice"));
        } else {
            valid.push(name.clone());
        }
    }
    valid
}

/// At most one of each IP version.
pub(super) fn sources(texts: &[String], place: &str, found: &mut Found) -> Sources {
    let mut sources = Sources::default();
    for (index, text) in texts.iter().enumerate() {
        let place = format!("{place}[{index}]");
        let Some(source) = found.keep(place.as_str(), text.parse::<Source>()) else {
            continue;
        };
        let chosen = if source.address.is_ipv4() {
            &mut sources.v4
        } else {
            &mut sources.v6
        };
        if let Some(first) = chosen.replace(source) {
            let message = format!("{first} stands here already: name one for each IP version");
            found.add(place, message);
        }
    }
    sources
}

/// At most one prefix of each IP version; the default stands in for one that is not written.
fn aliases(texts: &[String], found: &mut Found) -> Aliases {
    let mut aliases = Aliases::default();
    let mut versions = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let place = format!("daemon.probe_aliases[{index}]");
        let Some(prefix) = found.keep(place.as_str(), text.parse::<AliasPrefix>()) else {
            continue;
        };
        let is_ipv4 = prefix.prefix().is_ipv4();
        if versions.contains(&is_ipv4) {
            let first = aliases.like(is_ipv4);
            let message = format!("{first} stands here already: name one for each IP version");
            found.add(place, message);
        } else if is_ipv4 {
            aliases.v4 = prefix;
        } else {
            aliases.v6 = prefix;
        }
        versions.push(is_ipv4);
    }
    aliases
}

/// Who runs commands, if anybody does. The names of users follow the rules of groups' names.
fn exec_user(spec: &DaemonSpec, found: &mut Found) -> Option<String> {
    let user = name(found, "exec_user", spec.exec_user.as_deref(), "a user");
    if user.as_deref() == Some("root") {
        let message = "root is no unprivileged user: write another, or leave it out for nobody";
        found.add("daemon.exec_user", message);
    }
    if !spec.allow_exec_probes && user.is_some() {
        let message = "nobody runs commands: take it out, or write allow_exec_probes = true";
        found.add("daemon.exec_user", message);
    }
    spec.allow_exec_probes
        .then(|| user.unwrap_or_else(|| "nobody".to_owned()))
}

/// As the kernel's `dev_valid_name` has it, and without control characters.
fn is_interface_name(name: &str) -> bool {
    let forbidden = |c: char| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control();
    (1..=MAX_INTERFACE_NAME).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.contains(forbidden)
}

fn size(
    found: &mut Found,
    field: &str,
    value: Option<u32>,
    range: RangeInclusive<u32>,
    default: u32,
) -> u32 {
    match value {
        Some(value) if !range.contains(&value) => {
            let message = format!(
                "{value} is out of range: write {} to {}",
                range.start(),
                range.end()
            );
            found.add(part("daemon", field), message);
            default
        }
        value => value.unwrap_or(default),
    }
}

fn group(found: &mut Found, field: &str, group: Option<&str>) -> Option<String> {
    name(found, field, group, "a group")
}

fn name(found: &mut Found, field: &str, name: Option<&str>, whose: &str) -> Option<String> {
    let name = name?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$');
    if (1..=MAX_GROUP_NAME).contains(&name.len()) && name.chars().all(allowed) {
        return Some(name.to_owned());
    }
    let message = format!(
        "{name:?} is not the name of {whose}: write 1 to {MAX_GROUP_NAME} letters, digits, `_`, `-` or `.`"
    );
    found.add(part("daemon", field), message);
    None
}
