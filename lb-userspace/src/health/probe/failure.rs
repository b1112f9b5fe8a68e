//! Why a probe failed, and the one deadline that it has.

use std::{future::Future, io, time::Duration};

use rustix::io::Errno;
use tokio::time::{Instant, timeout_at};

/// Why a probe failed, in the words that `status` and the log show.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The backend could not be reached, or did not answer what is expected of it: what came instead.
    #[error("{0}")]
    Backend(String),
    /// This host could not even try, which says nothing about the backend.
    #[error("this host could not probe: {0}")]
    Local(String),
    /// The probe's time was over.
    #[error("timed out after {after:?} {during}")]
    TimedOut {
        /// The probe's time-out.
        after: Duration,
        /// What was waited for, as the end of the sentence.
        during: String,
    },
}

impl Failure {
    /// What a socket's error means: whether the backend could not be reached, or this host had no file descriptor,
    /// port, right or memory left for it.
    #[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
    pub(in crate::health) fn of_socket(error: io::Error) -> Self {
        let local = [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOMEM,
            Errno::NOBUFS,
            Errno::ADDRNOTAVAIL,
            Errno::PERM,
            Errno::ACCESS,
        ];
        match Errno::from_io_error(&error) {
            Some(errno) if local.contains(&errno) => Self::Local(error.to_string()),
            Some(_) | None => Self::Backend(words(&error)),
        }
    }
}

/// What the kernel said, in lower case and without a number where there are words for it.
fn words(error: &io::Error) -> String {
    let kind = error.kind().to_string();
    match kind.as_str() {
        "uncategorized error" | "other error" => error.to_string(),
        _ => kind,
    }
}

/// An error with its causes, in one line; a cause that the words before it hold already is not said again.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

/// The one deadline of an attempt.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    after: Duration,
}

impl Deadline {
    /// A deadline `after` from now.
    pub(super) fn new(after: Duration) -> Self {
        let at = Instant::now() + after;
        Self { at, after }
    }

    /// What `work` comes to, or that the time was over `during` it.
    pub(super) async fn limit<T>(
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

    /// What `work` comes to, or `None` if the time was over before.
    pub(super) async fn try_limit<T>(self, work: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.at, work).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_host_lacks_is_not_blamed_on_the_backend() {
        for errno in [
            Errno::MFILE,
            Errno::NFILE,
            Errno::ADDRNOTAVAIL,
            Errno::ACCESS,
        ] {
            let failure = Failure::of_socket(errno.into());
            assert!(matches!(failure, Failure::Local(_)), "{failure}");
        }
        for (errno, words) in [
            (Errno::CONNREFUSED, "connection refused"),
            (Errno::HOSTUNREACH, "host unreachable"),
            (Errno::NETUNREACH, "network unreachable"),
            (Errno::CONNRESET, "connection reset"),
        ] {
            let failure = Failure::of_socket(errno.into());
            assert!(matches!(failure, Failure::Backend(_)), "{failure}");
            assert_eq!(failure.to_string(), words);
        }
    }
}
