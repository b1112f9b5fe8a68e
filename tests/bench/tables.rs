//! What a change moves in a lookup table, how even the table stays, and how long it takes to build: pinned Maglev
//! beside classic Maglev (Maglev, NSDI '16, section 3.4), which is built anew over whoever is left.
//!
//! Means over trials, each with a fleet of other addresses. The classic table is the base of the same code, so that
//! the two differ in nothing but the pinning.
#![expect(
    clippy::indexing_slicing,
    reason = "tables and weights are as long as was asked for"
)]

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use lb_userspace::maglev::{Base, Member};
use serde::Serialize;

/// Backends of a fleet.
const BACKENDS: usize = 1_000;
/// The weight of every backend where weights are equal; it leaves room for steps of a few per cent.
const WEIGHT: u32 = 100;
/// Backends down at once.
const FAILURES: [usize; 4] = [1, 10, 50, 100];

/// Measures lookup tables.
#[derive(Parser)]
struct Options {
    /// Fleets to take the mean of
    #[arg(long, default_value_t = 200)]
    trials: usize,
    /// Sizes of the table
    #[arg(long, value_delimiter = ',', default_values_t = [65_537, 655_373])]
    slots: Vec<u32>,
    /// Write the rows to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// One kind of change, of one algorithm.
#[derive(Serialize)]
struct Row {
    algorithm: &'static str,
    backends: usize,
    slots: u32,
    weights: &'static str,
    event: String,
    /// Slots that have another owner than before.
    changed_percent: f64,
    /// Those of them that moved in vain: their owner lives, and its share did not shrink for it.
    excess_percent: f64,
    /// The busiest and the idlest backend, as parts of their exact shares.
    max_over_avg: f64,
    min_over_avg: f64,
    /// To the new table, from what is kept of the one before: nothing, for the classic one.
    build_ms: f64,
}

/// A way to make tables, in one fleet.
trait Algorithm {
    const NAME: &'static str;
    fn new(members: &[Member], slots: u32) -> Self;
    /// The owner of each slot at these weights.
    fn table(&self, weights: &[u32]) -> Vec<u32>;
}

struct Pinned(Base);

impl Algorithm for Pinned {
    const NAME: &'static str = "pinned-maglev";

    fn new(members: &[Member], slots: u32) -> Self {
        Self(Base::of(members, slots))
    }

    fn table(&self, weights: &[u32]) -> Vec<u32> {
        self.0.pinned(weights)
    }
}

struct Classic {
    members: Vec<Member>,
    slots: u32,
}

impl Algorithm for Classic {
    const NAME: &'static str = "maglev";

    fn new(members: &[Member], slots: u32) -> Self {
        Self {
            members: members.to_vec(),
            slots,
        }
    }

    fn table(&self, weights: &[u32]) -> Vec<u32> {
        let mut members = self.members.clone();
        for (member, weight) in members.iter_mut().zip(weights) {
            member.weight = *weight;
        }
        Base::of(&members, self.slots).table()
    }
}

/// How weights are given to the backends of a fleet.
#[derive(Clone, Copy)]
enum Weights {
    Equal,
    Unequal,
}

impl Weights {
    const fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Unequal => "1-to-10",
        }
    }

    /// The weight of a backend.
    fn of(self, trial: usize, backend: usize) -> u32 {
        match self {
            Self::Equal => WEIGHT,
            Self::Unequal => 90 * (1 + dice(trial, backend, 0) % 10),
        }
    }
}

/// A number that looks like chance, and is the same in every run.
fn dice(trial: usize, backend: usize, throw: u64) -> u32 {
    let seed = format!("{trial} {backend}");
    (lb_userspace::maglev::stable_hash(seed.as_bytes(), throw) >> 32) as u32
}

fn fleet(trial: usize, backends: usize, weights: Weights) -> Vec<Member> {
    let member = |n: usize| Member {
        name: format!("10.{trial}.{}.{}:80", n / 250, n % 250 + 1),
        weight: weights.of(trial, n),
    };
    (0..backends).map(member).collect()
}

/// What is measured of one change, or the sum of many.
#[derive(Clone, Copy, Default)]
struct Figures {
    changed: f64,
    excess: f64,
    max: f64,
    min: f64,
    seconds: f64,
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.changed += other.changed;
        self.excess += other.excess;
        self.max += other.max;
        self.min += other.min;
        self.seconds += other.seconds;
    }
}

/// A number as a fraction's part.
fn float(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::NAN, f64::from)
}

fn loads(table: &[u32], members: usize) -> Vec<u32> {
    let mut loads = vec![0; members];
    for owner in table {
        loads[*owner as usize] += 1;
    }
    loads
}

