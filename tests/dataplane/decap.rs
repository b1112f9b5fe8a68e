//! What each kind of tunnelled packet gets from the program that strips tunnels: frame in, outcome and frame
//! out.

mod refused;
mod stripped;
mod truncated;
mod tunnel;

use std::collections::BTreeSet;

use lb_common::{
    decap::{DecapOutcome, DecapSettings},
    outcome::Kind,
};
use lb_tests::{
    kernel,
    object::{Action, Decap, Form},
    packet::{Seen, checksum_faults, hex_dump},
};

use crate::family::Family;
use tunnel::{BALANCERS, host};

/// One frame, and what must become of it.
struct Case {
    name: String,
    frame: Vec<u8>,
    outcome: DecapOutcome,
    /// The frame afterwards; `None`: untouched if it is passed, whatever if it is dropped.
    out: Option<Vec<u8>>,
}

impl Case {
    fn new(name: impl Into<String>, frame: Vec<u8>, outcome: DecapOutcome) -> Self {
        Self {
            name: name.into(),
            frame,
            outcome,
            out: None,
        }
    }

    fn failure(&self, program: &mut Decap) -> Option<String> {
        let ran = program.run(&self.frame);
        let action = match self.outcome.kind() {
            Kind::Pass => Action::Pass,
            Kind::Drop | Kind::Forward => Action::Drop,
        };
        let mut faults = Vec::new();
        if (ran.outcome, ran.action) != (self.outcome, action) {
            faults.push(format!(
                "became {:?} by {:?}, expected {:?} by {action:?}",
                ran.outcome, ran.action, self.outcome
            ));
        }
        let wanted = self.out.as_ref().unwrap_or(&self.frame);
        if action == Action::Pass && ran.frame != *wanted {
            faults.push(format!(
                "expected out: {}\n{}",
                Seen::read(wanted),
                hex_dump(wanted)
            ));
        }
        if self.out.is_some() {
            faults.extend(checksum_faults(&ran.frame));
        }
        (!faults.is_empty()).then(|| {
            format!(
                "`{}`: {}\n  in: {}\n{}\n  out: {}\n{}",
                self.name,
                faults.join("\n  "),
                Seen::read(&self.frame),
                hex_dump(&self.frame),
                Seen::read(&ran.frame),
                hex_dump(&ran.frame)
            )
        })
    }
}

const SETTINGS: DecapSettings = DecapSettings {
    gue_port: 6_080,
    any_destination: 0,
};

fn program(settings: DecapSettings, form: Form) -> Decap {
    let mut program = Decap::load(settings, form);
    for prefix in BALANCERS {
        program.allow_source(prefix);
    }
    for family in Family::BOTH {
        program.add_destination(host(family));
        let whole = if family == Family::V4 { 32 } else { 128 };
        program.add_vip((family.vip(), whole));
        program.add_vip(family.prefix());
    }
    program
}

fn check_with(settings: DecapSettings, cases: &[Case]) {
    if !kernel::is_5_15() {
        kernel::skipped("this kernel takes no context for test runs (5.15 does)");
        return;
    }
    for form in Form::all() {
        let mut program = program(settings, *form);
        let failures: Vec<String> = cases
            .iter()
            .filter_map(|case| case.failure(&mut program))
            .collect();
        assert!(
            failures.is_empty(),
            "{} of {} rows failed with the program {form:?}:\n\n{}",
            failures.len(),
            cases.len(),
            failures.join("\n\n")
        );
    }
}

fn check(cases: &[Case]) {
    check_with(SETTINGS, cases);
}

#[test]
fn tunnels_are_taken_off_in_every_combination() {
    check(&stripped::combinations());
}

#[test]
fn vlan_tags_stay_before_what_was_inside() {
    check(&stripped::tagged());
}

#[test]
fn outer_options_and_inner_headers_are_honoured() {
    check(&stripped::headers());
}

#[test]
fn what_may_not_be_stripped_is_passed_untouched() {
    check(&refused::untouched());
}

#[test]
fn contradictions_from_a_balancer_are_dropped() {
    check(&refused::malformed());
}

#[test]
fn truncated_tunnels_are_never_trusted() {
    check(&truncated::cases());
}

#[test]
fn port_and_destination_follow_the_settings() {
    check_with(
        DecapSettings {
            gue_port: 5_555,
            any_destination: 1,
        },
        &refused::other_settings(),
    );
}

#[test]
fn tunnel_rows_cover_every_outcome() {
    let parts = [
        stripped::combinations(),
        stripped::tagged(),
        stripped::headers(),
        refused::untouched(),
        refused::malformed(),
        refused::other_settings(),
    ];
    let rows: Vec<Case> = parts.into_iter().flatten().collect();
    kernel::say(&format!("decap_rows: {}", rows.len()));
    kernel::say(&format!("decap_cuts: {}", truncated::cases().len()));
    let covered: BTreeSet<DecapOutcome> = rows.iter().map(|row| row.outcome).collect();
    assert_eq!(covered, DecapOutcome::ALL.iter().copied().collect());
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), rows.len(), "every row has its own name");
}
