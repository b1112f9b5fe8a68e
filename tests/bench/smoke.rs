//! Rows of `bench packet` run, and their packets are what the mode promises: nothing is said of how long they take.

use lb_tests::{
    cost::{self, Effort, Scenario},
    kernel,
};

const LITTLE: Effort = Effort {
    runs: 2,
    packets: 1_000,
};

fn runs(name: &str) {
    if !kernel::is_5_15() {
        kernel::skipped(
            "this kernel lets nobody choose a test frame's ingress interface (5.15 does)",
        );
        return;
    }
    let row = Scenario::all().into_iter().find(|row| row.name() == name);
    let cost = cost::measure(row.expect("a row of this name"), LITTLE);
    assert_eq!(cost.name, name);
    assert!(cost.ns_min > 0.0 && cost.floor_ns_median > 0.0, "{cost:?}");
    assert!(cost.ns_min <= cost.ns_median, "{cost:?}");
    assert!(cost.new_flows.abs() < f64::EPSILON, "{cost:?}");
}

#[test]
fn a_row_of_tunnels_is_measured() {
    runs("v4/tcp-data/ipip/1/1/always");
}

#[test]
fn a_row_of_many_flows_to_many_services_is_measured() {
    runs("v6/tcp-data/ipip/64k/16/on-demand");
}
