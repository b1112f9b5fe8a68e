//! What is kept and what is forgotten when targets and probes change.

use std::time::{Duration, Instant, UNIX_EPOCH};

use super::*;
use crate::model::{ProbeKind, Scope};

fn target(port: u16) -> Target {
    Target {
        service: "web".parse().expect("a valid name"),
        address: ([10, 0, 0, 1], port).into(),
    }
}

fn probe() -> Probe {
    Probe::new(ProbeKind::Tcp)
}

fn book(targets: &[(u16, Probe)], adopted: &[u16]) -> Book {
    let mut book = Book::default();
    set(&mut book, targets, adopted);
    book
}

fn set(book: &mut Book, targets: &[(u16, Probe)], adopted: &[u16]) {
    let targets = targets
        .iter()
        .map(|(port, probe)| (target(*port), probe.clone()))
        .collect();
    book.set_targets(
        &Scope::All,
        &targets,
        &adopted.iter().copied().map(target).collect(),
    );
}

fn observe(book: &mut Book, port: u16, success: bool) -> Option<Transition> {
    book.observe(&Observation {
        target: target(port),
        attempt: if success {
            Ok(Duration::ZERO)
        } else {
            Err("connection refused".to_owned())
        },
        at: UNIX_EPOCH,
        over: Instant::now(),
    })
}

#[test]
fn backends_without_a_probe_are_up() {
    assert_eq!(Book::default().health(&target(1)), Health::Up);
    assert!(Book::default().entry(&target(1)).is_none());
}

#[test]
fn new_targets_are_unknown_and_adopted_ones_up() {
    let book = book(&[(1, probe()), (2, probe())], &[2]);
    assert_eq!(book.health(&target(1)), Health::Unknown);
    assert_eq!(book.health(&target(2)), Health::Up);
    assert_eq!(
        book.entry(&target(2)).unwrap().reason(),
        "adopted from the running data plane"
    );
}

#[test]
fn targets_do_not_share_results() {
    let mut book = book(&[(1, probe()), (2, probe())], &[]);
    assert_eq!(observe(&mut book, 1, true), None);
    assert_eq!(observe(&mut book, 2, true), None);
    let transition = observe(&mut book, 1, true).unwrap();
    assert_eq!(transition.to, Health::Up);
    assert_eq!(book.health(&target(2)), Health::Unknown);
}

#[test]
fn results_of_targets_that_are_gone_are_ignored() {
    let mut book = book(&[(1, probe())], &[]);
    set(&mut book, &[], &[]);
    assert_eq!(observe(&mut book, 1, true), None);
    assert!(book.entry(&target(1)).is_none());
}

#[test]
fn a_target_that_left_and_came_back_starts_anew() {
    let mut book = book(&[(1, probe())], &[1]);
    set(&mut book, &[], &[]);
    set(&mut book, &[(1, probe())], &[]);
    assert_eq!(book.health(&target(1)), Health::Unknown);
}

#[test]
fn another_rhythm_keeps_the_conclusion_and_the_results() {
    let mut book = book(&[(1, probe())], &[]);
    observe(&mut book, 1, true);
    let rhythm = Probe {
        interval: Duration::from_secs(9),
        timeout: Duration::from_secs(3),
        jitter_percent: 0,
        ..probe()
    };
    set(&mut book, &[(1, rhythm)], &[]);
    assert!(observe(&mut book, 1, true).is_some(), "second of 2");
}

#[test]
fn another_kind_of_probe_keeps_the_health_and_forgets_the_results() {
    let mut book = book(&[(1, probe())], &[1]);
    observe(&mut book, 1, false);
    observe(&mut book, 1, false);
    let elsewhere = Probe {
        port: Some(81),
        ..probe()
    };
    set(&mut book, &[(1, elsewhere)], &[]);
    assert_eq!(book.health(&target(1)), Health::Up);
    assert_eq!(observe(&mut book, 1, false), None, "first of 3");
    assert_eq!(observe(&mut book, 1, false), None, "second of 3");
    assert!(observe(&mut book, 1, false).is_some(), "third of 3");
}
