//! The way back: what an operator could have typed to get these services.

use std::time::Duration;

use humantime_serde::re::humantime;

use super::spec::{
    BackendSpec, ConfigSpec, DynamicWeightsSpec, QuicConfigSpec, ServiceSpec, TableSlotsSpec,
};
use crate::{
    desired::Desired,
    model::{
        AdminState, Algorithm, Backend, DynamicWeights, Mode, Moves, QuicLb, Service, TableSlots,
        Thresholds, Weight,
    },
};

mod probe;

use probe::probe_spec_of;

/// Blocklist and services as a configuration, without `[daemon]`. Backends that are being removed
/// are no part of it.
#[must_use]
pub fn config_spec_of(desired: &Desired) -> ConfigSpec {
    ConfigSpec {
        daemon: None,
        blocklist: desired.blocklist.iter().map(ToString::to_string).collect(),
        services: desired
            .services
            .values()
            .map(|it| lasting_spec_of(it))
            .collect(),
    }
}

/// As [`spec_of`], without the backends that are being removed.
fn lasting_spec_of(service: &Service) -> ServiceSpec {
    let backends = service.backends.values();
    let lasting = backends.filter(|backend| backend.remove_at.is_none());
    ServiceSpec {
        backends: lasting
            .map(|backend| backend_spec_of(backend, service.mode))
            .collect(),
        ..spec_of(service)
    }
}

/// One service as an operator would type it; removals under way as state `drain`: settings of the service and its probe in full, of backends
/// what differs from the default.
#[must_use]
pub fn spec_of(service: &Service) -> ServiceSpec {
    let backends = service.backends.values();
    let (thresholds, usual) = (service.thresholds, Thresholds::default());
    let (moves, ordinary) = (service.moves, Moves::default());
    ServiceSpec {
        name: service.name.to_string(),
        vips: service.vips.iter().map(ToString::to_string).collect(),
        mode: Some(service.mode.to_string()),
        table_slots: Some(match service.table_slots {
            TableSlots::Auto => TableSlotsSpec::Word("auto".to_owned()),
            TableSlots::Fixed(slots) => TableSlotsSpec::Number(slots),
        }),
        algorithm: changed(service.algorithm, Algorithm::default()).map(|it| it.to_string()),
        source_rate: service.source_limit.map(|limit| limit.rate),
        source_burst: service.source_limit.map(|limit| limit.burst),
        probe: service.probe.as_ref().map(probe_spec_of),
        min_healthy: changed(thresholds.min_healthy, usual.min_healthy),
        panic_threshold: changed(thresholds.panic_threshold, usual.panic_threshold),
        tracking: changed(moves.tracking, service.algorithm.tracking()).map(|it| it.to_string()),
        learn_for: changed(moves.learn_for, ordinary.learn_for).map(duration_text),
        max_step: changed(moves.max_step, ordinary.max_step),
        slow_start: changed(moves.slow_start, ordinary.slow_start).map(duration_text),
        dynamic_weights: service.dynamic_weights.as_ref().map(weights_spec_of),
        quic_lb: quic_specs_of(&service.quic_lb),
        backends: backends
            .map(|backend| backend_spec_of(backend, service.mode))
            .collect(),
    }
}

/// A value that is not the default.
fn changed<T: PartialEq + Copy>(value: T, default: T) -> Option<T> {
    (value != default).then_some(value)
}

fn duration_text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
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
        role: (!backend.role.is_ordinary()).then(|| backend.role.to_string()),
        server_ids: backend.server_ids.iter().map(ToString::to_string).collect(),
    }
}

fn weights_spec_of(weights: &DynamicWeights) -> DynamicWeightsSpec {
    let usual = DynamicWeights::default();
    DynamicWeightsSpec {
        response_time: weights.response_time,
        agent_port: weights.agent_port,
        interval: changed(weights.interval, usual.interval).map(duration_text),
        step: changed(weights.step, usual.step),
        ceiling: changed(weights.ceiling, usual.ceiling),
        dead_band: changed(weights.dead_band, usual.dead_band),
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
