//! What the service manager is told (`sd_notify(3)`): ready, reloading, stopping, alive. Without one, nothing is told.

use std::time::Duration;

use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::time::Instant;
use tracing::warn;

/// That the data plane is as wanted and the control socket answers.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// That the configuration file is read again; [`ready`] ends it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "cannot tell the service manager of a reload: no clock"),
    }
}

/// That the end has begun.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        warn!(%error, "cannot reach the service manager at NOTIFY_SOCKET");
    }
}

/// When the service manager is to be told next that the daemon lives.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// Between two messages; absent: nobody waits for them.
    pause: Option<Duration>,
    next: Instant,
}

impl Watchdog {
    /// As the service manager wants it (`WATCHDOG_USEC`), from `now` on.
    pub(super) fn new(now: Instant) -> Self {
        Self::within(watchdog_enabled(), now)
    }

    /// A message is due twice within `limit`, so that one may come late.
    fn within(limit: Option<Duration>, now: Instant) -> Self {
        Self {
            pause: limit.map(|limit| limit / 2),
            next: now,
        }
    }

    /// When the next message is due, if any is.
    pub(super) fn next(&self) -> Option<Instant> {
        self.pause.map(|_| self.next)
    }

    /// Tells that the daemon lives, if that is due at `now`.
    pub(super) fn look(&mut self, now: Instant) {
        if self.is_due(now) {
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// Whether a message is due at `now`; then the next one is due a pause later.
    fn is_due(&mut self, now: Instant) -> bool {
        match self.pause {
            Some(pause) if self.next <= now => {
                self.next = now + pause;
                true
            }
            Some(_) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_daemon_is_told_of_twice_within_the_limit() {
        let begin = Instant::now();
        let mut watchdog = Watchdog::within(Some(Duration::from_secs(10)), begin);
        let due =
            [0, 1, 4, 5, 6, 9, 13, 18].map(|at| watchdog.is_due(begin + Duration::from_secs(at)));
        // The one at 13 came late: the next is due five seconds after it.
        let expected = [true, false, false, true, false, false, true, true];
        assert_eq!(due, expected);
        assert_eq!(watchdog.next(), Some(begin + Duration::from_secs(23)));
    }

    #[test]
    fn without_a_watchdog_nothing_is_ever_due() {
        let begin = Instant::now();
        let mut watchdog = Watchdog::within(None, begin);
        assert_eq!(watchdog.next(), None);
        assert!(!watchdog.is_due(begin + Duration::from_hours(1)));
    }
}
