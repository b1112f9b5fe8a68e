//! One attempt to find a backend healthy: asks, waits, judges. A file for each kind of probe.

use std::time::{Duration, Instant};

use super::{Endpoint, Target};
use crate::model::{Probe, ProbeKind};

mod dns;
mod exec;
mod failure;
mod grpc;
mod http;
mod icmp;
mod socket;
mod tls;
mod udp;

pub use exec::ExecUser;
use failure::Deadline;
pub use failure::Failure;

/// Probes `target` once, which is reached at `to`, or there at the probe's own port if it has one; answers how long it took. Takes no longer than the
/// probe's time-out, whatever the other side does. Commands are run by `user`, or not at all.
///
/// # Errors
/// Says what was expected and did not come.
pub async fn attempt(
    probe: &Probe,
    target: &Target,
    to: Endpoint,
    user: Option<ExecUser>,
) -> Result<Duration, Failure> {
    let begin = Instant::now();
    let deadline = Deadline::new(probe.timeout);
    let endpoint = to.at(probe.port);
    let address = endpoint.address;
    match &probe.kind {
        // The stream is closed in the ordinary way, by FIN: a reset would be cheaper here (no TIME_WAIT),
        // but servers log it as an error, once for every probe.
        ProbeKind::Tcp => drop(socket::stream(address, deadline).await?),
        // HTTP and gRPC carry a whole client; a task that waits for the next probe should not be as large.
        ProbeKind::Http(check) => Box::pin(http::probe(check, endpoint, deadline)).await?,
        ProbeKind::Udp(check) => udp::probe(check, address, deadline).await?,
        ProbeKind::Dns(check) => dns::probe(check, address, deadline).await?,
        ProbeKind::Icmp => icmp::probe(address.ip(), deadline).await?,
        ProbeKind::Grpc(check) => Box::pin(grpc::probe(check, endpoint, deadline)).await?,
        ProbeKind::Exec(check) => exec::probe(check, target, address, user, deadline).await?,
    }
    Ok(begin.elapsed())
}

#[cfg(test)]
mod tests;
