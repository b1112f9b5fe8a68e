//! `lbctl ipvsadm`: services and backends in the shape of `ipvsadm -Ln`, for eyes and scripts that know that one.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::json;

use super::failure::Failure;
use crate::{
    control::{
        client::Client,
        protocol::{BackendStatus, Call, FlowCounts, FlowFilter, NoParams, ServiceStatus, Status},
    },
    model::{AdminState, Algorithm, Mode},
};

const HEAD: &str = "Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
";

/// Asks for all that is shown, and draws it; with `json`, what was answered.
///
/// # Errors
/// As for every call.
pub(super) fn show(client: &mut Client, json: bool) -> Result<String, Failure> {
    let status = client.call(&Call::Status(NoParams {}))?;
    let flows = client.call(&Call::FlowsCount(FlowFilter::default()))?;
    if json {
        return Ok(format!("{:#}\n", json!({"status": status, "flows": flows})));
    }
    let status: Status = serde_json::from_value(status).map_err(Failure::Answer)?;
    let flows: FlowCounts = serde_json::from_value(flows).map_err(Failure::Answer)?;
    Ok(text(&status, &flows))
}

/// The table. Connections are flows that are remembered: whether they still live is not known, so that none are told to
/// be inactive.
pub(super) fn text(status: &Status, flows: &FlowCounts) -> String {
    let rows = flows.backends.iter();
    let counted: BTreeMap<(&str, &str), u64> = rows
        .map(|row| ((row.service.as_str(), row.backend.as_str()), row.flows))
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("IP Virtual Server shape, lb {version}\n{HEAD}");
    for service in &status.services {
        for vip in &service.vips {
            text.push_str(&virtual_service(service, vip, &counted));
        }
    }
    text
}

fn virtual_service(
    service: &ServiceStatus,
    vip: &str,
    counted: &BTreeMap<(&str, &str), u64>,
) -> String {
    let (address, protocol) = vip.rsplit_once('/').unwrap_or((vip, ""));
    let scheduler = scheduler(service.algorithm);
    let mut text = format!("{:<4} {address} {scheduler}\n", protocol.to_uppercase());
    for backend in &service.backends {
        let key = (service.name.as_str(), backend.address.as_str());
        let active = counted.get(&key).copied().unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  -> {:<28} {:<7} {:<6} {active:<10} -",
            backend.address,
            forward(backend.mode),
            weight(backend),
        );
    }
    text
}

/// What IPVS calls an algorithm; it has none that draws by chance.
const fn scheduler(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Maglev => "mh",
        Algorithm::SourceHash => "sh",
        Algorithm::Random => "random",
        Algorithm::RoundRobin => "wrr",
        Algorithm::LeastConnections => "wlc",
    }
}

/// What IPVS calls a mode.
const fn forward(mode: Mode) -> &'static str {
    match mode {
        Mode::L2 => "Route",
        Mode::Ipip | Mode::Gue => "Tunnel",
        Mode::Nat => "Masq",
        Mode::Snat => "FullNat",
        Mode::Local => "Local",
    }
}

/// 0, as IPVS has it, for a backend that gets no new flows.
fn weight(backend: &BackendStatus) -> u32 {
    let takes = backend.state == AdminState::Up && backend.serving;
    if takes { backend.weight } else { 0 }
}

#[cfg(test)]
mod tests;
