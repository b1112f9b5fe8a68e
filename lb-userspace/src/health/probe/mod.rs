//! One attempt to find a backend healthy: connects, asks, judges. The kinds of probe and their words.

use std::{
    future::Future,
    io,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use tokio::{net::TcpStream, time::timeout_at};

use super::Endpoint;
use crate::model::{Probe, ProbeKind, StatusRange};

mod http;

/// Why a probe failed, in the words that `status` and the log show.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No TCP connection came about.
    #[error("{}", words(.0))]
    Connect(#[source] io::Error),
    /// This host could not even try, which says nothing about the backend.
    #[error("this host could not probe: {0}")]
    Local(#[source] io::Error),
    /// The probe's time was over.
    #[error("timed out after {after:?} {during}")]
    TimedOut {
        /// The probe's time-out.
        after: Duration,
        /// What was waited for, as the end of the sentence.
        during: String,
    },
    /// The path or host cannot stand in a request.
    #[error("GET {path} cannot be sent: {source}; correct the probe's path or host")]
    Request {
        /// The request target.
        path: String,
        /// What is wrong with it.
        #[source]
        source: hyper::http::Error,
    },
    /// The connection ended, or what came back is not HTTP/1.
    #[error("no valid answer to GET {path}: {source}")]
    Answer {
        /// The request target.
        path: String,
        /// What came instead.
        #[source]
        source: hyper::Error,
    },
    /// A complete answer that does not count as success.
    #[error("http {status} from GET {path} (expected {}-{})", expected.from, expected.to)]
    Status {
        /// The status code.
        status: u16,
        /// The request target.
        path: String,
        /// What counts as success.
        expected: StatusRange,
    },
}

/// What the kernel said, in lower case and without a number where there are words for it.
fn words(error: &io::Error) -> String {
    let kind = error.kind().to_string();
    match kind.as_str() {
        "uncategorized error" | "other error" => error.to_string(),
        _ => kind,
    }
}

/// What a connection that did not come about means: whether the backend refused it, or this host had no
/// file descriptor, port or memory left for it.
fn connect_failure(error: io::Error) -> Failure {
    let local = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::NOBUFS,
        Errno::ADDRNOTAVAIL,
    ];
    match Errno::from_io_error(&error) {
        Some(errno) if local.contains(&errno) => Failure::Local(error),
        Some(_) | None => Failure::Connect(error),
    }
}

/// The one deadline of an attempt.
#[derive(Clone, Copy)]
struct Deadline {
    at: tokio::time::Instant,
    after: Duration,
}

impl Deadline {
    fn new(after: Duration) -> Self {
        let at = tokio::time::Instant::now() + after;
        Self { at, after }
    }

    /// What `work` comes to, or that the time was over `during` it.
    async fn limit<T>(
        self,
        work: impl Future<Output = Result<T, Failure>>,
        during: impl FnOnce() -> String,
    ) -> Result<T, Failure> {
        timeout_at(self.at, work).await.unwrap_or_else(|_| {
            Err(Failure::TimedOut {
                after: self.after,
                during: during(),
            })
        })
    }
}

/// Probes `to` once, at the probe's own port if it has one; answers how long it took. Takes no
/// longer than the probe's time-out, whatever the other side does.
///
/// # Errors
/// Says what was expected and did not come.
pub async fn attempt(probe: &Probe, to: impl Into<Endpoint>) -> Result<Duration, Failure> {
    let begin = Instant::now();
    let deadline = Deadline::new(probe.timeout);
    let endpoint = to.into().at(probe.port);
    let stream = deadline
        .limit(
            async {
                TcpStream::connect(endpoint.address)
                    .await
                    .map_err(connect_failure)
            },
            || "while connecting".to_owned(),
        )
        .await?;
    match &probe.kind {
        // The stream is closed in the ordinary way, by FIN: a reset would be cheaper here (no TIME_WAIT),
        // but servers log it as an error, once for every probe.
        ProbeKind::Tcp => drop(stream),
        ProbeKind::Http { path, host, status } => {
            let request = http::Request {
                path,
                host: host.clone().unwrap_or_else(|| endpoint.name.to_string()),
                expected: *status,
            };
            deadline
                .limit(http::exchange(stream, request), || {
                    format!("waiting for the answer to GET {path}")
                })
                .await?;
        }
    }
    Ok(begin.elapsed())
}

#[cfg(test)]
mod tests;
