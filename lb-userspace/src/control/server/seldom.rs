//! How often the log says the same: what any client can cause must not fill it.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two lines.
const PAUSE: Duration = Duration::from_secs(1);

/// A line of the log that is written once a second at most.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// Whether the line is due at `now`: if so, how many have been left out since the last one.
    pub(super) fn say(&mut self, now: Instant) -> Option<u64> {
        let is_early = self
            .said
            .is_some_and(|said| now.saturating_duration_since(said) < PAUSE);
        if is_early {
            self.unsaid = self.unsaid.saturating_add(1);
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_tells_how_many_were_left_out() {
        let begin = Instant::now();
        let mut line = Seldom::default();
        let said = [0, 1, 999, 1_000, 1_001, 2_000, 9_000]
            .map(|at| line.say(begin + Duration::from_millis(at)));
        let expected = [Some(0), None, None, Some(2), None, Some(1), Some(0)];
        assert_eq!(said, expected);
    }
}
