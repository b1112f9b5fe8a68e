//! What is saved of changes, as files: a snapshot and its journal, whatever became of the process that wrote them.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use lb_tests::{control::Control, daemon::Instance};
use serde_json::{Value, json};

use crate::scene::lone;

const FAILED: i32 = 1;
/// How many services are added, each by a change of its own.
const SERVICES: u8 = 4;

fn file(instance: &Instance, name: &str) -> PathBuf {
    instance.state_directory().join(name)
}

fn snapshot(instance: &Instance) -> PathBuf {
    file(instance, "state.json")
}

fn journal(instance: &Instance) -> PathBuf {
    file(instance, "state.journal")
}

fn wanted(control: &mut Control) -> Value {
    control.must("config.get", &json!({}))
}

fn services(control: &mut Control) -> usize {
    let status = control.must("status", &json!({}));
    status["services"].as_array().expect("services").len()
}

/// Has a daemon make changes, and kills it; answers what was wanted then.
fn killed_after_changes(instance: &Instance) -> Value {
    let daemon = instance.start();
    let mut control = daemon.control();
    assert!(!journal(instance).exists(), "nothing was changed");
    let before = fs::read(snapshot(instance)).expect("a snapshot");
    for number in 1..=SERVICES {
        let vip = format!("192.0.2.{number}:80/tcp");
        control.must(
            "service.add",
            &json!({"name": format!("s{number}"), "vips": [vip]}),
        );
        let text = fs::read_to_string(journal(instance)).expect("a journal");
        assert_eq!(text.lines().count(), usize::from(number) + 1, "{text}");
        assert!(text.ends_with('\n'), "{text}");
    }
    let after = fs::read(snapshot(instance)).expect("a snapshot");
    assert!(after == before, "a change has written the snapshot anew");
    let wanted = wanted(&mut control);
    daemon.kill();
    wanted
}

#[test]
fn changes_of_a_killed_daemon_are_in_the_journal_until_the_next_snapshot() {
    let (_namespace, instance) = lone();
    let before = killed_after_changes(&instance);
    let daemon = instance.start();
    let mut control = daemon.control();
    assert_eq!(wanted(&mut control), before);
    assert!(!journal(&instance).exists(), "a start writes a snapshot");
    let status = daemon.stop();
    assert!(status.success(), "lbd ended with {status}");
}

#[test]
fn a_change_that_was_not_saved_to_its_end_is_left_out_and_no_other() {
    let (_namespace, instance) = lone();
    let _ = killed_after_changes(&instance);
    let text = fs::read(journal(&instance)).expect("a journal");
    fs::write(journal(&instance), &text[..text.len() - 7]).expect("a torn journal");
    let daemon = instance.start();
    let mut control = daemon.control();
    assert_eq!(services(&mut control), usize::from(SERVICES) - 1);
    control.must(
        "service.add",
        &json!({"name": "again", "vips": ["192.0.2.4:80/tcp"]}),
    );
    assert_eq!(services(&mut control), usize::from(SERVICES));
}

#[test]
fn a_damaged_journal_is_refused_and_left_alone_and_without_it_the_snapshot_is_read() {
    let (_namespace, instance) = lone();
    let _ = killed_after_changes(&instance);
    let text = fs::read_to_string(journal(&instance)).expect("a journal");
    let damaged = text.replace("192.0.2.2:80", "192.0.2.9:80");
    fs::write(journal(&instance), &damaged).expect("a damaged journal");
    let files = || [snapshot(&instance), journal(&instance)].map(|path| fs::read(path).ok());
    let before = files();
    let (code, said) = instance.refused_with(&[]);
    assert_eq!(code, Some(FAILED), "{said}");
    let path = journal(&instance);
    let path = path.to_str().expect("a path in UTF-8");
    for words in [path, "line 3: its checksum is wrong", "move the file away"] {
        assert!(said.contains(words), "`{words}` is not in: {said}");
    }
    assert!(files() == before, "refused and changed");

    fs::remove_file(journal(&instance)).expect("removing a file");
    let daemon = instance.start();
    assert_eq!(services(&mut daemon.control()), 0);
}

#[test]
fn a_change_for_which_there_is_no_room_is_never_saved() {
    let (_namespace, instance) = lone();
    let daemon = instance.start();
    let mut control = daemon.control();
    control.must(
        "service.add",
        &json!({"name": "web", "vips": ["192.0.2.1:80/tcp"]}),
    );
    let before = fs::read_to_string(journal(&instance)).expect("a journal");
    // The instance's maps have room for 63.
    let backends = |number: u8| json!({"address": format!("10.0.0.{number}:80"), "mode": "nat"});
    let backends: Vec<Value> = (1..=70).map(backends).collect();
    let large = json!({"name": "large", "vips": ["192.0.2.2:80/tcp"], "backend": backends});
    let refused = control.refused("service.add", &large);
    assert!(
        refused.message.starts_with("nothing has changed"),
        "{refused:?}"
    );
    let after = fs::read_to_string(journal(&instance)).expect("a journal");
    assert_eq!(after, before);
}

#[test]
fn a_journal_that_is_cut_under_a_running_daemon_loses_nothing() {
    let (_namespace, instance) = lone();
    let daemon = instance.start();
    let mut control = daemon.control();
    let mut add = |number: u8| {
        let vip = format!("192.0.2.{number}:80/tcp");
        let service = json!({"name": format!("s{number}"), "vips": [vip]});
        control.must("service.add", &service);
    };
    add(1);
    add(2);
    let file = fs::OpenOptions::new().write(true).open(journal(&instance));
    file.and_then(|file| file.set_len(0))
        .expect("cutting the journal");
    add(3);
    let said = "has changed, replaced or removed state.journal while lbd runs";
    assert!(instance.log().contains(said), "{}", instance.log());
    let before = wanted(&mut control);
    daemon.kill();
    let daemon = instance.start();
    assert_eq!(wanted(&mut daemon.control()), before);
}

#[test]
fn a_second_instance_with_the_same_state_directory_is_refused() {
    let (_namespace, first) = lone();
    let daemon = first.start();
    let (_other_namespace, second) = lone();
    symlink(first.state_directory(), second.state_directory()).expect("a symbolic link");
    let (code, said) = second.refused_with(&[]);
    assert_eq!(code, Some(FAILED), "{said}");
    let directory = second.state_directory();
    let directory = directory.to_str().expect("a path in UTF-8");
    let pid = format!("another lbd (pid {})", daemon.pid());
    for words in [directory, &pid, "stop it first", "--state-dir"] {
        assert!(said.contains(words), "`{words}` is not in: {said}");
    }
    daemon.control().must(
        "service.add",
        &json!({"name": "web", "vips": ["192.0.2.1:80/tcp"]}),
    );
    daemon.kill();
    let _daemon = second.start();
}
