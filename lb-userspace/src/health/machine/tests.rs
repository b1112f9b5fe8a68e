//! Every row of the transition table, and what must hold for any row of results.

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::model::ProbeKind;

fn probe(rise: u32, fall: u32) -> Probe {
    Probe {
        rise,
        fall,
        ..Probe::new(ProbeKind::Tcp)
    }
}

fn attempt(success: bool) -> Attempt {
    if success {
        Ok(Duration::from_millis(1))
    } else {
        Err("connection refused".to_owned())
    }
}

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second)
}

/// Feeds `results` (`+` success, `-` failure), one a second from second 1.
fn run(machine: &mut Machine, results: &str) -> Vec<Option<Transition>> {
    results
        .chars()
        .zip(1..)
        .map(|(result, second)| machine.observe(&attempt(result == '+'), at(second)))
        .collect()
}

#[test]
fn every_row_of_the_transition_table() {
    use Health::{Down, Unknown, Up};
    // rise 2, fall 3
    for (initial, results, health, pending) in [
        (Unknown, "", Unknown, true),
        (Unknown, "+", Unknown, true),
        (Unknown, "++", Up, false),
        (Unknown, "-", Unknown, true),
        (Unknown, "--", Unknown, true),
        (Unknown, "---", Down, false),
        (Unknown, "+-+--", Unknown, true),
        (Up, "", Up, false),
        (Up, "+", Up, false),
        (Up, "++", Up, false),
        (Up, "-", Up, true),
        (Up, "--", Up, true),
        (Up, "--+", Up, false),
        (Up, "--+--", Up, true),
        (Up, "---", Down, false),
        (Down, "", Down, false),
        (Down, "-", Down, false),
        (Down, "----", Down, false),
        (Down, "+", Down, true),
        (Down, "+-", Down, false),
        (Down, "+-+", Down, true),
        (Down, "++", Up, false),
    ] {
        let mut machine = Machine::new(&probe(2, 3), initial);
        let transitions = run(&mut machine, results);
        let context = format!("{initial} then {results:?}");
        assert_eq!(machine.health(), health, "{context}");
        assert_eq!(machine.pending(), pending, "{context}");
        let last = transitions.last().copied().flatten();
        let expected = (initial != health).then_some(Transition {
            from: initial,
            to: health,
        });
        assert_eq!(last, expected, "{context}");
        let changes = transitions.iter().flatten().count();
        assert_eq!(changes, usize::from(initial != health), "{context}");
        let since = (initial != health).then(|| at(results.len() as u64));
        assert_eq!(machine.since(), since, "{context}");
    }
}

#[test]
fn with_rise_and_fall_one_each_result_is_trusted() {
    let mut machine = Machine::new(&probe(1, 1), Health::Unknown);
    let states: Vec<_> = "+-+"
        .chars()
        .map(|result| {
            machine.observe(&attempt(result == '+'), at(1));
            machine.health()
        })
        .collect();
    assert_eq!(states, [Health::Up, Health::Down, Health::Up]);
}

#[test]
fn reasons_say_in_words_what_was_seen() {
    let adopted = "adopted from the running data plane";
    for (initial, results, reason) in [
        (Health::Unknown, "", "not probed yet"),
        (Health::Unknown, "+", "1 of 2 probes succeeded so far"),
        (
            Health::Unknown,
            "-",
            "1 of 3 probes failed so far: connection refused",
        ),
        (Health::Unknown, "++++", "2 of 2 probes succeeded"),
        (Health::Up, "", adopted),
        (Health::Up, "+", adopted),
        (
            Health::Up,
            "--",
            "2 of 3 probes failed so far: connection refused",
        ),
        (Health::Up, "--+", adopted),
        (Health::Up, "++", "2 of 2 probes succeeded"),
        (
            Health::Up,
            "----",
            "3 of 3 probes failed: connection refused",
        ),
        (Health::Up, "---+", "1 of 2 probes succeeded so far"),
        (
            Health::Up,
            "---+-",
            "3 of 3 probes failed: connection refused",
        ),
    ] {
        let mut machine = Machine::new(&probe(2, 3), initial);
        run(&mut machine, results);
        assert_eq!(machine.reason(), reason, "{initial} then {results:?}");
    }
}

#[test]
fn a_backend_that_stays_down_tells_the_latest_reason() {
    let mut machine = Machine::new(&probe(1, 1), Health::Unknown);
    machine.observe(&attempt(false), at(1));
    machine.observe(&Err("timed out after 1s".to_owned()), at(2));
    assert_eq!(machine.reason(), "1 of 1 probes failed: timed out after 1s");
    assert_eq!(machine.since(), Some(at(1)));
}

