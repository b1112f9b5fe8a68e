//! Sources that are not let in, and sources that send too much, beside others that notice nothing.

use std::{
    net::{SocketAddr, UdpSocket},
    time::Instant,
};

use lb_common::names;
use lb_tests::{
    bed::VIPS,
    control::Control,
    netns,
    traffic::{self, Connection, Load},
};
use serde_json::{Value, json};

use crate::scene::{Mode, NEAR, Scene, destinations, generation, name, names as answered, set};

const NOT_FOUND: i64 = -32_002;
const CONFLICT: i64 = -32_003;

#[test]
fn a_client_is_blocked_and_let_in_again_while_others_are_served_in_l2() {
    blocked_and_let_in_again(Mode::L2);
}

#[test]
fn a_client_is_blocked_and_let_in_again_while_others_are_served_in_nat() {
    blocked_and_let_in_again(Mode::Nat);
}

fn blocked_and_let_in_again(mode: Mode) {
    let scene = Scene::new(2);
    let far = scene.far_client();
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, mode);
    let near = &scene.bed.client;
    let served = set(&["b0", "b1"]);
    let mut open: Vec<Connection> = Vec::new();
    for to in destinations(mode) {
        assert_eq!(answered(traffic::ask(near, to, 40)), served);
        let connection = Connection::open(near, to);
        open.push(connection.unwrap_or_else(|error| panic!("connecting to {to}: {error}")));
    }
    let load = Load::begin(&far, destinations(mode), 8);

    let [v4, v6] = NEAR;
    let prefixes = json!({"prefixes": [v4, format!("{v6}/128")]});
    control.must("blocklist.add", &prefixes);
    for (connection, to) in open.iter_mut().zip(destinations(mode)) {
        assert!(connection.ask().is_err(), "an open connection to {to}");
        assert!(Connection::open(near, to).is_err(), "a new one to {to}");
    }
    load.turn();
    let failures = load.end();
    assert!(failures.is_empty(), "the far client: {failures:#?}");
    assert!(count(&mut control, "drop.blocked") > 0);

    let listed = json!({"prefixes": [v4, v6]});
    assert_eq!(control.must("blocklist.list", &json!({})), listed);
    control.must("blocklist.remove", &prefixes);
    for to in destinations(mode) {
        assert_eq!(answered(traffic::ask(near, to, 40)), served);
    }
    assert_eq!(
        control.must("blocklist.list", &json!({})),
        json!({"prefixes": []})
    );
}

#[test]
fn the_blocklist_survives_a_restart_and_what_others_did_to_it() {
    let scene = Scene::new(1);
    let far = scene.far_client();
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::L2);
    let near = &scene.bed.client;
    let [v4, v6] = destinations(Mode::L2)[..] else {
        panic!("one VIP of each IP version");
    };
    control.must("blocklist.add", &json!({"prefixes": NEAR}));
    let before = (
        generation(&mut control),
        control.must("config.get", &json!({})),
    );
    assert!(daemon.stop().success());
    assert!(
        Connection::open(near, v4).is_err(),
        "nobody is let in meanwhile"
    );

    let daemon = scene.instance.start();
    let mut control = daemon.control();
    let after = (
        generation(&mut control),
        control.must("config.get", &json!({})),
    );
    assert_eq!(after, before, "there was nothing to publish");
    assert!(Connection::open(near, v6).is_err(), "still blocked");
    assert!(daemon.stop().success());

    // Somebody takes one prefix off and puts another on, a part of the far client's network.
    let trie = |name| {
        let pin = format!("maps-v{}/{name}", names::ABI_VERSION);
        scene
            .instance
            .bpffs()
            .path()
            .join(pin)
            .display()
            .to_string()
    };
    let pin = trie(names::BLOCKLIST_V4);
    bpftool(&format!(
        "map delete pinned {pin} key hex 20 0 0 0 0a 01 00 02"
    ));
    bpftool(&format!(
        "map update pinned {pin} key hex 18 0 0 0 0a 09 00 00 value hex 1 0 0 0"
    ));
    assert_eq!(answered(traffic::ask(near, v4, 4)), set(&["b0"]));
    assert!(
        Connection::open(&far, v4).is_err(),
        "blocked by somebody else"
    );

    let daemon = scene.instance.start();
    assert_eq!(answered(traffic::ask(&far, v4, 4)), set(&["b0"]));
    assert!(Connection::open(near, v4).is_err(), "blocked again");
    let status = daemon.control().must("status", &json!({}));
    assert_eq!(status["in_sync"], json!(true), "{status:#}");
}

