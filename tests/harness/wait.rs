//! Waiting for a condition, with a deadline.

use std::{
    env, thread,
    time::{Duration, Instant},
};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Names how many times slower than usual this machine may be; emulated ones are.
const PATIENCE: &str = "LB_TEST_PATIENCE";

/// `limit`, which is enough on a usual machine, for this one.
///
/// # Panics
/// If `LB_TEST_PATIENCE` is set, and not to a whole number from 1 on.
#[must_use]
pub fn patient(limit: Duration) -> Duration {
    let times = env::var(PATIENCE).map_or(1, |times| match times.parse() {
        Ok(times @ 1..) => times,
        _ => panic!("{PATIENCE} is `{times}`, and not a whole number from 1 on"),
    });
    limit * times
}

/// Waits until `condition` gives a value.
///
/// # Panics
/// With `what`, if it has not within `limit`, which is made [patient] here.
pub fn until_some<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let limit = patient(limit);
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        thread::sleep(POLL);
    }
}

/// Waits until `condition` holds.
///
/// # Panics
/// With `what`, if it does not within `limit`, which is made [patient] here.
pub fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    until_some(what, limit, || condition().then_some(()));
}