#[test]
fn new_thresholds_apply_to_the_row_at_hand() {
    let mut machine = Machine::new(&probe(2, 5), Health::Up);
    run(&mut machine, "--");
    machine.retune(&probe(2, 3));
    assert_eq!(
        machine.observe(&attempt(false), at(3)).map(|t| t.to),
        Some(Health::Down)
    );
}

#[test]
fn a_changed_probe_starts_a_new_row_and_keeps_the_health() {
    let mut machine = Machine::new(&probe(2, 3), Health::Unknown);
    run(&mut machine, "++--");
    machine.restart(&probe(2, 3));
    assert_eq!(machine.health(), Health::Up);
    assert_eq!(machine.since(), Some(at(2)));
    assert!(!machine.pending());
    assert_eq!(
        machine.reason(),
        "carried over from before the probe was changed"
    );
    assert_eq!(run(&mut machine, "--"), [None, None]);
}

#[test]
fn a_backend_that_flaps_is_held_down_and_says_until_when() {
    let mut machine = Machine::new(
        &Probe {
            hold_down: Duration::from_secs(10),
            ..probe(1, 1)
        },
        Health::Unknown,
    );
    // Down at 2, up at 3, down again at 4: held until 14.
    let changes = run(&mut machine, "+-+-+");
    let health: Vec<_> = changes.iter().flatten().map(|change| change.to).collect();
    assert_eq!(health, [Health::Up, Health::Down, Health::Up, Health::Down]);
    assert_eq!(
        machine.reason(),
        "probes succeed, but it is held down until 1970-01-01T00:00:14Z: it went down 2 times, each time soon after it had come up"
    );
    assert!(
        !machine.pending(),
        "nothing changes before the hold is over"
    );
    assert_eq!(machine.observe(&attempt(true), at(13)), None);
    assert!(machine.observe(&attempt(true), at(14)).is_some());
    assert_eq!(machine.reason(), "1 of 1 probes succeeded");
}

#[test]
fn a_backend_that_never_served_and_one_that_was_adopted_fall_for_the_first_time() {
    for (initial, results, last) in [
        (Health::Unknown, "-+", Health::Up),
        (Health::Unknown, "-+-+", Health::Up),
        (Health::Up, "-+", Health::Up),
        (Health::Up, "-+-+", Health::Down),
    ] {
        let mut machine = Machine::new(&probe(1, 1), initial);
        run(&mut machine, results);
        assert_eq!(machine.health(), last, "{initial} then {results:?}");
    }
}

#[test]
fn successes_matter_until_the_last_word_is_spoken() {
    for (initial, results, interest) in [
        (Health::Unknown, "", Interest::Soon),
        (Health::Unknown, "++", Interest::Failures),
        (Health::Unknown, "++-", Interest::Soon),
        (Health::Unknown, "++-+", Interest::All),
        (Health::Unknown, "++-++", Interest::Failures),
        (Health::Up, "", Interest::All),
        (Health::Up, "+", Interest::All),
        (Health::Up, "++", Interest::Failures),
        (Health::Down, "", Interest::All),
        (Health::Down, "+", Interest::Soon),
    ] {
        let mut machine = Machine::new(&probe(2, 3), initial);
        run(&mut machine, results);
        assert_eq!(machine.interest(), interest, "{initial} then {results:?}");
    }
}

proptest! {
    #[test]
    fn health_never_changes_with_fewer_than_rise_or_fall_results_in_a_row(
        rise in 1_u32..6,
        fall in 1_u32..6,
        initial in prop_oneof![Just(Health::Unknown), Just(Health::Up), Just(Health::Down)],
        results in proptest::collection::vec(any::<bool>(), 0..200),
    ) {
        let undamped = Probe { hold_down: Duration::ZERO, ..probe(rise, fall) };
        let mut machine = Machine::new(&undamped, initial);
        for (index, success) in results.iter().enumerate() {
            let before = machine.health();
            let transition = machine.observe(&attempt(*success), at(index as u64));
            let row = results[..=index]
                .iter()
                .rev()
                .take_while(|result| *result == success)
                .count();
            let (needed, to) = if *success { (rise, Health::Up) } else { (fall, Health::Down) };
            let enough = row >= needed as usize;
            let expected = (enough && before != to).then_some(Transition { from: before, to });
            prop_assert_eq!(transition, expected);
            prop_assert_eq!(machine.health(), if enough { to } else { before });
        }
    }
}
