//! Random operations and faults, one after the other, on a balancer under traffic; after each one everything that must
//! always hold is looked at.
//!
//! What is done follows from the seed; what traffic does meanwhile, of course, does not. `LB_TORTURE_SEED` and
//! `LB_TORTURE_SECONDS` choose another run than the short one that is always the same. The last line is one of JSON.
#![expect(
    clippy::indexing_slicing,
    reason = "indexing JSON gives null for what is not there, and a test may panic"
)]

mod invariant;
mod operation;

use std::{
    collections::BTreeMap,
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use lb_tests::{
    event::{Course, Event},
    kernel::say,
    meter::Counts,
    random::Random,
    site::Site,
};
use serde_json::json;

use invariant::Invariants;
use operation::Operation;

/// The run without a seed and a time of its own.
const SEED: u64 = 0x6c62_0002;
const SECONDS: u64 = 60;
const BACKENDS: u8 = 3;
/// A daemon is killed that long after its start, at most.
const START: Duration = Duration::from_millis(1_500);

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} must be a number, not `{text}`")))
}

/// One thing that is done.
#[derive(Clone, Debug)]
enum Step {
    Operation(Operation),
    Fault(Event, Duration),
}

impl Step {
    /// Faults are a third.
    fn next(random: &mut Random, is_next: bool) -> Self {
        if !random.once_in(3) {
            return Self::Operation(Operation::next(random, BACKENDS.into()));
        }
        let moment = START / 100 * u32::try_from(random.below(100)).expect("below 100");
        let event = random.pick(&Event::ALL);
        let changes_version = matches!(event, Event::Upgrade | Event::DetachAndStart);
        // There is none that is newer still; the way back leads through the end of the data plane.
        let event = match (changes_version, is_next) {
            (false, _) => event,
            (true, false) => Event::Upgrade,
            (true, true) => Event::DetachAndStart,
        };
        Self::Fault(event, moment)
    }

    const fn label(&self) -> &'static str {
        match self {
            Self::Operation(operation) => operation.label(),
            Self::Fault(event, _) => event.label(),
        }
    }

    const fn is_seamless(&self) -> bool {
        match self {
            Self::Operation(operation) => operation.is_seamless(),
            Self::Fault(event, _) => event.is_seamless(),
        }
    }
}

/// What has been done, and what came of it.
#[derive(Debug, Default)]
struct Tally {
    operations: u64,
    faults: u64,
    broken: Vec<String>,
    /// By the label of what was done.
    traffic: BTreeMap<&'static str, Counts>,
}

impl Tally {
    fn note(&mut self, step: &Step, counts: Counts) {
        match step {
            Step::Operation(_) => self.operations += 1,
            Step::Fault(..) => self.faults += 1,
        }
        let sum = self.traffic.entry(step.label()).or_default();
        *sum = Counts {
            sent: sum.sent + counts.sent,
            lost: sum.lost + counts.lost,
            moved: sum.moved + counts.moved,
            broken: sum.broken + counts.broken,
        };
        let flawless = counts.lost + counts.moved + counts.broken == 0;
        if step.is_seamless() && !flawless {
            self.broken
                .push(format!("{}: traffic noticed: {counts:?}", step.label()));
        }
    }

    fn json(&self, seed: u64) -> String {
        let by_kind = |count: fn(&Counts) -> u64| -> BTreeMap<&str, u64> {
            let kinds = self.traffic.iter();
            kinds
                .map(|(label, counts)| (*label, count(counts)))
                .collect()
        };
        let report = json!({
            "seed": seed,
            "operations": self.operations,
            "faults": self.faults,
            "invariants_broken": self.broken.len(),
            "packets_sent": by_kind(|counts| counts.sent),
            "packets_lost": by_kind(|counts| counts.lost),
            "flows_moved": by_kind(|counts| counts.moved + counts.broken),
        });
        report.to_string()
    }
}

/// Does one thing after the other until the time is over or something is broken.
fn torture(seed: u64, until: Instant, tally: &mut Tally) {
    let site = Site::new(BACKENDS);
    let mut course = Course::begin(&site);
    let mut invariants = Invariants::default();
    let mut random = Random::new(seed);
    tally.broken.extend(invariants.broken(&site, &course));
    for number in 1.. {
        if Instant::now() >= until || !tally.broken.is_empty() {
            return;
        }
        let step = Step::next(&mut random, course.is_next());
        say(&format!("step {number}: {step:?}"));
        let counts = match &step {
            Step::Operation(operation) => {
                course.watch(|course| operation.make(&site, &mut course.control()))
            }
            Step::Fault(event, moment) => course.meet(*event, *moment),
        };
        let Counts {
            sent,
            lost,
            moved,
            broken,
        } = counts;
        say(&format!(
            "  {sent} sent, {lost} lost, {moved} moved, {broken} broken"
        ));
        tally.note(&step, counts);
        if let Step::Fault(event, _) = &step {
            invariants.expect(*event);
        }
        let found = invariants.broken(&site, &course);
        tally.broken.extend(found);
        if !tally.broken.is_empty() {
            say(&format!("seed {seed}, step {number}: {:#?}", tally.broken));
            say(&format!("--- log of lbd\n{}---", site.instance.log()));
        }
    }
}

#[test]
fn random_operations_and_faults_break_nothing() {
    let seed = number("LB_TORTURE_SEED").unwrap_or(SEED);
    let seconds = number("LB_TORTURE_SECONDS").unwrap_or(SECONDS);
    say(&format!("torture_seed: {seed}"));
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut tally = Tally::default();
    let ran = catch_unwind(AssertUnwindSafe(|| torture(seed, until, &mut tally)));
    if ran.is_err() {
        tally
            .broken
            .push("something was never as it should be: see above".to_owned());
    }
    say(&format!("torture: {}", tally.json(seed)));
    assert!(tally.broken.is_empty(), "seed {seed}: {:#?}", tally.broken);
}