#[test]
fn the_blocklist_refuses_what_contradicts_it() {
    let scene = Scene::new(0);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    control.must("blocklist.add", &json!({"prefixes": ["203.0.113.0/24"]}));
    let before = (
        generation(&mut control),
        control.must("config.get", &json!({})),
    );
    for (method, prefix, code, words) in [
        (
            "add",
            "203.0.113.0/24",
            CONFLICT,
            "is on the blocklist already",
        ),
        (
            "add",
            "203.0.113.7",
            CONFLICT,
            "203.0.113.7 lies in 203.0.113.0/24",
        ),
        (
            "remove",
            "203.0.113.7",
            NOT_FOUND,
            "though it lies in 203.0.113.0/24",
        ),
    ] {
        let params = json!({"prefixes": [prefix]});
        let refused = control.refused(&format!("blocklist.{method}"), &params);
        assert_eq!(refused.code, code, "{refused:?}");
        assert!(refused.message.contains(words), "{refused:?}");
    }
    let after = (
        generation(&mut control),
        control.must("config.get", &json!({})),
    );
    assert_eq!(after, before);
    assert!(daemon.stop().success());
}

/// Packets in a second, and at once.
const RATE: u64 = 500;
/// Datagrams of the one who sends too much.
const FLOOD: usize = 20_000;

#[test]
fn a_source_that_floods_is_held_to_its_rate_while_others_are_served() {
    let scene = Scene::new(1);
    let far = scene.far_client();
    let _servers = scene.servers();
    let _udp = VIPS.map(|vip| scene.udp_servers(Mode::L2, vip));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::L2);
    let near = &scene.bed.client;
    for (vip, to) in VIPS.into_iter().zip(destinations(Mode::L2)) {
        let limit = json!({"name": name(vip), "source_rate": RATE});
        control.must("service.update", &limit);
        let begin = Instant::now();
        let before = (
            count(&mut control, "drop.rate_limited"),
            forwarded(&mut control, &name(vip)),
        );
        near.enter(|| flood(to));
        let limited = count(&mut control, "drop.rate_limited") - before.0;
        let passed = forwarded(&mut control, &name(vip)) - before.1;
        // What arrived in the time that this took, rounded up; a packet more for every CPU.
        let allowed = RATE + RATE * (begin.elapsed().as_secs() + 1) + 64;
        assert!(
            passed <= allowed,
            "{passed} packets to {to}, {allowed} allowed"
        );
        assert!(
            limited > RATE,
            "only {limited} of {FLOOD} to {to} were dropped"
        );
        assert_eq!(answered(traffic::ask_udp(&far, to, 20)), set(&["b0"]));

        control.must(
            "service.update",
            &json!({"name": name(vip), "no_source_rate": true}),
        );
        assert_eq!(answered(traffic::ask_udp(near, to, 20)), set(&["b0"]));
    }
    adds_up(&mut control);
}

/// Many datagrams, from one port, as fast as it goes.
fn flood(to: SocketAddr) {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).expect("a socket");
    socket.connect(to).expect("a destination");
    for _ in 0..FLOOD {
        // A full queue drops what others would send again.
        let _ = socket.send(b"flood");
    }
}

/// Packets of one outcome.
fn count(control: &mut Control, outcome: &str) -> u64 {
    let stats = adds_up(control);
    stats["ledger"][outcome].as_u64().expect("a count")
}

/// Packets that went to a service's backends.
fn forwarded(control: &mut Control, service: &str) -> u64 {
    let stats = control.must("stats", &json!({}));
    let services = stats["services"].as_array().expect("services");
    let service = services.iter().find(|it| it["name"] == json!(service));
    service
        .and_then(|it| it["packets"].as_u64())
        .expect("packets")
}

/// The counters, of which the ledger's sum is the number of packets.
fn adds_up(control: &mut Control) -> Value {
    let stats = control.must("stats", &json!({}));
    let ledger = stats["ledger"].as_object().expect("a ledger");
    let sum: u64 = ledger.values().filter_map(Value::as_u64).sum();
    assert_eq!(stats["packets"], json!(sum), "{stats:#}");
    stats
}

fn bpftool(arguments: &str) {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let said = netns::command("bpftool", &arguments);
    assert_eq!(said, "");
}
