//! `lbctl detach` asks to be sure, says what it has done, and what to do where there is no daemon.

use serde_json::json;

use super::{Exit, calls_are, run_against, run_with_input};

#[test]
fn detach_is_a_call_once_one_is_sure() {
    calls_are(&[("detach --yes", "detach", json!({}))]);
    let unsure = run_with_input(&["detach"], b"");
    assert_eq!(unsure.exit, Exit::Usage);
    assert!(unsure.errors.contains("--yes"), "{}", unsure.errors);
}

#[test]
fn what_was_taken_off_is_said() {
    for (interfaces, said) in [
        (
            json!(["eth0", "eth1"]),
            "taken off eth0, eth1; lbd has ended",
        ),
        (json!([]), "taken off no interface; lbd has ended"),
    ] {
        let answer = json!({"result": {"interfaces": interfaces}});
        let (ran, _) = run_against("detach --yes", &answer);
        assert_eq!(ran.exit, Exit::Done);
        assert!(ran.output.starts_with(said), "{}", ran.output);
    }
}

#[test]
fn without_a_daemon_the_other_way_is_named() {
    let nowhere = ["--socket", "/nonexistent/lb.sock", "detach", "--yes"];
    let ran = run_with_input(&nowhere, b"");
    assert_eq!(ran.exit, Exit::Unreachable);
    for words in ["`lbd detach`", "/nonexistent/lb.sock"] {
        assert!(ran.errors.contains(words), "{}", ran.errors);
    }
}
