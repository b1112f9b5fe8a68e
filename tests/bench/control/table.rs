//! Lookup tables: how long they take to build, to pin after a failure, and how long a call takes that has one
//! published.

use anyhow::Result;
use lb_tests::control::Control;
use lb_userspace::maglev::{Base, Member};
use serde::Serialize;
use serde_json::{Value, json};

use crate::fleet::{self, backend_address, percentile, timed};

const BACKENDS: [u32; 4] = [10, 100, 1_000, 10_000];
const SLOTS: [u32; 3] = [16_381, 65_537, 655_373];

/// One size.
#[derive(Serialize)]
pub(crate) struct Row {
    backends: u32,
    slots: u32,
    /// The base, from nothing; the median.
    build_ms: f64,
    /// From the base to the table without one of the backends; the median.
    pin_ms: f64,
    /// A call that takes a backend out of the table or back, from sending to the answer: the change is checked,
    /// saved, planned and in the kernel.
    change_p50_ms: f64,
    change_p99_ms: f64,
}

/// Measures all sizes.
pub(crate) fn measure(quick: bool) -> Result<Vec<Row>> {
    let (_namespace, instance) = fleet::place()?;
    let daemon = instance.start();
    let mut control = daemon.control();
    let (builds, changes) = if quick { (3, 20) } else { (15, 100) };
    println!(
        "{:>8} {:>7} {:>9} {:>9} {:>14} {:>14}",
        "backends", "slots", "build ms", "pin ms", "change p50 ms", "change p99 ms"
    );
    let mut rows = Vec::new();
    for backends in BACKENDS {
        for slots in SLOTS {
            let (mut build, mut pin) = build(backends, slots, builds);
            let mut change = change(&mut control, backends, slots, changes);
            let row = Row {
                backends,
                slots,
                build_ms: percentile(&mut build, 50),
                pin_ms: percentile(&mut pin, 50),
                change_p50_ms: percentile(&mut change, 50),
                change_p99_ms: percentile(&mut change, 99),
            };
            println!(
                "{:>8} {:>7} {:>9.3} {:>9.3} {:>14.3} {:>14.3}",
                backends, slots, row.build_ms, row.pin_ms, row.change_p50_ms, row.change_p99_ms
            );
            rows.push(row);
        }
    }
    Ok(rows)
}

/// What each build took, and each pinned table after it.
fn build(backends: u32, slots: u32, times: u32) -> (Vec<f64>, Vec<f64>) {
    let member = |number| Member {
        name: backend_address(number),
        weight: 1,
    };
    let members: Vec<Member> = (0..backends).map(member).collect();
    let mut weights = vec![1; members.len()];
    if let Some(weight) = weights.first_mut() {
        *weight = 0;
    }
    let both = (0..times).map(|_| {
        let (base, build) = timed(|| Base::of(&members, slots));
        let (_, pin) = timed(|| base.pinned(&weights));
        (build, pin)
    });
    both.unzip()
}

/// What each call took that disables one of so many backends, and each that enables it again.
fn change(control: &mut Control, backends: u32, slots: u32, times: u32) -> Vec<f64> {
    let backend = |number| json!({"address": backend_address(number)});
    let all: Vec<Value> = (0..backends).map(backend).collect();
    let service = json!({
        "name": "web", "vips": ["10.64.0.1:80/tcp"], "mode": "local", "table_slots": slots, "backend": all,
    });
    control.must("service.add", &service);
    let taken = (0..times).map(|number| {
        // Backend after backend out, and in again.
        let address = backend_address(number / 2 % backends);
        let method = if number % 2 == 0 {
            "backend.disable"
        } else {
            "backend.enable"
        };
        let call = json!({"service": "web", "address": address});
        timed(|| control.must(method, &call)).1
    });
    let taken = taken.collect();
    control.must("service.remove", &json!({"name": "web", "force": true}));
    taken
}
