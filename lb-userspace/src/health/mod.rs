//! Health of backends: [`machine`] concludes (pure), [`task`] probes, [`probe`] knows the kinds of probe.

use std::net::SocketAddr;

use crate::model::ServiceName;

pub mod machine;
pub mod probe;
pub mod task;

/// What is probed: a backend of a service. Ordered by service, then address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The service.
    pub service: ServiceName,
    /// The backend.
    pub address: SocketAddr,
}
