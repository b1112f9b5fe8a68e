//! Running the program on one frame, and telling what became of it.

use std::time::Duration;

use aya::{
    Ebpf, TestRun, TestRunOptions,
    maps::{MapData, PerCpuArray},
    programs::Xdp,
};
use lb_common::{
    backend::BackendId,
    interface::Interface,
    names,
    outcome::{LEDGER_CELLS, Outcome},
    traffic::Traffic,
};

use super::{Object, load_program};
use crate::packet::hex_dump;

/// What an XDP program answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The program failed.
    Aborted,
    /// The frame is gone.
    Drop,
    /// To this host's own stack.
    Pass,
    /// Out of the interface it came in by.
    Transmit,
    /// Out of another interface.
    Redirect,
}

/// What became of one frame.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The program's answer.
    pub action: Action,
    /// The frame as the program left it.
    pub frame: Vec<u8>,
    /// The cell of the ledger that was incremented.
    pub outcome: Outcome,
    /// The backend whose packet counter was incremented.
    pub backend: Option<BackendId>,
    /// Whether it was counted as one that begins a flow.
    pub begins: bool,
}

impl Object {
    /// Gives `frame` to the program as if received on the interface with index `ingress`, which must
    /// stand in the calling thread's namespace.
    ///
    /// # Panics
    /// If not exactly one cell of the ledger is incremented by one, or the traffic counters disagree.
    pub fn run(&mut self, frame: &[u8], ingress: u32) -> Ran {
        self.run_program(self.program, frame, ingress)
    }

    /// Gives `frame` to the program for probes, likewise.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_probe(&mut self, frame: &[u8], ingress: u32) -> Ran {
        let (program, is_loaded) = self.probe;
        if !is_loaded {
            load_program(&mut self.ebpf, program);
            self.probe = (program, true);
        }
        self.run_program(program, frame, ingress)
    }

    fn run_program(&self, program: &str, frame: &[u8], ingress: u32) -> Ran {
        let ledger = self.ledger();
        let traffic = self.traffic();
        let (action, out) = test_run(&self.ebpf, program, frame, ingress);
        let outcome = single_outcome(&ledger, &self.ledger(), frame);
        let mut ran = Ran {
            action,
            frame: out,
            outcome,
            backend: None,
            begins: false,
        };
        for (id, (before, after)) in (0..).zip(traffic.iter().zip(self.traffic())) {
            if *before == after {
                continue;
            }
            assert_eq!(
                (after.packets - before.packets, ran.backend),
                (1, None),
                "one packet is counted once, for one backend"
            );
            assert_eq!(
                after.bytes - before.bytes,
                frame.len() as u64,
                "bytes are counted as received"
            );
            ran.backend = Some(BackendId(id));
            ran.begins = after.flows > before.flows;
        }
        ran
    }

    /// The program's answer alone, as for [`run`](Self::run); what it leaves of the frame goes to `out`.
    /// Counters are the caller's to compare: reading them takes a hundred times as long.
    pub fn answer(&self, frame: &[u8], ingress: u32, out: &mut Vec<u8>) -> Action {
        answer(&self.ebpf, self.program, frame, ingress, out)
    }

    /// Every cell of the ledger of interfaces that have none of their own, all CPUs summed.
    #[must_use]
    pub fn ledger(&self) -> Vec<u64> {
        self.ledger_of(Interface::OTHER)
    }

    /// The same of the ledger with this number.
    #[must_use]
    pub fn ledger_of(&self, ledger: u32) -> Vec<u64> {
        let cells: PerCpuArray<&MapData, u64> = self.read(names::LEDGER);
        let cell = |outcome| {
            let values = cells.get(&(ledger * LEDGER_CELLS + outcome), 0);
            values.expect("a cell of the ledger").iter().sum()
        };
        (0..LEDGER_CELLS).map(cell).collect()
    }

    /// Every backend's counters, all CPUs summed.
    #[must_use]
    pub fn traffic(&self) -> Vec<Traffic> {
        let map: PerCpuArray<&MapData, Traffic> = self.read(names::TRAFFIC);
        let counters = |index| {
            let values = map.get(&index, 0).expect("a backend's counters");
            values
                .iter()
                .fold(Traffic::default(), |sum, value| Traffic {
                    packets: sum.packets + value.packets,
                    bytes: sum.bytes + value.bytes,
                    flows: sum.flows + value.flows,
                })
        };
        (0..self.sizes.backends).map(counters).collect()
    }
}

/// Gives `frame` to a program: its answer, and the frame as it left it.
pub(super) fn test_run(ebpf: &Ebpf, name: &str, frame: &[u8], ingress: u32) -> (Action, Vec<u8>) {
    let mut out = Vec::new();
    let action = answer(ebpf, name, frame, ingress, &mut out);
    (action, out)
}

fn answer(ebpf: &Ebpf, name: &str, frame: &[u8], ingress: u32, out: &mut Vec<u8>) -> Action {
    let (action, _) = repeat(ebpf, name, frame, ingress, 1, out);
    action
}

/// Gives `frame` to a program so many times, each time as the program has left it the time before: the last answer,
/// the frame as it is then in `out`, and the mean time of one answer, in whole nanoseconds.
pub(crate) fn repeat(
    ebpf: &Ebpf,
    name: &str,
    frame: &[u8],
    ingress: u32,
    times: u32,
    out: &mut Vec<u8>,
) -> (Action, Duration) {
    let program: &Xdp = ebpf
        .program(name)
        .and_then(|program| program.try_into().ok())
        .unwrap_or_else(|| panic!("an XDP program named {name}"));
    let length = u32::try_from(frame.len()).expect("a frame that fits");
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let context = native_bytes([0, length, 0, ingress, 0, 0]);
    out.clear();
    out.resize(frame.len() + 256, 0);
    let result = program.test_run(TestRunOptions {
        data_in: Some(frame),
        data_out: Some(out),
        ctx_in: Some(&context),
        repeat: times,
        ..TestRunOptions::new()
    });
    let result = result
        .unwrap_or_else(|error| panic!("running the program on\n{}\n{error:?}", hex_dump(frame)));
    out.truncate(result.data_size_out as usize);
    let action = match result.return_value {
        0 => Action::Aborted,
        1 => Action::Drop,
        2 => Action::Pass,
        3 => Action::Transmit,
        4 => Action::Redirect,
        other => panic!("the program answered {other}"),
    };
    (action, result.duration)
}

fn single_outcome(before: &[u64], after: &[u64], frame: &[u8]) -> Outcome {
    let incremented: Vec<(usize, u64)> = before
        .iter()
        .zip(after)
        .map(|(before, after)| after - before)
        .enumerate()
        .filter(|(_, more)| *more > 0)
        .collect();
    let [(cell, 1)] = incremented.as_slice() else {
        panic!(
            "one packet must increment one cell of the ledger by one, but these were (cell, by): {incremented:?}, for\n{}",
            hex_dump(frame)
        );
    };
    let known = Outcome::ALL
        .iter()
        .find(|outcome| **outcome as usize == *cell);
    *known.unwrap_or_else(|| panic!("cell {cell} of the ledger belongs to no outcome"))
}

/// In this machine's order, as the kernel reads its structs.
fn native_bytes(words: [u32; 6]) -> Vec<u8> {
    words.into_iter().flat_map(u32::to_ne_bytes).collect()
}
