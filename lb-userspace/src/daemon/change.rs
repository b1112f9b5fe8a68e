//! From a call's parameters to a change of what is wanted.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use super::answers::faulty;
use crate::{
    config::validate,
    control::protocol::{BackendRemove, BackendUpdate, ErrorCode, RpcError, ServiceUpdate},
    desired::Change,
    model::{Backend, ServiceName, Vip},
};

/// How long a backend that is removed drains, if the caller does not say.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn bad(error: impl ToString) -> RpcError {
    RpcError::new(ErrorCode::InvalidParams, error.to_string())
}

pub(super) fn service_name(name: &str) -> Result<ServiceName, RpcError> {
    name.parse().map_err(bad)
}

pub(super) fn backend_address(address: &str) -> Result<SocketAddr, RpcError> {
    Backend::parse_address(address).map_err(bad)
}

pub(super) fn service_update(
    name: ServiceName,
    update: &ServiceUpdate,
) -> Result<Change, RpcError> {
    let vips: Option<BTreeSet<Vip>> = update
        .vips
        .as_deref()
        .map(|vips| validate::vips(vips, "vips"))
        .transpose()
        .map_err(faulty)?;
    let mode = update
        .mode
        .as_deref()
        .map(|mode| validate::mode(mode, "mode"))
        .transpose()
        .map_err(faulty)?;
    let slots = update.table_slots.as_ref();
    let table_slots = slots
        .map(|slots| validate::table_slots(slots, "table_slots"))
        .transpose()
        .map_err(faulty)?;
    let probe = update
        .probe
        .as_ref()
        .map(|probe| validate::probe(probe, "probe"))
        .transpose()
        .map_err(faulty)?;
    if probe.is_some() && update.no_probe {
        return Err(bad("give either `probe` or `no_probe`"));
    }
    Ok(Change::UpdateService {
        name,
        vips,
        mode,
        table_slots,
        probe: if update.no_probe {
            Some(None)
        } else {
            probe.map(Some)
        },
    })
}

pub(super) fn backend_update(
    service: ServiceName,
    update: &BackendUpdate,
) -> Result<Change, RpcError> {
    let weight = update
        .weight
        .map(|weight| validate::weight(weight, "weight"))
        .transpose()
        .map_err(faulty)?;
    let mode = update
        .mode
        .as_deref()
        .map(|mode| validate::mode(mode, "mode"))
        .transpose()
        .map_err(faulty)?;
    Ok(Change::UpdateBackend {
        service,
        address: backend_address(&update.address)?,
        weight,
        mode,
        state: None,
    })
}

pub(super) fn backend_remove(
    service: ServiceName,
    remove: &BackendRemove,
) -> Result<Change, RpcError> {
    let timeout = remove
        .drain_timeout
        .as_deref()
        .map(|text| validate::duration(text, "drain_timeout"));
    let timeout = timeout.transpose().map_err(faulty)?;
    if remove.force && timeout.is_some() {
        return Err(bad("give either `force` or `drain_timeout`"));
    }
    let at = SystemTime::now() + timeout.unwrap_or(DRAIN_TIMEOUT);
    Ok(Change::RemoveBackend {
        service,
        address: backend_address(&remove.address)?,
        at: (!remove.force).then_some(at),
    })
}
