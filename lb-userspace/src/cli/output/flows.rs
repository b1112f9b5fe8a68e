//! What the flow tables remember.

use std::fmt::Display;

use super::{Text, table::Columns};
use crate::control::protocol::{FlowCounts, FlowRows};

pub(super) fn list(rows: &FlowRows) -> Text {
    let mut table = Columns::new(&["PROTOCOL", "SOURCE", "DESTINATION", "SERVICE", "BACKEND"]);
    for flow in &rows.flows {
        table.row([
            &flow.protocol as &dyn Display,
            &flow.source,
            &flow.destination,
            &flow.service,
            &flow.backend,
        ]);
    }
    let more = "there are more: see --limit, or lbctl flows count";
    Text {
        answer: table.text(),
        remarks: rows.more.then(|| more.to_owned()).into_iter().collect(),
    }
}

pub(super) fn count(counts: &FlowCounts) -> String {
    let mut table = Columns::new(&["SERVICE", "BACKEND", "FLOWS"]);
    for row in &counts.backends {
        table.row([&row.service as &dyn Display, &row.backend, &row.flows]);
    }
    table.row([&"all" as &dyn Display, &"", &counts.flows]);
    table.text()
}
