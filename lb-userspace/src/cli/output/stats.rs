//! What was counted.

use std::fmt::Display;

use super::{View, table::Columns};
use crate::control::protocol::{ProbeCounts, Stats, TrafficCounts};

pub(super) fn text(stats: &Stats, view: View) -> String {
    let mut outcomes = Columns::new(&["OUTCOME", "PACKETS"]);
    for (outcome, packets) in &stats.ledger {
        if view.all_outcomes || *packets > 0 {
            outcomes.row([outcome as &dyn Display, packets]);
        }
    }
    outcomes.row([&"all" as &dyn Display, &stats.packets]);
    let mut interfaces = Columns::new(&["INTERFACE", "OUTCOME", "PACKETS"]);
    let named = stats.interfaces.iter();
    let named = named.map(|interface| (interface.name.as_str(), &interface.counted));
    let other = stats.other.iter().map(|counted| ("(other)", counted));
    for (name, counted) in named.chain(other) {
        for (outcome, packets) in &counted.ledger {
            interfaces.row([&name as &dyn Display, outcome, packets]);
        }
        interfaces.row([&name as &dyn Display, &"all", &counted.packets]);
    }
    let mut traffic = Columns::new(&["SERVICE", "BACKEND", "PACKETS", "BYTES", "FLOWS"]);
    let mut row = |service: &str, backend: &str, counts: &TrafficCounts| {
        let TrafficCounts {
            packets,
            bytes,
            flows,
        } = counts;
        traffic.row([&service as &dyn Display, &backend, packets, bytes, flows]);
    };
    for service in &stats.services {
        for backend in &service.backends {
            row(&service.name, &backend.address, &backend.counts);
        }
        row(&service.name, "all", &service.total);
    }
    let mut text = format!("generation {}\n\n{}", stats.generation, outcomes.text());
    if !stats.interfaces.is_empty() {
        text = text + "\n" + &interfaces.text();
    }
    if !stats.services.is_empty() {
        text = text + "\n" + &traffic.text();
    }
    if stats.probes != ProbeCounts::default() {
        text = text + "\n" + &probes(&stats.probes);
    }
    text
}

fn probes(counts: &ProbeCounts) -> String {
    let ProbeCounts {
        made,
        failed,
        impossible,
        ..
    } = counts;
    let milliseconds = |us: u64| format!("{}.{} ms", us / 1_000, us % 1_000 / 100);
    let (half, most) = (
        milliseconds(counts.late_p50_us),
        milliseconds(counts.late_p99_us),
    );
    let latest = milliseconds(counts.late_max_us);
    let could_not = if *impossible > 0 {
        format!(", {impossible} that this host could not make (see its log)")
    } else {
        String::new()
    };
    format!(
        "{made} probes, of which {failed} failed{could_not}; later than due: half up to {half}, 99 % up to {most}, at most {latest}\n"
    )
}
