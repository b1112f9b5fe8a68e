//! From a call's parameters to a change of what is wanted.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use super::answers::faulty;
use crate::{
    config::{Faults, validate},
    control::protocol::{
        BackendRemove, BackendUpdate, ErrorCode, Prefixes, RpcError, ServiceUpdate,
    },
    desired::Change,
    model::{Backend, Prefix, ServiceName},
};

/// How long a backend that is removed drains, if the caller does not say.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn bad(error: impl ToString) -> RpcError {
    RpcError::new(ErrorCode::InvalidParams, error.to_string())
}

pub(super) fn service_name(name: &str) -> Result<ServiceName, RpcError> {
    name.parse().map_err(bad)
}

pub(super) fn backend_address(address: &str) -> Result<SocketAddr, RpcError> {
    Backend::parse_address(address).map_err(bad)
}

/// A parameter that may be absent, read as `validate` reads it.
fn optional<W, T>(
    written: Option<W>,
    name: &str,
    read: impl FnOnce(W, &str) -> Result<T, Faults>,
) -> Result<Option<T>, RpcError> {
    let read = written.map(|written| read(written, name));
    read.transpose().map_err(faulty)
}

pub(super) fn service_update(
    name: ServiceName,
    update: &ServiceUpdate,
) -> Result<Change, RpcError> {
    let probe = optional(update.probe.as_ref(), "probe", validate::probe)?;
    if probe.is_some() && update.no_probe {
        return Err(bad("give either `probe` or `no_probe`"));
    }
    let (rate, burst) = (update.source_rate, update.source_burst);
    let source_limit = validate::source_limit(rate, burst, "").map_err(faulty)?;
    if source_limit.is_some() && update.no_source_rate {
        return Err(bad("give either `source_rate` or `no_source_rate`"));
    }
    let dynamic_weights = optional(
        update.dynamic_weights.as_ref(),
        "dynamic_weights",
        validate::dynamic_weights,
    )?;
    if dynamic_weights.is_some() && update.no_dynamic_weights {
        return Err(bad("give either `dynamic_weights` or `no_dynamic_weights`"));
    }
    Ok(Change::UpdateService {
        name,
        vips: optional(update.vips.as_deref(), "vips", validate::vips)?,
        mode: optional(update.mode.as_deref(), "mode", validate::mode)?,
        table_slots: optional(
            update.table_slots.as_ref(),
            "table_slots",
            validate::table_slots,
        )?,
        algorithm: optional(
            update.algorithm.as_deref(),
            "algorithm",
            validate::algorithm,
        )?,
        source_limit: if update.no_source_rate {
            Some(None)
        } else {
            source_limit.map(Some)
        },
        min_healthy: update.min_healthy,
        panic_threshold: update.panic_threshold,
        moves: validate::moves(&update.moves(), "").map_err(faulty)?,
        dynamic_weights: if update.no_dynamic_weights {
            Some(None)
        } else {
            dynamic_weights.map(Some)
        },
        quic_lb: optional(update.quic_lb.as_deref(), "quic_lb", validate::quic_lb)?,
        probe: if update.no_probe {
            Some(None)
        } else {
            probe.map(Some)
        },
    })
}

/// At least one prefix.
pub(super) fn prefixes(written: &Prefixes) -> Result<BTreeSet<Prefix>, RpcError> {
    if written.prefixes.is_empty() {
        return Err(bad("`prefixes` is empty: name at least one"));
    }
    validate::prefixes(&written.prefixes, "prefixes").map_err(faulty)
}

pub(super) fn backend_update(
    service: ServiceName,
    update: &BackendUpdate,
) -> Result<Change, RpcError> {
    Ok(Change::UpdateBackend {
        service,
        address: backend_address(&update.address)?,
        weight: optional(update.weight, "weight", validate::weight)?,
        mode: optional(update.mode.as_deref(), "mode", validate::mode)?,
        role: optional(update.role.as_deref(), "role", validate::role)?,
        server_ids: optional(
            update.server_ids.as_deref(),
            "server_ids",
            validate::server_ids,
        )?,
        state: None,
    })
}

/// How long a backend drains that is removed.
pub(super) fn drain_timeout(given: Option<&str>) -> Result<Duration, RpcError> {
    let timeout = optional(given, "drain_timeout", validate::duration)?;
    Ok(timeout.unwrap_or(DRAIN_TIMEOUT))
}

/// The removal of a backend whose slots move first, for as long as `learn_for`, and which drains then.
pub(super) fn backend_remove(
    service: ServiceName,
    remove: &BackendRemove,
    learn_for: Duration,
) -> Result<Change, RpcError> {
    let timeout = drain_timeout(remove.drain_timeout.as_deref())?;
    if remove.force && remove.drain_timeout.is_some() {
        return Err(bad("give either `force` or `drain_timeout`"));
    }
    let at = SystemTime::now() + learn_for + timeout;
    Ok(Change::RemoveBackend {
        service,
        address: backend_address(&remove.address)?,
        at: (!remove.force).then_some(at),
    })
}
