//! What the clients saw, and what follows from it.

use std::time::{Duration, Instant};

use super::addressing::{BACKENDS, Family};

/// One request as its client saw it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) family: Family,
    pub(super) started: Instant,
    pub(super) ended: Instant,
    /// Which of [`BACKENDS`] answered, or why nobody did.
    pub(super) answer: Result<usize, String>,
}

/// All requests, in the order in which they ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    requests: Vec<Request>,
}

/// The time in which requests may fail because a backend's server was killed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failover {
    /// When the server was killed.
    pub(super) killed: Instant,
    /// When the daemon was seen to send the backend no more traffic.
    pub(super) left: Instant,
}

impl Failover {
    /// Whether `request` was under way in it.
    fn covers(self, request: &Request) -> bool {
        request.ended >= self.killed && request.started <= self.left
    }
}

/// Requests answered, by backend in the order of [`BACKENDS`].
pub(super) type Answers = [u32; BACKENDS.len()];

impl Tally {
    pub(super) fn add(&mut self, request: Request) {
        self.requests.push(request);
    }

    /// All requests.
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Requests that were answered.
    pub(super) fn answered(&self) -> usize {
        self.requests
            .iter()
            .filter(|request| request.answer.is_ok())
            .count()
    }

    /// Answers to requests that began in `from..to`.
    pub(super) fn answers(&self, from: Instant, to: Instant) -> Answers {
        self.count(|request| (from..to).contains(&request.started))
    }

    /// Answers to all requests.
    pub(super) fn all_answers(&self) -> Answers {
        self.count(|_| true)
    }

    fn count(&self, counts: impl Fn(&Request) -> bool) -> Answers {
        let mut answers = Answers::default();
        for request in self.requests.iter().filter(|request| counts(request)) {
            if let Ok(backend) = request.answer
                && let Some(count) = answers.get_mut(backend)
            {
                *count += 1;
            }
        }
        answers
    }

    /// The first answer of one backend to a request that began at or after `since`: when it came.
    pub(super) fn first_answer(&self, backend: usize, since: Instant) -> Option<Instant> {
        let answers = self.requests.iter();
        answers
            .filter(|request| request.started >= since && request.answer == Ok(backend))
            .map(|request| request.ended)
            .min()
    }

    /// Requests that failed although no server had been killed.
    pub(super) fn failed_outside(&self, failover: Failover) -> impl Iterator<Item = &Request> {
        self.failed()
            .filter(move |request| !failover.covers(request))
    }

    /// Requests that failed because a server had been killed.
    pub(super) fn failed_inside(&self, failover: Failover) -> impl Iterator<Item = &Request> {
        self.failed()
            .filter(move |request| failover.covers(request))
    }

    /// From the kill to the begin of the last request that it made fail; zero if there was none.
    pub(super) fn detection(&self, failover: Failover) -> Duration {
        let last = self
            .failed_inside(failover)
            .map(|request| request.started)
            .max();
        last.map_or(Duration::ZERO, |last| {
            last.saturating_duration_since(failover.killed)
        })
    }

    /// From the begin of the first request to that of `request`.
    pub(super) fn since_first(&self, request: &Request) -> Duration {
        let first = self.requests.iter().map(|request| request.started).min();
        first.map_or(Duration::ZERO, |first| {
            request.started.saturating_duration_since(first)
        })
    }

    /// The families in which requests were answered.
    pub(super) fn families(&self) -> Vec<Family> {
        let seen = |family: &Family| {
            let mut requests = self.requests.iter();
            requests.any(|request| request.family == *family && request.answer.is_ok())
        };
        Family::ALL.into_iter().filter(seen).collect()
    }

    fn failed(&self) -> impl Iterator<Item = &Request> {
        self.requests
            .iter()
            .filter(|request| request.answer.is_err())
    }
}

/// How far the backend that is farthest from its fair share is from it, in per cent of that share.
pub(super) fn worst_deviation_percent(answers: Answers) -> f64 {
    let total: u32 = answers.iter().sum();
    if total == 0 {
        return 0.0;
    }
    let fair = f64::from(total) / answers.map(|_| 1.0).iter().sum::<f64>();
    let deviation = |count: u32| (f64::from(count) - fair).abs() / fair * 100.0;
    answers.into_iter().map(deviation).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(began: Instant, at_ms: u64, answer: Result<usize, String>) -> Request {
        let started = began + Duration::from_millis(at_ms);
        Request {
            family: Family::V4,
            started,
            ended: started + Duration::from_millis(5),
            answer,
        }
    }

    fn tally(began: Instant, requests: &[(u64, Result<usize, &str>)]) -> Tally {
        let mut tally = Tally::default();
        for (at_ms, answer) in requests {
            tally.add(request(began, *at_ms, answer.map_err(str::to_owned)));
        }
        tally
    }

    #[test]
    fn requests_under_way_at_the_kill_count_as_failover() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let tally = tally(
            began,
            &[
                (10, Err("a")),
                (98, Err("b")),
                (200, Err("c")),
                (250, Ok(1)),
                (301, Err("d")),
            ],
        );
        let failover = Failover {
            killed: at(100),
            left: at(300),
        };
        assert_eq!(tally.failed_inside(failover).count(), 2);
        assert_eq!(tally.failed_outside(failover).count(), 2);
        assert_eq!(tally.detection(failover), Duration::from_millis(100));
    }

    #[test]
    fn a_kill_that_nobody_noticed_is_detected_at_once() {
        let began = Instant::now();
        let failover = Failover {
            killed: began,
            left: began + Duration::from_secs(1),
        };
        assert_eq!(
            tally(began, &[(10, Ok(0))]).detection(failover),
            Duration::ZERO
        );
    }

    #[test]
    fn answers_are_counted_by_when_their_request_began() {
        let began = Instant::now();
        let tally = tally(
            began,
            &[
                (0, Ok(0)),
                (10, Ok(1)),
                (20, Ok(1)),
                (30, Ok(2)),
                (15, Err("x")),
            ],
        );
        let at = |ms| began + Duration::from_millis(ms);
        assert_eq!(tally.answers(at(10), at(30)), [0, 2, 0]);
        assert_eq!(tally.all_answers(), [1, 2, 1]);
    }

    #[test]
    fn the_farthest_from_the_fair_share_decides() {
        assert!((worst_deviation_percent([100, 110, 90]) - 10.0).abs() < 1e-9);
        assert!(worst_deviation_percent([0, 0, 0]).abs() < 1e-9);
    }
}
