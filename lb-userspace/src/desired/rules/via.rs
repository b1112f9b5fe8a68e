//! What must hold where probes go to the VIP.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::{Breach, Part};
use crate::model::{Backend, Mode, Probe, Via, Vip};

/// Every rule that the way of the probe breaks, in a service whose backends are in `mode` unless they say otherwise.
#[must_use]
pub fn via_breaches(
    vips: &BTreeSet<Vip>,
    mode: Mode,
    backends: &BTreeMap<SocketAddr, Backend>,
    probe: Option<&Probe>,
) -> Vec<(Part, Breach)> {
    let Some(probe) = probe.filter(|probe| probe.via == Via::Vip) else {
        return Vec::new();
    };
    let Some(protocol) = probe.kind.protocol() else {
        let breach = Breach::ViaOfType(probe.kind.word());
        return vec![(Part::Probe("via"), breach)];
    };
    let direct = || {
        let backends = backends.values();
        backends.filter(|backend| backend.mode.is_direct())
    };
    // The last backend of such a mode may leave a service that expects others.
    if !mode.is_direct() && direct().next().is_none() {
        return vec![(Part::Probe("via"), Breach::ViaWithoutDirect)];
    }
    if vips.is_empty() {
        return Vec::new();
    }
    let without = direct().filter(|it| probe.vip_for(vips, it.address.ip()).is_none());
    let breach = |backend: &Backend| Breach::ViaWithoutVip {
        backend: backend.address,
        protocol,
    };
    without
        .map(|backend| (Part::Probe("via"), breach(backend)))
        .collect()
}
