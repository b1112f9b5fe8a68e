//! Health of backends: [`probe`] tries, [`task`] tries again and again, [`machine`] concludes,
//! [`book`] keeps the conclusions of all targets. [`agent`] asks backends themselves how much they can take, and [`weight`]
//! concludes.
//!
//! `machine`, `schedule`, `book` and `weight` are pure: time and chance are arguments. Sockets are touched in `probe` and
//! `agent` alone.

use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

pub use crate::model::Target;

pub mod agent;
pub mod book;
mod chance;
mod damping;
pub mod lateness;
pub mod machine;
pub mod probe;
pub mod schedule;
pub mod task;
pub mod weight;

/// Where a probe connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What the socket connects to: the backend's address, or the alias for its VIP.
    pub address: SocketAddr,
    /// What whoever answers there takes itself for: the backend's address, or the VIP's.
    pub name: SocketAddr,
}

impl Endpoint {
    /// The same at `port`, if that is given.
    #[must_use]
    pub fn at(mut self, port: Option<u16>) -> Self {
        if let Some(port) = port {
            self.address.set_port(port);
            self.name.set_port(port);
        }
        self
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self {
            address,
            name: address,
        }
    }
}

/// The result of one probe: how long it took, or in words why it failed.
pub type Attempt = Result<Duration, String>;

/// One probe of one target, on its way from a task to the [`Book`](book::Book).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// What was probed.
    pub target: Target,
    /// What came of it.
    pub attempt: Attempt,
    /// When it was over.
    pub at: SystemTime,
    /// The same, by a clock that nobody sets.
    pub over: Instant,
}

/// Which results of a target's probes matter, in the order of urgency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interest {
    /// Failures alone: a success changes nothing that is known.
    Failures,
    /// All.
    #[default]
    All,
    /// All, and sooner than usual: a change of health is being confirmed.
    Soon,
}
