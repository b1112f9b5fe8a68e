//! Reading what the test harness prints.

use std::collections::BTreeSet;

use super::report::{Skip, Suite};

/// Collects the counts of one suite from its lines. A suite may consist of several test programs.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    passed: usize,
    failed: usize,
    failures: BTreeSet<String>,
    skipped: BTreeSet<Skip>,
    ignored: usize,
    fixture_rows: usize,
    fuzz_packets: u64,
    fuzz_differences: u64,
}

impl Reader {
    /// Takes one line of standard output.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += count(result, " passed");
            self.failed += count(result, " failed");
        } else if let Some(rows) = after(line, "fixture_rows: ") {
            self.fixture_rows += rows.trim().parse::<usize>().unwrap_or(0);
        } else if let Some(packets) = after(line, "fuzz_packets: ") {
            self.fuzz_packets += packets.trim().parse::<u64>().unwrap_or(0);
        } else if let Some(differences) = after(line, "fuzz_differences: ") {
            self.fuzz_differences += differences.trim().parse::<u64>().unwrap_or(0);
        } else if let Some((test, reason)) =
            after(line, "SKIPPED: ").and_then(|it| it.split_once(": "))
        {
            self.skipped.insert(Skip::new(test, reason));
        } else if let Some((test, outcome)) = line
            .strip_prefix("test ")
            .and_then(|it| it.split_once(" ... "))
        {
            self.read_outcome(test, outcome);
        }
    }

    fn read_outcome(&mut self, test: &str, outcome: &str) {
        if outcome == "FAILED" {
            self.failures.insert(test.to_owned());
        } else if let Some(reason) = outcome.strip_prefix("ignored") {
            self.ignored += 1;
            let reason = reason.strip_prefix(", ").unwrap_or("no reason given");
            self.skipped.insert(Skip::new(test, reason));
        }
    }

    /// The counts. A suite that did not build, or whose program died, has failed, even if no test of it says
    /// so; so has one without a test, unless a filter explains that.
    pub(crate) fn finish(self, suite: &str, succeeded: bool, is_filtered: bool) -> Suite {
        let mut failures: Vec<String> = self.failures.into_iter().collect();
        let mut failed = self.failed.max(failures.len());
        if !succeeded && failed == 0 {
            failed = 1;
            failures.push(format!(
                "{suite}: did not build, or ended before it had finished"
            ));
        }
        if succeeded && !is_filtered && self.passed + failed + self.ignored == 0 {
            failed = 1;
            failures.push(format!("{suite}: has no test"));
        }
        // To the harness, a test that skips itself has passed.
        let skipped_themselves = self.skipped.len().saturating_sub(self.ignored);
        Suite {
            passed: self.passed.saturating_sub(skipped_themselves),
            failed,
            skipped: self.skipped.into_iter().collect(),
            failures,
            unsteady: Vec::new(),
            fixture_rows: self.fixture_rows,
            fuzz_packets: self.fuzz_packets,
            fuzz_differences: self.fuzz_differences,
        }
    }
}

fn after<'a>(line: &'a str, marker: &str) -> Option<&'a str> {
    line.split_once(marker).map(|(_, rest)| rest)
}

/// The number before `what` in a line such as `ok. 5 passed; 0 failed; 1 ignored`.
fn count(result: &str, what: &str) -> usize {
    let number = result
        .split_once(what)
        .and_then(|(before, _)| before.split(' ').next_back());
    number.and_then(|it| it.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str, succeeded: bool) -> Suite {
        let mut reader = Reader::default();
        lines.lines().for_each(|line| reader.read(line));
        reader.finish("netns", succeeded, false)
    }

    #[test]
    fn the_counts_of_several_programs_are_added() {
        let suite = read(
            "test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
             test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            true,
        );
        assert_eq!((suite.passed, suite.failed), (17, 0));
    }

    #[test]
    fn failures_are_named() {
        let suite = read(
            "test a::b ... FAILED\ntest result: FAILED. 1 passed; 1 failed; 0 ignored;",
            false,
        );
        assert_eq!((suite.passed, suite.failed), (1, 1));
        assert_eq!(suite.failures, ["a::b"]);
    }

    #[test]
    fn a_test_that_skips_itself_is_skipped_and_not_passed() {
        let suite = read(
            "SKIPPED: vlan: kernel 5.10 lacks it\ntest result: ok. 3 passed; 0 failed;",
            true,
        );
        assert_eq!(suite.passed, 2);
        assert_eq!(suite.skipped, [Skip::new("vlan", "kernel 5.10 lacks it")]);
    }

    #[test]
    fn an_ignored_test_is_skipped_with_its_reason() {
        let suite = read(
            "test slow ... ignored, an hour\ntest result: ok. 3 passed; 0 failed; 1 ignored;",
            true,
        );
        assert_eq!(suite.passed, 3);
        assert_eq!(suite.skipped, [Skip::new("slow", "an hour")]);
    }

    #[test]
    fn a_program_that_dies_has_failed() {
        let suite = read("test a ... ok", false);
        assert_eq!(suite.failed, 1);
        assert!(suite.failures[0].starts_with("netns: did not build"));
    }

    #[test]
    fn fixture_rows_are_counted() {
        assert_eq!(
            read("fixture_rows: 61\nfixture_rows: 4", true).fixture_rows,
            65
        );
    }

    #[test]
    fn fuzzed_packets_and_differences_are_counted() {
        let suite = read("fuzz_packets: 1000\nfuzz_differences: 2", true);
        assert_eq!((suite.fuzz_packets, suite.fuzz_differences), (1_000, 2));
    }
}