/// Compares two tables, the second one at `weights`, which took `seconds` to make.
fn figures(before: &[u32], after: &[u32], weights: &[u32], seconds: f64) -> Figures {
    let slots = float(after.len());
    let pairs = || {
        before
            .iter()
            .zip(after)
            .filter(|(before, after)| before != after)
    };
    let lives = |owner: u32| {
        weights
            .get(owner as usize)
            .is_some_and(|weight| *weight > 0)
    };
    let alive = pairs().filter(|(before, _)| lives(**before)).count();
    // What those who live have given away for good had to move.
    let (old, new) = (loads(before, weights.len()), loads(after, weights.len()));
    let given = |((old, new), weight): ((&u32, &u32), &u32)| match weight {
        0 => 0,
        _ => old.saturating_sub(*new) as usize,
    };
    let given: usize = old.iter().zip(&new).zip(weights).map(given).sum();
    let total: f64 = weights.iter().copied().map(f64::from).sum();
    let shares = new.iter().zip(weights).filter(|(_, weight)| **weight > 0);
    let parts =
        shares.map(|(load, weight)| f64::from(*load) * total / (slots * f64::from(*weight)));
    let (min, max) = parts.fold((f64::INFINITY, 0.0_f64), |(min, max), part| {
        (min.min(part), max.max(part))
    });
    Figures {
        changed: float(pairs().count()) / slots * 100.0,
        excess: float(alive - given.min(alive)) / slots * 100.0,
        max,
        min,
        seconds,
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

/// All events in one fleet, in a fixed order.
fn trial<A: Algorithm>(trial: usize, slots: u32, weights: Weights) -> Vec<(String, Figures)> {
    let members = fleet(trial, BACKENDS, weights);
    let full: Vec<u32> = members.iter().map(|member| member.weight).collect();
    let ((algorithm, healthy), seconds) = timed(|| {
        let algorithm = A::new(&members, slots);
        let table = algorithm.table(&full);
        (algorithm, table)
    });
    let mut events = vec![(
        "all well".to_owned(),
        figures(&healthy, &healthy, &full, seconds),
    )];
    let mut next = |name: String, before: &[u32], present: &[u32]| {
        let (after, seconds) = timed(|| algorithm.table(present));
        events.push((name, figures(before, &after, present, seconds)));
        after
    };
    for failures in FAILURES {
        let mut present = full.clone();
        let victim = |n: usize| (n * 37 + trial * 11) % BACKENDS;
        for n in 0..failures {
            present[victim(n)] = 0;
        }
        let before = next(format!("{failures} fail at once"), &healthy, &present);
        present[victim(failures)] = 0;
        next(format!("1 more fails, {failures} down"), &before, &present);
    }
    let ticked: Vec<u32> = (0..)
        .zip(&full)
        .map(|(n, weight)| weight * (95 + dice(trial, n, 1) % 11) / 100)
        .collect();
    next("weights tick by up to 5 %".to_owned(), &healthy, &ticked);

    let more = fleet(trial, BACKENDS + 1, weights);
    let full: Vec<u32> = more.iter().map(|member| member.weight).collect();
    let (after, seconds) = timed(|| A::new(&more, slots).table(&full));
    let added = figures(&healthy, &after, &full, seconds);
    events.push(("1 more is configured".to_owned(), added));
    events
}

fn rows<A: Algorithm>(slots: u32, weights: Weights, trials: usize) -> Vec<Row> {
    let mut sums: Vec<(String, Figures)> = Vec::new();
    for number in 0..trials {
        let events = trial::<A>(number, slots, weights);
        if sums.is_empty() {
            sums = events;
        } else {
            for ((_, sum), (_, one)) in sums.iter_mut().zip(events) {
                sum.add(one);
            }
        }
    }
    let count = float(trials);
    let row = |(event, sum): (String, Figures)| Row {
        algorithm: A::NAME,
        backends: BACKENDS,
        slots,
        weights: weights.name(),
        event,
        changed_percent: sum.changed / count,
        excess_percent: sum.excess / count,
        max_over_avg: sum.max / count,
        min_over_avg: sum.min / count,
        build_ms: sum.seconds / count * 1e3,
    };
    sums.into_iter().map(row).collect()
}

fn main() -> Result<()> {
    let options = Options::parse();
    println!(
        "{BACKENDS} backends, means of {} fleets\n{:<14} {:>7} {:<8} {:<24} {:>9} {:>9} {:>8} {:>8} {:>9}",
        options.trials,
        "algorithm",
        "slots",
        "weights",
        "event",
        "changed %",
        "excess %",
        "max/avg",
        "min/avg",
        "build ms"
    );
    let mut all = Vec::new();
    for slots in options.slots {
        for weights in [Weights::Equal, Weights::Unequal] {
            for rows in [rows::<Classic>, rows::<Pinned>] {
                for row in rows(slots, weights, options.trials) {
                    println!(
                        "{:<14} {:>7} {:<8} {:<24} {:>9.4} {:>9.4} {:>8.4} {:>8.4} {:>9.3}",
                        row.algorithm,
                        row.slots,
                        row.weights,
                        row.event,
                        row.changed_percent,
                        row.excess_percent,
                        row.max_over_avg,
                        row.min_over_avg,
                        row.build_ms
                    );
                    all.push(row);
                }
            }
        }
    }
    if let Some(file) = options.json {
        let text = serde_json::to_string_pretty(&all)? + "\n";
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}
