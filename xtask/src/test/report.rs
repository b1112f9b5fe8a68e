//! The counts of a run, as text and as JSON.

use std::{collections::BTreeMap, fmt};

use anyhow::{Result, bail};
use serde::Serialize;

use crate::vm::{Counts, Matrix};

/// The counts of every suite.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    suites: BTreeMap<String, Suite>,
    passed: usize,
    failed: usize,
    skipped: usize,
    fixture_rows: usize,
    fuzz_packets: u64,
    fuzz_differences: u64,
    /// What each kernel made of the suites in a guest, by its name as asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    kernels: BTreeMap<String, Counts>,
    /// Kernels that could not be had, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unavailable: BTreeMap<String, String>,
    /// Namespaces, pins and processes that the suites left behind.
    left_behind: Vec<String>,
}

/// The counts of one suite.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Suite {
    /// Tests that passed.
    pub(crate) passed: usize,
    /// Tests that failed.
    pub(crate) failed: usize,
    /// Tests that were not run.
    pub(crate) skipped: Vec<Skip>,
    /// The names of those that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) failures: Vec<String>,
    /// The names of those that failed among the others, and passed by themselves: they are to be mended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) unsteady: Vec<String>,
    /// Rows of fixture tables that were tried.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) fixture_rows: usize,
    /// Frames that were given to the program and to the model.
    #[serde(skip_serializing_if = "is_none")]
    pub(super) fuzz_packets: u64,
    /// Those of which the two said different things.
    #[serde(skip_serializing_if = "is_none")]
    pub(super) fuzz_differences: u64,
}

impl Suite {
    /// Takes note that `test`, which had failed, has passed by itself.
    pub(super) fn was_unsteady(&mut self, test: &str) {
        self.failures.retain(|failure| failure != test);
        self.unsteady.push(test.to_owned());
        self.failed -= 1;
        self.passed += 1;
    }

