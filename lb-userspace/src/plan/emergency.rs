//! When a service has too few backends left, and who serves then.
//!
//! | of the ordinary backends that are `up` | a fallback backend can serve | new flows go to |
//! |---|---|---|
//! | `min_healthy` or more can serve, and `panic_threshold` per cent or more are not down | | those that can |
//! | fewer | yes | those that can, and the fallback backends that can |
//! | fewer than `panic_threshold` per cent are not down | no | all of them, whatever probes say |
//! | otherwise | no | those that can |

use std::fmt;

use crate::model::{AdminState, Backend, Health, Role, Thresholds};

/// Too few ordinary backends of a service are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emergency {
    /// Fallback backends serve beside those that are left.
    Fallback,
    /// Health is ignored.
    Panic,
}

impl fmt::Display for Emergency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fallback => {
                "fallback: too few ordinary backends can serve, so the fallback ones serve too"
            }
            Self::Panic => {
                "panic: too few backends are healthy, so all that are up serve, healthy or not"
            }
        })
    }
}

/// What counts of one backend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    role: Role,
    is_up: bool,
    is_down: bool,
    can_serve: bool,
}

impl Candidate {
    /// `backend`, if its health is `health` and nothing else stands in the way of new flows, or something does.
    pub(super) fn new(backend: &Backend, health: Health, takes_flows: bool) -> Self {
        let is_up = backend.state == AdminState::Up;
        Self {
            role: backend.role,
            is_up,
            is_down: health == Health::Down,
            can_serve: is_up && health == Health::Up && takes_flows,
        }
    }
}

/// The emergency of a service with these backends, if it is one.
pub(super) fn emergency(thresholds: Thresholds, candidates: &[Candidate]) -> Option<Emergency> {
    let count = |role: Role, counts: fn(&Candidate) -> bool| {
        let candidates = candidates.iter();
        candidates
            .filter(|it| it.role == role && counts(it))
            .count()
    };
    let up = count(Role::Ordinary, |it| it.is_up);
    let not_down = count(Role::Ordinary, |it| it.is_up && !it.is_down);
    let can_serve = count(Role::Ordinary, |it| it.can_serve);
    let is_panic = not_down * 100 < up * thresholds.panic_threshold as usize;
    let is_few = can_serve < thresholds.min_healthy as usize;
    let is_there_a_fallback = count(Role::Fallback, |it| it.can_serve) > 0;
    if is_there_a_fallback && (is_few || is_panic) {
        Some(Emergency::Fallback)
    } else {
        is_panic.then_some(Emergency::Panic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(role: Role, health: &str) -> Vec<Candidate> {
        let candidate = |letter| {
            let backend = Backend {
                role,
                state: if letter == 'x' {
                    AdminState::Drain
                } else {
                    AdminState::Up
                },
                ..crate::plan::tests::lab::backend("10.0.0.1:80")
            };
            let health = match letter {
                '+' | 'x' | 'w' => Health::Up,
                '-' => Health::Down,
                _ => Health::Unknown,
            };
            Candidate::new(&backend, health, letter != 'w')
        };
        health.chars().map(candidate).collect()
    }

    #[test]
    fn every_row_of_the_table() {
        use Emergency::{Fallback, Panic};
        // Ordinary and fallback backends: + up, - down, ? unknown, w without a way, x draining.
        for (ordinary, fallback, min_healthy, panic_threshold, expected) in [
            ("++", "", 1, 0, None),
            ("++", "+", 1, 0, None),
            ("+-", "+", 1, 0, None),
            ("--", "+", 1, 0, Some(Fallback)),
            ("--", "-", 1, 0, None),
            ("--", "?", 1, 0, None),
            ("--", "w", 1, 0, None),
            ("--", "x", 1, 0, None),
            ("??", "+", 1, 0, Some(Fallback)),
            ("ww", "+", 1, 0, Some(Fallback)),
            ("xx", "+", 1, 0, Some(Fallback)),
            ("", "+", 1, 0, Some(Fallback)),
            ("--", "+", 0, 0, None),
            ("++-", "+", 3, 0, Some(Fallback)),
            ("+++", "+", 3, 0, None),
            ("+--", "", 3, 0, None),
            ("+-", "", 1, 50, None),
            ("+--", "", 1, 50, Some(Panic)),
            ("--", "", 1, 1, Some(Panic)),
            ("--", "-", 1, 50, Some(Panic)),
            ("+---", "+", 1, 50, Some(Fallback)),
            ("??", "", 1, 100, None),
            ("?-", "", 1, 100, Some(Panic)),
            ("+x", "", 1, 100, None),
            ("", "", 1, 100, None),
            ("ww", "", 1, 100, None),
        ] {
            let candidates = [of(Role::Ordinary, ordinary), of(Role::Fallback, fallback)].concat();
            let thresholds = Thresholds {
                min_healthy,
                panic_threshold,
            };
            assert_eq!(
                emergency(thresholds, &candidates),
                expected,
                "{ordinary} and {fallback}, min_healthy {min_healthy}, panic_threshold {panic_threshold}"
            );
        }
    }
}
