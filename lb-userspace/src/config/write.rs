//! The way back: what an operator could have typed to get these services.

use std::time::Duration;

use humantime_serde::re::humantime;

use super::spec::{
    BackendSpec, ConfigSpec, ProbeSpec, QuicConfigSpec, ServiceSpec, TableSlotsSpec,
};
use crate::{
    desired::Desired,
    model::{
        AdminState, Backend, Mode, Probe, ProbeKind, QuicLb, Service, StatusRange, TableSlots,
        Weight,
    },
};

/// Blocklist and services as a configuration, without `[daemon]`. Removals under way are written as state `drain`.
#[must_use]
pub fn config_spec_of(desired: &Desired) -> ConfigSpec {
    ConfigSpec {
        daemon: None,
        blocklist: desired.blocklist.iter().map(ToString::to_string).collect(),
        services: desired.services.values().map(spec_of).collect(),
    }
}

/// One service as an operator would type it: settings of the service and its probe in full, of backends
/// what differs from the default.
#[must_use]
pub fn spec_of(service: &Service) -> ServiceSpec {
    let backends = service.backends.values();
    ServiceSpec {
        name: service.name.to_string(),
        vips: service.vips.iter().map(ToString::to_string).collect(),
        mode: Some(service.mode.to_string()),
        table_slots: Some(match service.table_slots {
            TableSlots::Auto => TableSlotsSpec::Word("auto".to_owned()),
            TableSlots::Fixed(slots) => TableSlotsSpec::Number(slots),
        }),
        source_rate: service.source_limit.map(|limit| limit.rate),
        source_burst: service.source_limit.map(|limit| limit.burst),
        probe: service.probe.as_ref().map(probe_spec_of),
        quic_lb: quic_specs_of(&service.quic_lb),
        backends: backends
            .map(|backend| backend_spec_of(backend, service.mode))
            .collect(),
    }
}

fn backend_spec_of(backend: &Backend, default_mode: Mode) -> BackendSpec {
    BackendSpec {
        address: backend.address.to_string(),
        weight: Some(backend.weight)
            .filter(|weight| *weight != Weight::default())
            .map(Weight::get),
        mode: Some(backend.mode)
            .filter(|mode| *mode != default_mode)
            .map(|mode| mode.to_string()),
        state: Some(backend.state)
            .filter(|state| *state != AdminState::default())
            .map(|state| state.to_string()),
        server_ids: backend.server_ids.iter().map(ToString::to_string).collect(),
    }
}

fn quic_specs_of(quic_lb: &QuicLb) -> Vec<QuicConfigSpec> {
    let configs = quic_lb.configs();
    configs
        .map(|(id, config)| QuicConfigSpec {
            config_id: id.get(),
            server_id_length: config.server_id_length.into(),
            first_octet_encodes_cid_length: config.first_octet_encodes_cid_length,
        })
        .collect()
}

fn probe_spec_of(probe: &Probe) -> ProbeSpec {
    let text = |duration: Duration| Some(humantime::format_duration(duration).to_string());
    let (kind, path, host, status) = match &probe.kind {
        ProbeKind::Tcp => ("tcp", None, None, None),
        ProbeKind::Http { path, host, status } => {
            ("http", Some(path.clone()), host.clone(), Some(*status))
        }
    };
    ProbeSpec {
        kind: kind.to_owned(),
        via: Some(probe.via)
            .filter(|via| !via.is_default())
            .map(|via| via.to_string()),
        port: probe.port,
        path,
        host,
        status: status.map(status_text),
        interval: text(probe.interval),
        timeout: text(probe.timeout),
        rise: Some(probe.rise),
        fall: Some(probe.fall),
        jitter_percent: Some(probe.jitter_percent),
    }
}

fn status_text(StatusRange { from, to }: StatusRange) -> String {
    if from == to {
        from.to_string()
    } else {
        format!("{from}-{to}")
    }
}
