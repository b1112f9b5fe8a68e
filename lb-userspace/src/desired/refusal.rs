//! Why a change was not made.

use std::net::SocketAddr;

use super::{blocklist::BlocklistBreach, rules::Breach};
use crate::model::{Prefix, ServiceName, Vip};

/// Why a change was refused. Nothing has changed. The message says what stands in the way and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such service.
    #[error(
        "there is no service `{service}`: add it first; `lbctl service list` shows those that are there"
    )]
    NoService {
        /// The name asked for.
        service: ServiceName,
    },
    /// The service has no such backend.
    #[error(
        "service `{service}` has no backend {backend}: add it first; `lbctl backend list` shows those that are there"
    )]
    NoBackend {
        /// The service.
        service: ServiceName,
        /// The address asked for.
        backend: SocketAddr,
    },
    /// The name is taken.
    #[error("service `{service}` exists already: update it, or remove it first")]
    ServiceExists {
        /// The name.
        service: ServiceName,
    },
    /// The address is taken.
    #[error("service `{service}` has backend {backend} already: update it, or remove it first")]
    BackendExists {
        /// The service.
        service: ServiceName,
        /// The address.
        backend: SocketAddr,
    },
    /// A VIP belongs to one service.
    #[error(
        "VIP {vip} belongs to service `{owner}` already, so service `{service}` cannot have it: take it from `{owner}` first"
    )]
    VipTaken {
        /// The VIP.
        vip: Vip,
        /// Who has it.
        owner: ServiceName,
        /// Who asked for it.
        service: ServiceName,
    },
    /// Prefixes of VIPs do not overlap.
    #[error(
        "VIP {inner} of service `{service}` lies within VIP {outer} of service `{owner}`: of overlapping prefixes the longest would take all, so split the wider one, or name single addresses"
    )]
    VipsOverlap {
        /// The narrower VIP.
        inner: Vip,
        /// Whose it is.
        service: ServiceName,
        /// The wider one.
        outer: Vip,
        /// Whose it is.
        owner: ServiceName,
    },
    /// The service still takes new flows.
    #[error(
        "service `{service}` has {}: drain or disable {} first, or force the removal",
        if *up == 1 { "a backend that is up".to_owned() } else { format!("{up} backends that are up") },
        if *up == 1 { "it" } else { "them" }
    )]
    BackendsUp {
        /// The service.
        service: ServiceName,
        /// How many.
        up: usize,
    },
    /// A rule within the service would be broken.
    #[error("service `{service}`: {breach}")]
    Invalid {
        /// The service.
        service: ServiceName,
        /// The rule.
        #[source]
        breach: Breach,
    },
    /// The prefix is there.
    #[error("{prefix} is on the blocklist already")]
    BlockedAlready {
        /// The prefix.
        prefix: Prefix,
    },
    /// The prefix is not there.
    #[error(
        "{prefix} is not on the blocklist{}; `lbctl blocklist list` shows what is",
        within.map_or_else(String::new, |outer| format!(", though it lies in {outer}, which is: to let a part of that in, replace it by the other parts"))
    )]
    NotBlocked {
        /// The prefix.
        prefix: Prefix,
        /// The prefix on the blocklist that contains it.
        within: Option<Prefix>,
    },
    /// A rule of the blocklist would be broken.
    #[error("the blocklist: {breach}")]
    Blocklist {
        /// The rule.
        #[source]
        breach: BlocklistBreach,
    },
    /// The service is filed under another name.
    #[error("service `{service}` is filed under `{key}`")]
    Misfiled {
        /// Its name.
        service: ServiceName,
        /// The other name.
        key: ServiceName,
    },
}

/// What kind of refusal: an error code for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// What the change is about is not there.
    NotFound,
    /// Something else is there, or stands in the way.
    Conflict,
    /// The values asked for cannot be.
    Invalid,
}

impl Refusal {
    /// What kind of refusal it is.
    #[must_use]
    pub const fn kind(&self) -> RefusalKind {
        match self {
            Self::NoService { .. } | Self::NoBackend { .. } | Self::NotBlocked { .. } => {
                RefusalKind::NotFound
            }
            Self::ServiceExists { .. }
            | Self::BackendExists { .. }
            | Self::VipTaken { .. }
            | Self::VipsOverlap { .. }
            | Self::BackendsUp { .. }
            | Self::BlockedAlready { .. }
            | Self::Blocklist {
                breach: BlocklistBreach::Overlap { .. },
            } => RefusalKind::Conflict,
            Self::Invalid { .. } | Self::Misfiled { .. } | Self::Blocklist { .. } => {
                RefusalKind::Invalid
            }
        }
    }
}
