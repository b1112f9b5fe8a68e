//! The demo's figures, what is expected of them, and how they are written.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use anyhow::{Context, ensure};
use serde::Serialize;

use super::{
    addressing::{BACKENDS, Family},
    ledger::Account,
    screen::{Colour, Screen, grouped},
    story::Shown,
    tally::{Answers, Tally, worst_deviation_percent},
};

/// The fewest requests over which shares mean something.
const FEWEST_REQUESTS: u32 = 3_000;

/// How far a backend may be from its fair share, in per cent of that share.
const MOST_DEVIATION_PERCENT: f64 = 10.0;

/// Failures that are shown to people; the JSON has all.
const SHOWN_FAILURES: usize = 5;

/// Everything that is counted once the clients have stopped.
pub(super) struct Figures {
    pub(super) shown: Shown,
    pub(super) tally: Tally,
    pub(super) account: Account,
    pub(super) xdp_mode: String,
    /// The last publication: the number of publications since the daemon's first start.
    pub(super) generation: u32,
}

/// What `--json` writes.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    requests_ok: usize,
    requests_failed: usize,
    /// Failed, but not under way between the kill and the moment at which traffic had left.
    requests_failed_outside_failover: usize,
    /// Failed between the kill and the moment at which traffic had left.
    requests_failed_in_failover: usize,
    /// Requests answered while all backends took traffic: what their shares are measured by.
    per_backend: BTreeMap<&'static str, u32>,
    /// Requests answered in the whole run, in which one backend was dead and one removed for a while.
    per_backend_whole_run: BTreeMap<&'static str, u32>,
    /// How far the farthest of `per_backend` is from a third, in per cent of a third.
    worst_deviation_percent: f64,
    /// Server killed -> last request sent to it.
    detect_ms: u128,
    /// Server started again -> its first answer.
    recover_ms: u128,
    /// Requests begun after the removal of a backend that it answered all the same.
    answered_after_removal: u32,
    /// Those in which requests were answered.
    families: Vec<&'static str>,
    xdp_mode: String,
    /// Whether the ledger's sum is the number of packets received.
    ledger_balanced: bool,
    ledger: Account,
    /// Publications; the last one's number.
    generations: u32,
    /// Why requests failed outside of the failover, if any did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failures: Vec<String>,
}

impl Summary {
    pub(super) fn new(figures: &Figures) -> Self {
        let Figures {
            shown,
            tally,
            account,
            xdp_mode,
            generation,
        } = figures;
        let failures: Vec<_> = tally
            .failed_outside(shown.failover)
            .filter_map(|request| {
                let reason = request.answer.as_ref().err()?;
                let since = tally.since_first(request).as_secs_f64();
                Some(format!(
                    "{} after {since:.2} s of requests: {reason}",
                    request.family.label()
                ))
            })
            .collect();
        Self {
            requests_ok: tally.answered(),
            requests_failed: tally.len() - tally.answered(),
            requests_failed_outside_failover: failures.len(),
            requests_failed_in_failover: tally.failed_inside(shown.failover).count(),
            per_backend: by_name(shown.steady),
            per_backend_whole_run: by_name(tally.all_answers()),
            worst_deviation_percent: worst_deviation_percent(shown.steady),
            detect_ms: tally.detection(shown.failover).as_millis(),
            recover_ms: shown.recovery.as_millis(),
            answered_after_removal: shown.answered_after_removal,
            families: tally.families().into_iter().map(Family::label).collect(),
            xdp_mode: xdp_mode.clone(),
            ledger_balanced: account.is_balanced(),
            ledger: *account,
            generations: *generation,
            failures,
        }
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// `file` cannot be written.
    pub(super) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self).context("write the summary as JSON")?;
        fs::write(file, text + "\n").with_context(|| format!("write {}", file.display()))
    }

    /// Every expectation, with whether it is met.
    fn expectations(&self) -> Vec<(bool, String)> {
        let steady: u32 = self.per_backend.values().sum();
        let shares: Vec<_> = self
            .per_backend
            .iter()
            .map(|(name, count)| format!("{name} {}", grouped(*count)))
            .collect();
        vec![
            (
                self.requests_failed_outside_failover == 0,
                format!(
                    "{} requests answered; {} failed while a dead server was being found out, {} otherwise",
                    grouped(self.requests_ok as u64),
                    self.requests_failed_in_failover,
                    self.requests_failed_outside_failover
                ),
            ),
            (
                self.families == ["v4", "v6"],
                format!("families answered: {}", self.families.join(", ")),
            ),
            (
                steady >= FEWEST_REQUESTS && self.worst_deviation_percent <= MOST_DEVIATION_PERCENT,
                format!(
                    "shares with all backends up: {}; none farther than {:.1} % from a third",
                    shares.join(", "),
                    self.worst_deviation_percent
                ),
            ),
            (
                self.answered_after_removal == 0,
                format!(
                    "{} requests went to a backend after its removal",
                    self.answered_after_removal
                ),
            ),
            (
                self.ledger_balanced,
                format!(
                    "ledger: {} outcomes for {} packets received",
                    grouped(self.ledger.ledger),
                    grouped(self.ledger.received)
                ),
            ),
            (
                self.xdp_mode == "native",
                format!("XDP mode: {}", self.xdp_mode),
            ),
        ]
    }

    /// Whether every expectation is met.
    ///
    /// # Errors
    /// Names those that are not.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        let expectations = self.expectations().into_iter();
        let unmet: Vec<_> = expectations
            .filter(|(met, _)| !met)
            .map(|(_, words)| words)
            .collect();
        ensure!(
            unmet.is_empty(),
            "the demo did not show what it should: {}",
            unmet.join("; ")
        );
        Ok(())
    }

    /// For people.
    pub(super) fn text(&self, screen: &Screen) -> String {
        let mut text = String::from("\n");
        for (met, words) in self.expectations() {
            let mark = if met {
                screen.paint(Colour::Green, "ok ")
            } else {
                screen.paint(Colour::Red, "NOT")
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {mark}  {words}");
        }
        for failure in self.failures.iter().take(SHOWN_FAILURES) {
            let _ = writeln!(text, "       failed: {failure}");
        }
        let _ = writeln!(
            text,
            "\n  last request to the killed server {} ms after the kill, first answer {} ms after its new start",
            self.detect_ms, self.recover_ms
        );
        let took = screen.elapsed().as_secs_f64();
        let _ = writeln!(
            text,
            "  {} publications; everything took {took:.1} s",
            self.generations
        );
        text
    }
}

fn by_name(answers: Answers) -> BTreeMap<&'static str, u32> {
    BACKENDS
        .iter()
        .map(|backend| backend.name)
        .zip(answers)
        .collect()
}
