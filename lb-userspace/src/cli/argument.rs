//! Values as they are typed: checked here as far as no daemon is needed for it, sent as they were typed.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use humantime_serde::re::humantime;

use crate::{
    config::spec::{QuicConfigSpec, TableSlotsSpec},
    control::protocol::{EventKind, Receiver},
    model::{
        Backend, ConfigId, ParseError, Prefix, ServerId, ServerIdLength, ServiceName, SourceLimit,
        TableSlots, Vip, Weight,
    },
};

/// The modes of a backend.
pub(super) const MODES: [&str; 6] = ["l2", "nat", "ipip", "gue", "local", "snat"];

/// How a new flow gets its slot.
pub(super) const ALGORITHMS: [&str; 5] = [
    "maglev",
    "source-hash",
    "random",
    "round-robin",
    "least-connections",
];

/// The states that an operator gives a backend.
pub(super) const STATES: [&str; 3] = ["up", "drain", "down"];

pub(super) fn service_name(text: &str) -> Result<String, ParseError> {
    text.parse::<ServiceName>().map(|_| text.to_owned())
}

pub(super) fn vip(text: &str) -> Result<String, ParseError> {
    text.parse::<Vip>().map(|_| text.to_owned())
}

pub(super) fn prefix(text: &str) -> Result<String, ParseError> {
    text.parse::<Prefix>().map(|_| text.to_owned())
}

pub(super) fn backend_address(text: &str) -> Result<String, ParseError> {
    Backend::parse_address(text).map(|_| text.to_owned())
}

pub(super) fn receiver(text: &str) -> Result<Receiver, String> {
    match text {
        "decap" => Ok(Receiver::Decap),
        "kernel" => Ok(Receiver::Kernel),
        _ => Err("write decap or kernel".to_owned()),
    }
}

pub(super) fn weight(text: &str) -> Result<u32, String> {
    let number: u32 = text
        .parse()
        .map_err(|_| format!("write a number from 1 to {}", Weight::MAX))?;
    Weight::try_from(number)
        .map(Weight::get)
        .map_err(|error| error.to_string())
}

/// Packets of a source, in a second or at once.
pub(super) fn packets(text: &str) -> Result<u32, String> {
    let range = SourceLimit::RANGE;
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        format!(
            "write a number of packets from {} to {}",
            range.start(),
            range.end()
        )
    })
}

/// Kinds of event, by their names.
pub(super) fn event_kind() -> impl TypedValueParser<Value = EventKind> {
    let names = EventKind::ALL.map(|(name, _)| name);
    PossibleValuesParser::new(names).try_map(|text| {
        let mut kinds = EventKind::ALL.into_iter();
        kinds
            .find_map(|(name, kind)| (name == text).then_some(kind))
            .ok_or("no such kind of event")
    })
}

pub(super) fn table_slots(text: &str) -> Result<TableSlotsSpec, String> {
    if text == "auto" {
        return Ok(TableSlotsSpec::Word(text.to_owned()));
    }
    let sizes = TableSlots::SIZES;
    let number: u32 = text
        .parse()
        .map_err(|_| format!("write auto or one of {sizes:?}"))?;
    TableSlots::try_from(number)
        .map(|_| TableSlotsSpec::Number(number))
        .map_err(|error| error.to_string())
}

pub(super) fn server_id(text: &str) -> Result<String, ParseError> {
    text.parse::<ServerId>().map(|_| text.to_owned())
}

/// `CONFIG:BYTES` or `CONFIG:BYTES:length`.
pub(super) fn quic_config(text: &str) -> Result<QuicConfigSpec, String> {
    let malformed = || {
        "write CONFIG:BYTES, the config id and the length of its server ids, like 0:2; with :length behind it, connection ids tell their length".to_owned()
    };
    let number = |text: Option<&str>| {
        text.and_then(|text| text.parse().ok())
            .ok_or_else(malformed)
    };
    let mut parts = text.split(':');
    let spec = QuicConfigSpec {
        config_id: number(parts.next())?,
        server_id_length: number(parts.next())?,
        first_octet_encodes_cid_length: match parts.next() {
            None => false,
            Some("length") => true,
            Some(_) => return Err(malformed()),
        },
    };
    if parts.next().is_some() {
        return Err(malformed());
    }
    ConfigId::try_from(spec.config_id).map_err(|error| error.to_string())?;
    ServerIdLength::try_from(spec.server_id_length).map_err(|error| error.to_string())?;
    Ok(spec)
}

pub(super) fn duration(text: &str) -> Result<String, String> {
    humantime::parse_duration(text)
        .map(|_| text.to_owned())
        .map_err(|_| "write a time with its unit, like 2s or 500ms".to_owned())
}
