//! Probes: from texts to a [`Probe`].

use super::{read_duration, word};
use crate::{
    config::{
        fault::{Found, part},
        spec::ProbeSpec,
    },
    desired::rules::{PROBE_INTERVAL, probe_breaches},
    model::{Probe, ProbeKind, StatusRange, Via},
};

/// What could be read of `spec`; `None` if not even its type could.
pub(super) fn read(spec: &ProbeSpec, place: &str, found: &mut Found) -> Option<Probe> {
    let kind = read_kind(spec, place, found);
    let mut read = |field, text: Option<&str>| {
        let place = part(place, field);
        text.and_then(|text| found.keep(place, read_duration(text)))
    };
    let interval = read("interval", spec.interval.as_deref());
    let timeout = read("timeout", spec.timeout.as_deref());
    let default = Probe::new(ProbeKind::Tcp);
    let interval = match interval {
        Some(interval) => interval,
        // The longest stands in for a faulty one, so that no timeout looks too long beside it.
        None if found.knows(&part(place, "interval")) => *PROBE_INTERVAL.end(),
        None => default.interval,
    };
    let ways = Via::ALL.map(|via| (via.to_string(), via));
    let via = word(found, &part(place, "via"), spec.via.as_deref(), &ways);
    let probe = Probe {
        kind: kind.clone().unwrap_or(ProbeKind::Tcp),
        via: via.unwrap_or_default(),
        port: spec.port,
        interval,
        timeout: timeout.unwrap_or(default.timeout.min(interval)),
        rise: spec.rise.unwrap_or(default.rise),
        fall: spec.fall.unwrap_or(default.fall),
        jitter_percent: spec.jitter_percent.unwrap_or(default.jitter_percent),
    };
    for (field, breach) in probe_breaches(&probe) {
        found.add(part(place, field), breach.to_string());
    }
    kind.and(via).map(|_| probe)
}

fn read_kind(spec: &ProbeSpec, place: &str, found: &mut Found) -> Option<ProbeKind> {
    let status = match spec.status.as_deref() {
        Some(text) => found.keep(part(place, "status"), read_status(text)),
        None => Some(StatusRange { from: 200, to: 299 }),
    };
    let kind_place = part(place, "type");
    let kinds = [("tcp", false), ("http", true)];
    if word(found, &kind_place, Some(&spec.kind), &kinds)? {
        return Some(ProbeKind::Http {
            path: spec.path.clone().unwrap_or_else(|| "/".to_owned()),
            host: spec.host.clone(),
            status: status?,
        });
    }
    for (field, written) in [
        ("path", spec.path.is_some()),
        ("host", spec.host.is_some()),
        ("status", spec.status.is_some()),
    ] {
        if written {
            let message =
                format!("a tcp probe has no {field}: take it out, or write type = \"http\"");
            found.add(part(place, field), message);
        }
    }
    Some(ProbeKind::Tcp)
}

fn read_status(text: &str) -> Result<StatusRange, String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.trim().parse(), to.trim().parse()) {
        (Ok(from), Ok(to)) => Ok(StatusRange { from, to }),
        _ => Err(format!(
            "`{text}` are not status codes: write one or a range, like \"200\" or \"200-399\""
        )),
    }
}
