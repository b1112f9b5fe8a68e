//! Backends that fail, recover, drain and are disabled, under traffic.

use std::net::SocketAddr;

use lb_tests::{
    bed::{VIP_V4, VIPS},
    control::Control,
    traffic::{self, Connection},
};
use serde_json::json;

use crate::scene::{
    Mode, Scene, backends, destinations, name, names, set, wait_moved, wait_serving,
};

#[test]
fn traffic_leaves_a_failed_backend_and_comes_back_in_l2() {
    fails_and_recovers(Mode::L2);
}

#[test]
fn traffic_leaves_a_failed_backend_and_comes_back_in_nat() {
    fails_and_recovers(Mode::Nat);
}

fn fails_and_recovers(mode: Mode) {
    let scene = Scene::new(3);
    let mut servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, mode);

    drop(servers.remove(0));
    for vip in VIPS {
        wait_serving(&mut control, &name(vip), 2);
        let address = scene.backend(0, vip).to_string();
        let failed = backend(&mut control, &name(vip), &address);
        assert_eq!(failed["health"], json!("down"), "{failed:#}");
        assert!(failed["not_serving_because"].is_string(), "{failed:#}");
        assert_ne!(failed["health_reason"], json!(""), "{failed:#}");
    }
    for to in destinations(mode) {
        assert_eq!(
            names(traffic::ask(&scene.bed.client, to, 40)),
            set(&["b1", "b2"])
        );
    }

    let _back = scene.server(0);
    for vip in VIPS {
        wait_serving(&mut control, &name(vip), 3);
    }
    for to in destinations(mode) {
        assert_eq!(
            names(traffic::ask(&scene.bed.client, to, 60)),
            set(&["b0", "b1", "b2"])
        );
    }
}

#[test]
fn a_service_without_live_backends_drops_and_recovers() {
    let scene = Scene::new(1);
    let servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::L2);
    let to = destinations(Mode::L2)[0];

    drop(servers);
    wait_serving(&mut control, &name(VIP_V4), 0);
    let answers = traffic::ask(&scene.bed.client, to, 1);
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    let stats = control.must("stats", &json!({}));
    assert_ne!(stats["ledger"]["drop.no_backend"], json!(0), "{stats:#}");

    let _servers = scene.servers();
    wait_serving(&mut control, &name(VIP_V4), 1);
    assert_eq!(names(traffic::ask(&scene.bed.client, to, 5)), set(&["b0"]));
}

#[test]
fn drained_backend_keeps_established_flows_in_l2() {
    drains(Mode::L2);
}

#[test]
fn drained_backend_keeps_established_flows_in_nat() {
    drains(Mode::Nat);
}

fn drains(mode: Mode) {
    let scene = Scene::new(2);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, mode);
    // Connections that are idle while slots learn would not be remembered.
    for vip in VIPS {
        let always = json!({"name": name(vip), "tracking": "always"});
        control.must("service.update", &always);
    }
    let to = destinations(mode);
    let mut open = established(&scene, &to);

    for vip in VIPS {
        control.must("backend.drain", &reference(&scene, vip, 0));
        let drained = backend(&mut control, &name(vip), &scene.backend(0, vip).to_string());
        assert_eq!(drained["state"], json!("drain"), "{drained:#}");
        assert_eq!(drained["serving"], json!(false), "{drained:#}");
    }
    for vip in VIPS {
        wait_moved(&mut control, &name(vip), false);
    }
    for (connection, server) in &mut open {
        assert_eq!(
            connection.ask().expect("an established flow goes on"),
            *server
        );
    }
    for to in &to {
        assert_eq!(
            names(traffic::ask(&scene.bed.client, *to, 40)),
            set(&["b1"])
        );
    }

    for vip in VIPS {
        control.must("backend.undrain", &reference(&scene, vip, 0));
        wait_serving(&mut control, &name(vip), 2);
    }
    for to in &to {
        assert_eq!(
            names(traffic::ask(&scene.bed.client, *to, 40)),
            set(&["b0", "b1"])
        );
    }
    for (connection, server) in &mut open {
        assert_eq!(
            connection.ask().expect("an established flow goes on"),
            *server
        );
    }
}

#[test]
fn disabled_backend_loses_its_flows_at_once() {
    let scene = Scene::new(2);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::L2);
    let to = destinations(Mode::L2);
    let open = established(&scene, &to);

    for vip in VIPS {
        control.must("backend.disable", &reference(&scene, vip, 0));
    }
    for (mut connection, server) in open {
        // Another server does not know the connection and resets it.
        assert_eq!(
            connection.ask().is_ok(),
            server == "b1",
            "a connection to {server}"
        );
    }
    for to in &to {
        assert_eq!(
            names(traffic::ask(&scene.bed.client, *to, 30)),
            set(&["b1"])
        );
    }
    for vip in VIPS {
        control.must("backend.enable", &reference(&scene, vip, 0));
        wait_serving(&mut control, &name(vip), 2);
    }
    for to in &to {
        assert_eq!(
            names(traffic::ask(&scene.bed.client, *to, 40)),
            set(&["b0", "b1"])
        );
    }
}

/// Connections to every destination, some of them to each server, and who answers them.
fn established(scene: &Scene, to: &[SocketAddr]) -> Vec<(Connection, String)> {
    let mut open = Vec::new();
    for to in to {
        for _ in 0..16 {
            let mut connection = Connection::open(&scene.bed.client, *to).expect("a connection");
            let server = connection.ask().expect("an answer");
            open.push((connection, server));
        }
    }
    assert!(
        open.iter().any(|(_, server)| server == "b0"),
        "somebody is with b0"
    );
    open
}

fn reference(scene: &Scene, vip: std::net::IpAddr, number: usize) -> serde_json::Value {
    json!({"service": name(vip), "address": scene.backend(number, vip).to_string()})
}

fn backend(control: &mut Control, service: &str, address: &str) -> serde_json::Value {
    backends(control, service)
        .into_iter()
        .find(|backend| backend["address"] == json!(address))
        .expect("the backend is listed")
}
