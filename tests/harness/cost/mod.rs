//! What one packet costs the program, beside what it costs any program.
//!
//! `BPF_PROG_TEST_RUN` times many packets in one system call, but gives the program its own output when it repeats. So it
//! runs a wrapper (`lb-bench-ebpf`) that makes each packet the first and calls the program under test. A floor, which
//! does no more than it must, is called in its place in turn: many short runs of both, on one CPU, by which whatever else
//! the machine does meets both alike. What is compared are the two, never figures of two runs.
//!
//! | file | what it owns |
//! |---|---|
//! | `scenario` | what a row measures, and all rows |
//! | `world` | the loaded program with a row's services and backends, and the row's packet |
//! | `wrapper` | the wrapper with the program that it calls |
//! | `promise` | what must come out |
//! | `generator` | the same packets as live frames through real devices, and the least of programs on these |
//! | `statistics` | median, tenths |

mod generator;
mod promise;
mod scenario;
mod statistics;
mod world;
mod wrapper;

use lb_bench_ebpf::names::{self, Forms};
use serde::Serialize;

pub use generator::{Floor, Generator, put};
pub use scenario::{Family, Kind, Mode, Scenario, Tracking};
pub use statistics::Spread;
use world::World;
use wrapper::{Variety, Wrapper};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Runs of each of the two; of a fourth as many where a run is long.
    pub runs: u32,
    /// Packets of a run, at least; as many as there are flows if these are more, so that each run sees all of them, but
    /// no more than a million.
    pub packets: u32,
}

impl Effort {
    /// For figures that are quoted.
    pub const FULL: Self = Self {
        runs: 120,
        packets: 50_000,
    };
    /// For a first look.
    pub const QUICK: Self = Self {
        runs: 20,
        packets: 20_000,
    };

    /// Packets of a run, and runs.
    fn of(self, flows: u32) -> (u32, u32) {
        /// From so many packets on a run is long.
        const LONG: u32 = 1 << 20;
        // Of a flood, any part is like any other; but in a short one, memory is as cold as what ran before has left it.
        let packets = self.packets.max(flows.min(LONG));
        let runs = if packets < LONG {
            self.runs
        } else {
            self.runs.div_ceil(4)
        };
        (packets, runs)
    }
}

/// What a packet costs. Nanoseconds, with the wrapper.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// [`Scenario::name`].
    pub name: String,
    /// The least of the program's runs.
    pub ns_min: f64,
    /// See [`Spread`].
    pub ns_p10: f64,
    /// See [`Spread`].
    pub ns_median: f64,
    /// See [`Spread`].
    pub ns_p90: f64,
    /// The median of the floor's runs.
    pub floor_ns_median: f64,
    /// The first median by the second.
    pub ratio: f64,
    /// The least of the floor's runs.
    pub floor_ns_min: f64,
    /// Flows newly remembered, by packet.
    pub new_flows: f64,
}

impl Cost {
    fn new(name: String, program: &[f64], floor: &[f64]) -> Self {
        let (program, floor) = (Spread::of(program), Spread::of(floor));
        Self {
            name,
            ns_min: program.min,
            ns_p10: program.p10,
            ns_median: program.median,
            ns_p90: program.p90,
            floor_ns_median: floor.median,
            ratio: program.median / floor.median,
            floor_ns_min: floor.min,
            new_flows: 0.0,
        }
    }
}

/// More flows than are remembered.
const FILLING: u32 = 1 << 21;

