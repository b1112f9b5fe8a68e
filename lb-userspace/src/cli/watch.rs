//! `lbctl watch`: events as they happen, a line each.

use std::{
    io::Write,
    time::{Duration, UNIX_EPOCH},
};

use clap::Args;
use humantime_serde::re::humantime;

use super::{argument, failure::Failure};
use crate::control::{
    client::Client,
    protocol::{AttachmentState, Event, EventKind, EventsSubscribe, Happening, Origin},
};

#[derive(Debug, Args)]
#[command(after_help = "Ends by Ctrl-C, or with exit code 4 when the daemon ends.")]
pub(super) struct Watch {
    /// Only events of this kind; may be given several times
    #[arg(long = "kind", value_delimiter = ',', value_name = "KIND", value_parser = argument::event_kind())]
    kinds: Option<Vec<EventKind>>,
    /// Only events that name this service
    #[arg(long, value_name = "NAME", value_parser = argument::service_name)]
    service: Option<String>,
}

impl Watch {
    /// What is subscribed to.
    pub(super) fn wanted(self) -> EventsSubscribe {
        EventsSubscribe {
            kinds: self.kinds,
            service: self.service,
        }
    }
}

/// Prints events until the daemon ends or nobody reads what is printed.
///
/// # Errors
/// Why there are no more.
pub(super) fn watch(
    client: Client,
    wanted: EventsSubscribe,
    json: bool,
    output: &mut dyn Write,
) -> Result<(), Failure> {
    let mut events = client.subscribe(wanted)?;
    loop {
        let event = events.wait()?;
        let line = if json {
            event.to_string()
        } else {
            text(&serde_json::from_value(event).map_err(Failure::Answer)?)
        };
        writeln!(output, "{line}").map_err(Failure::Print)?;
        output.flush().map_err(Failure::Print)?;
    }
}

/// An event in words: when, of what kind, what.
fn text(event: &Event) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(event.time_ms);
    let time = humantime::format_rfc3339_millis(time);
    let (kind, words) = words(&event.what);
    format!("{time} {kind}: {words}")
}

fn words(what: &Happening) -> (&'static str, String) {
    match what {
        Happening::Health {
            service,
            backend,
            from,
            to,
            reason,
        } => (
            "health",
            format!("{backend} of {service}: {from} -> {to}, {reason}"),
        ),
        Happening::Weight {
            service,
            backend,
            from_percent,
            to_percent,
            drains,
            reason,
        } => {
            let drains = if *drains { ", drains" } else { "" };
            (
                "weight",
                format!(
                    "{backend} of {service}: {from_percent} % -> {to_percent} %{drains}, {reason}"
                ),
            )
        }
        Happening::Publication {
            generation,
            steps,
            reaction_us,
        } => {
            let reaction = reaction_us
                .map(|microseconds| format!(", {microseconds} us after the probe that led to it"));
            (
                "publication",
                format!(
                    "generation {generation}, steps: {steps}{}",
                    reaction.unwrap_or_default()
                ),
            )
        }
        Happening::Attachment {
            interface,
            state,
            reason,
        } => {
            let state = match state {
                AttachmentState::Attached => "attached",
                AttachmentState::Adopted => "taken over from an earlier process",
                AttachmentState::Failed => "cannot attach",
                AttachmentState::Gone => "gone, waiting for it to come back",
            };
            let reason = reason.as_ref().map(|reason| format!(", {reason}"));
            (
                "attachment",
                format!("{interface}: {state}{}", reason.unwrap_or_default()),
            )
        }
        Happening::Change {
            origin,
            what,
            generation,
            ..
        } => (
            "change",
            format!("{what}, by {}; generation {generation}", by(origin)),
        ),
        Happening::Error {
            what,
            recovered: true,
            ..
        } => ("error", format!("works again: {what}")),
        Happening::Error { what, retry_ms, .. } => {
            let retry = retry_ms.map(|retry| format!("; trying again in {retry} ms"));
            ("error", what.clone() + &retry.unwrap_or_default())
        }
        Happening::Lost { count } => (
            "lost",
            format!("events that were not read in time: {count}"),
        ),
    }
}

fn by(origin: &Origin) -> String {
    match origin {
        Origin::Socket { uid, gid, pid, .. } => {
            let pid = pid.map(|pid| format!(", pid {pid}"));
            format!("uid {uid}, gid {gid}{}", pid.unwrap_or_default())
        }
        Origin::Reload { .. } => "reload".to_owned(),
        Origin::Drain {} => "lbd".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_event_is_one_line_with_its_time() {
        for (fields, expected) in [
            (
                json!({ "kind": "health", "service": "web", "backend": "10.0.0.1:80", "from": "up", "to": "down", "reason": "refused" }),
                "health: 10.0.0.1:80 of web: up -> down, refused",
            ),
            (
                json!({ "kind": "publication", "generation": 7, "steps": 3 }),
                "publication: generation 7, steps: 3",
            ),
            (
                json!({ "kind": "publication", "generation": 7, "steps": 3, "reaction_us": 1_270 }),
                "publication: generation 7, steps: 3, 1270 us after the probe that led to it",
            ),
            (
                json!({ "kind": "attachment", "interface": "eth0", "state": "failed", "reason": "busy" }),
                "attachment: eth0: cannot attach, busy",
            ),
            (
                json!({ "kind": "attachment", "interface": "eth0", "state": "attached" }),
                "attachment: eth0: attached",
            ),
            (
                json!({
                    "kind": "change", "what": "service.add web", "service": "web", "generation": 8,
                    "origin": { "by": "socket", "method": "service.add", "uid": 1, "gid": 2, "pid": 3 },
                }),
                "change: service.add web, by uid 1, gid 2, pid 3; generation 8",
            ),
            (
                json!({ "kind": "error", "what": "it", "retry_ms": 100, "recovered": false }),
                "error: it; trying again in 100 ms",
            ),
            (
                json!({ "kind": "error", "what": "it", "recovered": true }),
                "error: works again: it",
            ),
            (
                json!({ "kind": "lost", "count": 9 }),
                "lost: events that were not read in time: 9",
            ),
        ] {
            let mut event = json!({ "sequence": 1, "time_ms": 86_400_001_u64 });
            let whole = event.as_object_mut().unwrap();
            whole.extend(fields.as_object().unwrap().clone());
            let event = serde_json::from_value(event).unwrap();
            assert_eq!(text(&event), format!("1970-01-02T00:00:00.001Z {expected}"));
        }
    }
}
