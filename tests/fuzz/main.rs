//! The loaded program against the reference model: millions of frames, whole and damaged, to both.
//!
//! Every frame's action and bytes are compared at once; ledger and counters by batch, which is run again one
//! by one if they disagree, so that the frame is named. `LB_FUZZ_SEED` and `LB_FUZZ_SECONDS` choose another
//! run than the one that is always the same.
#![expect(
    clippy::indexing_slicing,
    reason = "what is out of bounds in a test fails it"
)]

mod compare;
mod damage;
mod fragments;
mod generate;
mod model;
mod published;
mod world;

use std::{
    collections::BTreeMap,
    env, thread,
    time::{Duration, Instant},
};

use lb_common::{
    outcome::Outcome,
    settings::{Settings, SourceNat},
};
use lb_tests::{
    kernel,
    object::Form,
    random::{self, Random},
};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use compare::{Batch, Difference};
use published::{GUE_PORT, SOURCE_PORTS};
use world::in_world;

/// Packets of a run without a time of its own.
const PACKETS: u64 = 1_000_000;
const SEED: u64 = 0x6c62_0001;
/// Longer than a batch takes, in ticks.
const NEVER: u32 = 1 << 30;
/// As many worlds, each with a thread. In every second one unmatched packets are dropped, and the program is the one
/// for jumbo frames.
const WORLDS: u64 = 2;
/// Outcomes of what the model does not know: a budget for errors, a driver without room, more flows than ports, probes by
/// the VIP.
const UNREACHABLE: [Outcome; 7] = [
    Outcome::TimeExceededSent,
    Outcome::TooBigSent,
    Outcome::NoRoom,
    Outcome::PortsExhausted,
    Outcome::ProbeReplied,
    Outcome::ProbeReply,
    Outcome::NotAProbe,
];
/// A run ends when it has seen so many.
const ENOUGH: usize = 5;

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} must be a number, not `{text}`")))
}

/// What one world saw.
#[derive(Default)]
struct Tally {
    packets: u64,
    met: BTreeMap<Outcome, u64>,
    differences: Vec<Difference>,
}

/// Keeps this thread on one of the CPUs that it may run on, and says which.
fn stay_on_a_cpu(index: u64) -> u16 {
    let allowed = sched_getaffinity(None).expect("the CPUs of this thread");
    let allowed: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|cpu| allowed.is_set(*cpu))
        .collect();
    let index = usize::try_from(index).expect("few worlds");
    let cpu = allowed[index % allowed.len()];
    let mut one = CpuSet::new();
    one.set(cpu);
    sched_setaffinity(None, &one).expect("staying on a CPU");
    u16::try_from(cpu).expect("few CPUs")
}

fn explore(index: u64, seed: u64, until: Option<Instant>) -> Tally {
    let is_odd = index % 2 == 1;
    // On one CPU, so that it is known which ports are given out.
    let cpu = stay_on_a_cpu(index);
    let ports = u16::try_from(SOURCE_PORTS.len()).expect("a few ports");
    let snat = SourceNat {
        first_port: SOURCE_PORTS.start - cpu * ports,
        ports_per_cpu: ports,
        established: NEVER,
        transitory: NEVER,
        udp: NEVER,
    };
    let settings = Settings {
        hash_seed: seed,
        drop_unmatched: u32::from(is_odd),
        // Whether an error is sent would depend on the clock.
        icmp_errors_per_second: 0,
        gue_port: u32::from(GUE_PORT),
        snat,
        reuse_after: NEVER,
        ..Settings::DEFAULT
    };
    let form = if is_odd && kernel::takes_jumbo_frames() {
        Form::Jumbo
    } else {
        Form::Plain
    };
    in_world(settings, form, |world| {
        let mut random = Random::new(seed.wrapping_add(index << 32));
        let mut tally = Tally::default();
        let goes_on = |tally: &Tally| {
            tally.differences.len() < ENOUGH
                && until.map_or(tally.packets < PACKETS / WORLDS, |until| {
                    Instant::now() < until
                })
        };
        while goes_on(&tally) {
            let batch = Batch::new(&mut random);
            let difference = batch.differences(world, tally.packets, &mut tally.met);
            tally.differences.extend(difference);
            tally.packets += batch.len();
        }
        tally
    })
}

#[test]
fn the_program_does_what_the_model_says_of_every_frame() {
    if !kernel::is_5_15() {
        kernel::skipped(
            "this kernel lets nobody choose a test frame's ingress interface (5.15 does)",
        );
        return;
    }
    let seed = number("LB_FUZZ_SEED").unwrap_or(SEED);
    let start = Instant::now();
    let until = number("LB_FUZZ_SECONDS").map(|seconds| start + Duration::from_secs(seconds));
    kernel::say(&format!("fuzz_seed: {seed}"));
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let worlds: Vec<_> = (0..WORLDS)
            .map(|index| scope.spawn(move || explore(index, seed, until)))
            .collect();
        let join = |world: thread::ScopedJoinHandle<'_, Tally>| world.join().expect("a world");
        worlds.into_iter().map(join).collect()
    });
    let packets: u64 = tallies.iter().map(|tally| tally.packets).sum();
    let differences: Vec<(usize, &Difference)> = tallies
        .iter()
        .enumerate()
        .flat_map(|(world, tally)| tally.differences.iter().map(move |it| (world, it)))
        .collect();
    kernel::say(&format!("fuzz_packets: {packets}"));
    kernel::say(&format!("fuzz_differences: {}", differences.len()));
    kernel::say(&format!(
        "{packets} packets in {:.1} s",
        start.elapsed().as_secs_f64()
    ));
    let mut met = BTreeMap::<Outcome, u64>::new();
    for (outcome, count) in tallies.iter().flat_map(|tally| &tally.met) {
        *met.entry(*outcome).or_default() += count;
    }
    let counts: Vec<String> = met
        .iter()
        .map(|(it, count)| format!("{it:?} {count}"))
        .collect();
    kernel::say(&format!("outcomes: {}", counts.join(", ")));
    let told: Vec<String> = differences
        .iter()
        .map(|(world, it)| format!("seed {seed}, world {world}, {it}"))
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n\n"));
    if until.is_none() {
        let unmet: Vec<&Outcome> = Outcome::ALL
            .iter()
            .filter(|outcome| !UNREACHABLE.contains(outcome) && !met.contains_key(outcome))
            .collect();
        assert!(unmet.is_empty(), "no frame came to {unmet:?}");
    }
}