/// Measures one row, on the CPU that the calling thread is bound to.
///
/// # Panics
/// If the program does not do what the row's mode promises: with the first packet, the third, or in the count of all.
#[must_use]
pub fn measure(scenario: Scenario, effort: Effort) -> Cost {
    World::enter(scenario, |world| {
        assert_first_is_like_third(world);
        let (packets, runs) = effort.of(scenario.flows);
        let mut wrapper = wrapper(world, scenario.flows, scenario.services);
        // All flows twice: from then on they are known. Of a flood, more than are remembered: from then on each takes
        // the place of another.
        wrapper.call(world.object.program());
        let warm_up = if scenario.is_flood() {
            [FILLING, 1]
        } else {
            [packets; 2]
        };
        for packets in warm_up {
            let _ = wrapper.run(packets);
        }
        let (ledger, flows) = (world.ledger(), world.new_flows());
        let program = |wrapper: &mut Wrapper| wrapper.call(world.object.program());
        let floor = |wrapper: &mut Wrapper| wrapper.call_floor(scenario.floor());
        let [program, floor] = in_turn(&mut wrapper, [&program, &floor], packets, runs);
        let sent = u64::from(packets) * u64::from(runs);
        assert_counted(world, &ledger, sent);
        let mut cost = Cost::new(scenario.name(), &program, &floor);
        cost.new_flows = share(world.new_flows() - flows, sent);
        cost
    })
}

/// Measures the floors, beside the least that a program can do: nothing.
#[must_use]
pub fn floors(effort: Effort) -> Vec<Cost> {
    let row = Scenario::all().first().copied();
    let row = row.expect("at least one row");
    World::enter(row, |world| {
        let (packets, runs) = effort.of(1);
        let mut wrapper = wrapper(world, 1, 1);
        let all: [(&str, Forms); 7] = [
            ("pass", names::PASS),
            ("tx", names::TX),
            ("swap", names::SWAP),
            ("grow-20", names::GROW_20),
            ("grow-28", names::GROW_28),
            ("grow-40", names::GROW_40),
            ("grow-48", names::GROW_48),
        ];
        let bare = |wrapper: &mut Wrapper| wrapper.call_floor(names::TX);
        all.into_iter()
            .map(|(name, forms)| {
                let floor = |wrapper: &mut Wrapper| wrapper.call_floor(forms);
                let [floor, bare] = in_turn(&mut wrapper, [&floor, &bare], packets, runs);
                Cost::new(format!("floor/{name}"), &floor, &bare)
            })
            .collect()
    })
}

fn wrapper(world: &World, flows: u32, services: u32) -> Wrapper {
    let variety = Variety {
        family: world.scenario.family,
        flows,
        services,
    };
    Wrapper::load(world.form, &world.packet.frame(), variety, world.ingress)
}

/// What each run of two programs took by packet. Which of the two comes first changes with each pair.
fn in_turn(
    wrapper: &mut Wrapper,
    programs: [&dyn Fn(&mut Wrapper); 2],
    packets: u32,
    runs: u32,
) -> [Vec<f64>; 2] {
    let mut taken = [Vec::new(), Vec::new()];
    for pair in 0..runs {
        let mut both: Vec<_> = programs.iter().zip(&mut taken).collect();
        if pair % 2 == 1 {
            both.reverse();
        }
        for (call, taken) in both {
            call(wrapper);
            taken.push(f64::from(wrapper.run(packets).each.subsec_nanos()));
        }
    }
    taken
}

/// Sees that the wrapper hides from the program what it has done before, and that it does what it must.
fn assert_first_is_like_third(world: &World) {
    let mut wrapper = wrapper(world, 1, 1);
    wrapper.call(world.object.program());
    let [first, third] = [1, 3].map(|packets| wrapper.run(packets));
    let name = world.scenario.name();
    assert!(
        (first.action, &first.frame) == (third.action, &third.frame),
        "{name}: the third packet is not treated as the first was"
    );
    promise::assert_kept(world, &first);
}

/// Sees that all packets since `before` had the row's outcome.
fn assert_counted(world: &World, before: &[u64], sent: u64) {
    let counted: Vec<(usize, u64)> = before
        .iter()
        .zip(world.ledger())
        .map(|(before, after)| after - before)
        .enumerate()
        .filter(|(_, more)| *more > 0)
        .collect();
    let expected = world.scenario.outcome() as usize;
    let name = world.scenario.name();
    assert_eq!(counted, [(expected, sent)], "{name}: (cell, packets)");
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of packets are far below 2^52"
)]
fn share(part: u64, of: u64) -> f64 {
    part as f64 / of as f64
}
