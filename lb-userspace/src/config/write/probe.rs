//! What an operator could have typed to get a probe.

use std::time::Duration;

use humantime_serde::re::humantime;

use crate::{
    config::spec::ProbeSpec,
    model::{Method, Probe, ProbeKind, StatusRange, Tls, Trust},
};

/// Settings in full; of what a type asks for what is not absent by default.
pub(super) fn probe_spec_of(probe: &Probe) -> ProbeSpec {
    let text = |duration: Duration| Some(humantime::format_duration(duration).to_string());
    ProbeSpec {
        kind: probe.kind.word().to_owned(),
        via: Some(probe.via)
            .filter(|via| !via.is_default())
            .map(|via| via.to_string()),
        port: probe.port,
        interval: text(probe.interval),
        timeout: text(probe.timeout),
        rise: Some(probe.rise),
        fall: Some(probe.fall),
        jitter_percent: Some(probe.jitter_percent),
        hold_down: text(probe.hold_down),
        hold_down_max: text(probe.hold_down_max),
        ..asked(&probe.kind)
    }
}

fn asked(kind: &ProbeKind) -> ProbeSpec {
    match kind {
        ProbeKind::Tcp | ProbeKind::Icmp => ProbeSpec::default(),
        ProbeKind::Http(check) => ProbeSpec {
            method: Some(check.method)
                .filter(|method| *method != Method::default())
                .map(|method| method.to_string()),
            path: Some(check.path.clone()),
            host: check.host.clone(),
            status: Some(status_text(check.status)),
            body: check.body.clone(),
            ..tls(check.tls.as_ref())
        },
        ProbeKind::Udp(check) => ProbeSpec {
            send: Some(check.send.to_string()),
            expect: check.expect.as_ref().map(ToString::to_string),
            ..ProbeSpec::default()
        },
        ProbeKind::Dns(check) => ProbeSpec {
            query: Some(check.query.to_string()),
            record: Some(check.record.to_string()),
            min_answers: Some(check.min_answers),
            ..ProbeSpec::default()
        },
        ProbeKind::Grpc(check) => ProbeSpec {
            grpc_service: check.service.clone(),
            host: check.host.clone(),
            tls: check.tls.as_ref().map(|_| true),
            ..tls(check.tls.as_ref())
        },
        ProbeKind::Exec(check) => ProbeSpec {
            command: Some(check.command.clone()),
            ..ProbeSpec::default()
        },
    }
}

fn tls(tls: Option<&Tls>) -> ProbeSpec {
    let Some(Tls { sni, trust }) = tls else {
        return ProbeSpec::default();
    };
    let (verify, ca_file) = match trust {
        Trust::System => (None, None),
        Trust::File(file) => (None, Some(file.display().to_string())),
        Trust::Anybody => (Some(false), None),
    };
    ProbeSpec {
        sni: sni.clone(),
        verify,
        ca_file,
        ..ProbeSpec::default()
    }
}

fn status_text(StatusRange { from, to }: StatusRange) -> String {
    if from == to {
        from.to_string()
    } else {
        format!("{from}-{to}")
    }
}
