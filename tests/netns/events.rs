//! Those who have subscribed are told what happens, by the protocol and by `lbctl watch`.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::mpsc::{self, TryRecvError},
    thread,
};

use lb_tests::{control::Control, daemon::binary, netns::join};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::scene::lone;

/// Reads events until one is as `wanted`: has all its fields.
fn wait_for(control: &mut Control, wanted: &Value) -> Value {
    let mut seen = Vec::new();
    // Ends when none comes any more: then reading fails.
    for _ in 0..1_000 {
        let event = control.event();
        if has(&event, wanted) {
            return event;
        }
        seen.push(event);
    }
    panic!("no {wanted} among {seen:#?}");
}

fn has(event: &Value, wanted: &Value) -> bool {
    let mut wanted = wanted.as_object().expect("an object").iter();
    wanted.all(|(field, value)| &event[field] == value)
}

/// A service whose only backend nobody can reach.
fn unreachable_service() -> Value {
    json!({
        "name": "web", "vips": ["192.0.2.10:80/tcp"], "backend": [{"address": "10.9.9.9:80"}],
        "probe": {"type": "tcp", "interval": "100ms", "timeout": "50ms", "fall": 2},
    })
}

#[test]
fn changes_publications_health_attachments_and_errors_are_told_in_order() {
    let (namespace, instance) = lone();
    let daemon = instance.start();
    let mut control = daemon.control();
    let mut watcher = daemon.control();
    watcher.must("events.subscribe", &json!({}));

    let added = control.must("service.add", &unreachable_service());
    let published = wait_for(&mut watcher, &json!({"kind": "publication"}));
    assert_eq!(published["generation"], added["generation"]);
    let changed = wait_for(&mut watcher, &json!({"kind": "change"}));
    assert!(
        has(
            &changed,
            &json!({"what": "service.add web", "service": "web", "generation": added["generation"]})
        ),
        "{changed}"
    );
    let origin = json!({
        "by": "socket", "method": "service.add", "uid": 0, "gid": 0, "pid": std::process::id(),
    });
    assert_eq!(changed["origin"], origin);
    assert!(
        changed["sequence"].as_u64() > published["sequence"].as_u64(),
        "{changed}"
    );

    let backend = json!({"kind": "health", "service": "web", "backend": "10.9.9.9:80", "from": "unknown", "to": "down"});
    let down = wait_for(&mut watcher, &backend);
    assert!(
        down["reason"]
            .as_str()
            .is_some_and(|reason| !reason.is_empty()),
        "{down}"
    );

    namespace.ip("link del up0");
    wait_for(
        &mut watcher,
        &json!({"kind": "attachment", "interface": "up0", "state": "gone"}),
    );
    join((&namespace, "up0"), (&namespace, "up1"));
    wait_for(
        &mut watcher,
        &json!({"kind": "attachment", "interface": "up0", "state": "attached"}),
    );

    instance.configure("[[service]]\nname = \"web\"\n");
    daemon.signal(Signal::HUP);
    let failed = wait_for(&mut watcher, &json!({"kind": "error", "recovered": false}));
    assert!(failed["what"].to_string().contains("vips"), "{failed}");
    instance.configure("");
    daemon.signal(Signal::HUP);
    let reloaded = wait_for(&mut watcher, &json!({"kind": "change"}));
    assert_eq!(reloaded["origin"]["by"], json!("reload"), "{reloaded}");

    // What only asks is no change, and what is refused is none either.
    control.must("status", &json!({}));
    control.refused("service.remove", &json!({"name": "web"}));
    control.must("blocklist.add", &json!({"prefixes": ["203.0.113.0/24"]}));
    let next = wait_for(&mut watcher, &json!({"kind": "change"}));
    assert_eq!(next["what"], json!("blocklist.add 203.0.113.0/24"));
}

#[test]
fn a_removal_after_its_time_to_drain_is_told() {
    let (_namespace, instance) = lone();
    let daemon = instance.start();
    let mut control = daemon.control();
    control.must("service.add", &unreachable_service());
    let mut watcher = daemon.control();
    watcher.must(
        "events.subscribe",
        &json!({"kinds": ["change"], "service": "web"}),
    );
    let remove = json!({"service": "web", "address": "10.9.9.9:80", "drain_timeout": "200ms"});
    control.must("backend.remove", &remove);
    let asked = watcher.event();
    assert_eq!(
        asked["what"],
        json!("backend.remove 10.9.9.9:80 of web"),
        "{asked}"
    );
    let gone = watcher.event();
    assert_eq!(gone["origin"], json!({"by": "drain"}), "{gone}");
    assert!(
        gone["generation"].as_u64() >= asked["generation"].as_u64(),
        "{gone}"
    );
}

#[test]
fn lbctl_watch_prints_a_line_for_each_event_and_ends_with_the_daemon() {
    let (_namespace, instance) = lone();
    let daemon = instance.start();
    let mut children = [
        ["watch", "--kind=change"].as_slice(),
        &["watch", "--json", "--service=web"],
    ]
    .map(|arguments| {
        let mut command = Command::new(binary("lbctl"));
        command
            .args(["--socket".as_ref(), instance.socket().as_os_str()])
            .args(arguments);
        command
            .stdout(Stdio::piped())
            .spawn()
            .expect("starting lbctl")
    });
    let mut outputs = children
        .each_mut()
        .map(|child| BufReader::new(child.stdout.take().expect("a pipe")).lines());
    let mut line = |number: usize| outputs[number].next().expect("a line").expect("text");

    // They subscribe when they are ready: changes are made until both have heard of one.
    let mut control = daemon.control();
    control.must("service.add", &unreachable_service());
    thread::scope(|scope| {
        // Also if something fails here, the sender goes, and the changes end.
        let (_told, heard) = mpsc::channel::<()>();
        let control = &mut control;
        scope.spawn(move || {
            let mut weights = (1..=1_000).cycle();
            while heard.try_recv() == Err(TryRecvError::Empty) {
                let weight = weights.next();
                let update = json!({"service": "web", "address": "10.9.9.9:80", "weight": weight});
                control.must("backend.update", &update);
            }
        });
        // It may have come early enough to hear of the service, too.
        let mut text = line(0);
        if text.contains("change: service.add web, by ") {
            text = line(0);
        }
        assert!(
            text.contains("change: backend.update 10.9.9.9:80 of web, by uid 0, gid 0, pid "),
            "{text}"
        );
        let event: Value = serde_json::from_str(&line(1)).expect("JSON");
        assert_eq!(event["service"], json!("web"), "{event}");
    });
    assert!(daemon.stop().success());
    for (mut child, output) in children.into_iter().zip(outputs) {
        // Else it may wait for room in the pipe.
        output.for_each(drop);
        assert_eq!(child.wait().expect("lbctl's end").code(), Some(4));
    }
}
