//! What must hold of a service's mode, which is that of backends to come.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use crate::model::{Backend, Mode, Protocol, Vip};

/// Why no backend could be in the service's mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ModeBreach {
    #[error(
        "mode {mode} gives packets the backend's port, and VIP {vip} is for every port: use another mode, or name the ports"
    )]
    AnyPort { mode: Mode, vip: Vip },
    #[error(
        "mode {mode} cannot translate SCTP, whose checksum covers the whole packet (RFC 9260), and VIP {vip} is SCTP: use another mode"
    )]
    Sctp { mode: Mode, vip: Vip },
    #[error(
        "mode {mode} cannot turn one IP version into another, and the service has VIPs of both, {v4} and {v6}: use mode l2, or a service for each"
    )]
    BothVersions { mode: Mode, v4: Vip, v6: Vip },
}

/// What of the VIPs keeps every backend from being in `mode`, the service's. Where one is in it, that one breaks a rule.
#[must_use]
pub fn mode_breach(
    vips: &BTreeSet<Vip>,
    mode: Mode,
    backends: &BTreeMap<SocketAddr, Backend>,
) -> Option<ModeBreach> {
    if !mode.translates() || backends.values().any(|backend| backend.mode == mode) {
        return None;
    }
    let first = |is: fn(&Vip) -> bool| vips.iter().copied().find(is);
    if let Some(vip) = first(|vip| vip.protocol == Protocol::Sctp) {
        return Some(ModeBreach::Sctp { mode, vip });
    }
    if let Some(vip) = first(|vip| vip.port == Vip::ANY_PORT) {
        return Some(ModeBreach::AnyPort { mode, vip });
    }
    let v4 = first(|vip| vip.addresses.is_ipv4())?;
    let v6 = first(|vip| !vip.addresses.is_ipv4())?;
    Some(ModeBreach::BothVersions { mode, v4, v6 })
}