    /// A suite of one test, which is told of by its program's end only.
    pub(crate) fn of_one(test: &str, passed: bool) -> Self {
        Self {
            passed: usize::from(passed),
            failed: usize::from(!passed),
            failures: (!passed).then(|| test.to_owned()).into_iter().collect(),
            ..Self::default()
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_none(number: &u64) -> bool {
    *number == 0
}

/// A test that was not run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Skip {
    test: String,
    reason: String,
}

impl Skip {
    /// A test and why it was not run.
    pub(super) fn new(test: &str, reason: &str) -> Self {
        Self {
            test: test.trim().to_owned(),
            reason: reason.trim().to_owned(),
        }
    }
}

impl Report {
    /// Adds up. Whatever was left behind counts as one failure.
    pub(super) fn new(suites: BTreeMap<String, Suite>, left_behind: Vec<String>) -> Self {
        let sum = |count: fn(&Suite) -> usize| suites.values().map(count).sum::<usize>();
        Self {
            passed: sum(|suite| suite.passed),
            failed: sum(|suite| suite.failed) + usize::from(!left_behind.is_empty()),
            skipped: sum(|suite| suite.skipped.len()),
            fixture_rows: sum(|suite| suite.fixture_rows),
            fuzz_packets: suites.values().map(|suite| suite.fuzz_packets).sum(),
            fuzz_differences: suites.values().map(|suite| suite.fuzz_differences).sum(),
            suites,
            kernels: BTreeMap::new(),
            unavailable: BTreeMap::new(),
            left_behind,
        }
    }

    /// Adds what other kernels made of the suites.
    pub(super) fn add_kernels(&mut self, matrix: Matrix) {
        for (kernel, counts) in matrix {
            match counts {
                Ok(counts) => {
                    self.passed += counts.passed;
                    self.failed += counts.failed;
                    self.skipped += counts.skipped;
                    self.kernels.insert(kernel.to_string(), counts);
                }
                Err(why) => {
                    self.unavailable.insert(kernel.to_string(), why);
                }
            }
        }
    }

    /// Kernels that could not be had, each with the reason.
    pub(crate) fn untried(&self) -> impl Iterator<Item = String> {
        let reasons = self.unavailable.iter();
        reasons.map(|(kernel, why)| format!("kernel {kernel}: {why}"))
    }

    /// The line that a run closes with.
    pub(crate) fn closing_line(&self) -> String {
        let counts = format!("{} passed, {} failed", self.passed, self.failed);
        match self.skipped {
            0 => counts,
            skipped => format!("{counts}, {skipped} skipped"),
        }
    }

    /// Whether the run may be called a success.
    ///
    /// # Errors
    /// Tests failed, which are named; none ran; or something was left behind.
    pub(crate) fn verdict(&self) -> Result<()> {
        if self.failed > 0 {
            let failures = self.suites().into_iter().flat_map(|(suite, counts)| {
                let failures = counts.failures.iter();
                failures.map(move |test| format!("{suite}: {test}"))
            });
            let left = self.left_behind.iter().map(|it| format!("left: {it}"));
            let named: Vec<String> = failures.chain(left).collect();
            bail!(
                "{} of {} tests failed: {}",
                self.failed,
                self.passed + self.failed,
                named.join(", ")
            );
        }
        if self.passed == 0 {
            bail!("no test ran: does the filter match any name?");
        }
        Ok(())
    }

    /// The suites that were run here, and those in guests, which have their kernel before their name.
    fn suites(&self) -> Vec<(String, &Suite)> {
        let here = self
            .suites
            .iter()
            .map(|(name, suite)| (name.clone(), suite));
        let there = self.kernels.iter().flat_map(|(kernel, counts)| {
            let named = move |(name, suite)| (format!("{kernel}/{name}"), suite);
            counts.suites.iter().map(named)
        });
        here.chain(there).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suites = self.suites();
        for (name, suite) in &suites {
            let Suite { passed, failed, .. } = suite;
            writeln!(
                f,
                "{name:<16} {passed:>4} passed {failed:>3} failed {:>3} skipped",
                suite.skipped.len()
            )?;
        }
        for (name, suite) in &suites {
            for Skip { test, reason } in &suite.skipped {
                writeln!(f, "skipped: {name}: {test}: {reason}")?;
            }
        }
        for (name, suite) in &suites {
            for test in &suite.unsteady {
                writeln!(
                    f,
                    "UNSTEADY: {name}: {test} failed among the others and passed by itself"
                )?;
            }
        }
        for (name, suite) in &suites {
            for failure in &suite.failures {
                writeln!(f, "failed: {name}: {failure}")?;
            }
        }
        for kernel in self.untried() {
            writeln!(f, "NOT TRIED: {kernel}")?;
        }
        for left in &self.left_behind {
            writeln!(f, "left behind: {left}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(passed: usize, failed: usize, left_behind: &[&str]) -> Report {
        let suite = Suite {
            passed,
            failed,
            fixture_rows: 61,
            fuzz_packets: 1_000,
            ..Suite::default()
        };
        let left_behind = left_behind.iter().map(|&it| it.to_owned()).collect();
        Report::new(BTreeMap::from([("abi".to_owned(), suite)]), left_behind)
    }

    #[test]
    fn the_closing_line_has_the_sums() {
        assert_eq!(report(5, 0, &[]).closing_line(), "5 passed, 0 failed");
    }

    #[test]
    fn skipped_tests_follow_in_the_closing_line() {
        let mut report = report(5, 0, &[]);
        report.skipped = 2;
        assert_eq!(report.closing_line(), "5 passed, 0 failed, 2 skipped");
    }

    #[test]
    fn a_failure_an_empty_run_and_a_leftover_are_no_success() {
        assert!(report(5, 0, &[]).verdict().is_ok());
        assert!(report(5, 1, &[]).verdict().is_err());
        assert!(report(0, 0, &[]).verdict().is_err());
        assert!(report(5, 0, &["namespace lbt-1"]).verdict().is_err());
    }

    #[test]
    fn a_verdict_names_what_failed() {
        let mut suite = Suite::of_one("it_works", false);
        suite.passed = 2;
        let suites = BTreeMap::from([("abi".to_owned(), suite)]);
        let report = Report::new(suites, vec!["namespace lbt-1".to_owned()]);
        assert_eq!(
            report.verdict().unwrap_err().to_string(),
            "2 of 4 tests failed: abi: it_works, left: namespace lbt-1"
        );
    }

    #[test]
    fn a_test_that_passes_by_itself_is_told_of_and_no_failure() {
        let mut suite = Suite::of_one("it_is_in_time", false);
        suite.was_unsteady("it_is_in_time");
        let report = Report::new(BTreeMap::from([("netns".to_owned(), suite)]), Vec::new());
        assert_eq!(report.closing_line(), "1 passed, 0 failed");
        assert!(report.verdict().is_ok());
        let told = "UNSTEADY: netns: it_is_in_time failed among the others and passed by itself";
        assert!(report.to_string().contains(told), "{report}");
    }

    #[test]
    fn the_json_has_the_counts_of_each_suite_and_their_sums() {
        let json = serde_json::to_value(report(5, 1, &[])).unwrap();
        assert_eq!(json["suites"]["abi"]["passed"], 5);
        assert_eq!(json["suites"]["abi"]["skipped"], serde_json::json!([]));
        assert_eq!(json["failed"], 1);
        assert_eq!(json["fixture_rows"], 61);
        assert_eq!(json["fuzz_packets"], 1_000);
        assert_eq!(json["fuzz_differences"], 0);
    }
}
