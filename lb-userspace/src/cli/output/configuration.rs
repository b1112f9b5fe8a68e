//! What a configuration would do, and those that were applied.

use std::{
    fmt::Display,
    time::{Duration, UNIX_EPOCH},
};

use super::{Text, View, age, line, table::Columns};
use crate::control::protocol::{Diff, History, HistoryEntry, Planned, ServiceImpact};

pub(super) fn diff(diff: &Diff) -> String {
    let mut text = String::new();
    for difference in &diff.differences {
        line(&mut text, format_args!("{difference}"));
    }
    text
}

pub(super) fn planned(planned: &Planned) -> Text {
    let mut text = String::new();
    if !planned.changes {
        text.push_str("nothing to do\n");
    }
    for difference in &planned.differences {
        line(&mut text, format_args!("{difference}"));
    }
    if !planned.steps.is_empty() {
        line(&mut text, format_args!("\nsteps:"));
    }
    for (number, step) in (1..).zip(&planned.steps) {
        line(&mut text, format_args!("{number:4}. {step}"));
    }
    if !planned.services.is_empty() {
        text = text + "\n" + &impacts(&planned.services);
    }
    if planned.changes {
        let (moved, flows) = (planned.moved_flows, planned.flows);
        line(
            &mut text,
            format_args!("\n{moved} of {flows} remembered flows would move"),
        );
    }
    let over = planned.over_budget.iter();
    Text {
        answer: text,
        remarks: over.map(|it| format!("over budget: {it}")).collect(),
    }
}

fn impacts(services: &[ServiceImpact]) -> String {
    let mut table = Columns::new(&[
        "SERVICE",
        "SLOTS",
        "MOVED SLOTS",
        "FLOWS",
        "MOVED FLOWS",
        "COME AND GO",
    ]);
    for service in services {
        let added = service.added.iter().map(|backend| format!("+{backend}"));
        let removed = service.removed.iter().map(|backend| format!("-{backend}"));
        let backends: Vec<String> = added.chain(removed).collect();
        let share = 100.0 * f64::from(service.moved_slots) / f64::from(service.slots.max(1));
        table.row([
            &service.name as &dyn Display,
            &service.slots,
            &format!("{} ({share:.1} %)", service.moved_slots),
            &service.flows,
            &service.moved_flows,
            &backends.join(" "),
        ]);
    }
    table.text()
}

pub(super) fn history(history: &History, view: View) -> Text {
    let mut text = String::new();
    for entry in &history.entries {
        text.push_str(&entry_lines(entry, view));
    }
    let changed =
        "single changes have been made since: lbctl config diff --number NUMBER shows them";
    Text {
        answer: text,
        remarks: history
            .changed_since
            .then(|| changed.to_owned())
            .into_iter()
            .collect(),
    }
}

/// So many differences of one configuration are shown; `--json` has all of them.
const MAX_DIFFERENCES: usize = 10;

fn entry_lines(entry: &HistoryEntry, view: View) -> String {
    let mut text = String::new();
    let at = UNIX_EPOCH + Duration::from_millis(entry.at_ms);
    let ago = age(view.now.duration_since(at).unwrap_or_default());
    let of = entry.of.map_or_else(String::new, |of| format!(" to {of}"));
    let by = entry
        .uid
        .map_or_else(String::new, |uid| format!(" by uid {uid}"));
    let HistoryEntry {
        number,
        origin,
        generation,
        ..
    } = entry;
    line(
        &mut text,
        format_args!("{number}: {origin}{of}{by}, {ago} ago, generation {generation}"),
    );
    for difference in entry.differences.iter().take(MAX_DIFFERENCES) {
        line(&mut text, format_args!("    {difference}"));
    }
    let more = entry.differences.len().saturating_sub(MAX_DIFFERENCES);
    if more > 0 {
        line(&mut text, format_args!("    and {more} more"));
    }
    text
}
