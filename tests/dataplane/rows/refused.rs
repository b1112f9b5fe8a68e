//! Packets to a service that cannot be forwarded.

use lb_common::outcome::Outcome;

use crate::{
    family::{Family, tcp, udp},
    member::{
        PORT_BEYOND, PORT_EMPTY, PORT_NO_DEVICE, PORT_STALE, PORT_STRANGE_MODE, PORT_WRONG_FAMILY,
    },
    row::{Row, row},
};

const CASES: [(&str, u16, Outcome); 6] = [
    ("no live backend", PORT_EMPTY, Outcome::NoBackend),
    (
        "the table names a backend that is gone",
        PORT_STALE,
        Outcome::StaleTable,
    ),
    (
        "the table names a backend beyond the map",
        PORT_BEYOND,
        Outcome::StaleTable,
    ),
    (
        "a mode that the program does not know",
        PORT_STRANGE_MODE,
        Outcome::UnsupportedMode,
    ),
    (
        "nat to the other ip version",
        PORT_WRONG_FAMILY,
        Outcome::UnsupportedMode,
    ),
    (
        "an egress that is not allowed",
        PORT_NO_DEVICE,
        Outcome::NoDevice,
    ),
];

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        for (name, port, outcome) in CASES {
            // What was dropped is not remembered: a service that recovers is not held to it.
            rows.extend([
                row(format!("{family:?}: {name}, tcp"))
                    .drops(&tcp(family, port), outcome)
                    .remembers(0, 0),
                row(format!("{family:?}: {name}, udp"))
                    .drops(&udp(family, port), outcome)
                    .remembers(0, 0),
            ]);
        }
    }
    rows
}
