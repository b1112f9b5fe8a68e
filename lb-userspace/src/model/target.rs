//! Which backend of which service: what is probed, and what a plan says something of.

use std::{fmt, net::SocketAddr};

use super::{Service, ServiceName};

/// A backend of a service. Ordered by service, then address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The service.
    pub service: ServiceName,
    /// The backend.
    pub address: SocketAddr,
}

impl Target {
    /// The backend of `service` at `address`.
    #[must_use]
    pub fn of(service: &Service, address: SocketAddr) -> Self {
        Self {
            service: service.name.clone(),
            address,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.address, self.service)
    }
}
