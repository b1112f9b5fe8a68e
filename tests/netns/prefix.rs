//! VIPs that are prefixes: several addresses of each, with real clients.

use std::net::{IpAddr, SocketAddr};

use lb_tests::{
    bed::VIPS,
    control::Control,
    traffic::{self, Connection},
};
use serde_json::json;

use crate::scene::{Mode, Scene, generation, names, set};

/// The prefixes, and addresses of each: the first, two between, the last.
const PREFIXES: [(&str, [&str; 4]); 2] = [
    (
        "203.0.113.0/28",
        ["203.0.113.0", "203.0.113.1", "203.0.113.9", "203.0.113.15"],
    ),
    (
        "2001:db8:77::/64",
        [
            "2001:db8:77::",
            "2001:db8:77::1",
            "2001:db8:77::1:0:0:9",
            "2001:db8:77:0:ffff:ffff:ffff:ffff",
        ],
    ),
];
/// The addresses behind the prefixes.
const BEHIND: [&str; 2] = ["203.0.113.16", "2001:db8:77:1::"];

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A service on the prefix of each IP version, TCP and UDP, with all backends.
fn serve(scene: &Scene, control: &mut Control, mode: Mode) {
    for ((prefix, _), like) in PREFIXES.into_iter().zip(VIPS) {
        let mut service = scene.service(mode, like);
        let vip = |protocol| match like {
            IpAddr::V4(_) => format!("{prefix}:{}/{protocol}", mode.port()),
            IpAddr::V6(_) => format!("[{prefix}]:{}/{protocol}", mode.port()),
        };
        service["vips"] = json!([vip("tcp"), vip("udp")]);
        service["name"] = json!(prefix.replace([':', '/'], "."));
        scene.bring_up(control, &service, like);
    }
}

fn addresses() -> impl Iterator<Item = IpAddr> {
    let all = PREFIXES.into_iter().flat_map(|(_, addresses)| addresses);
    all.map(address)
}

#[test]
fn every_address_of_a_prefix_is_served_directly() {
    let scene = Scene::new(2);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    serve(&scene, &mut control, Mode::L2);
    for address in addresses() {
        let to = (address, Mode::L2.port()).into();
        let answers = names(traffic::ask(&scene.bed.client, to, 30));
        assert_eq!(answers, set(&["b0", "b1"]), "{address}");
    }
    for outside in BEHIND {
        let to = (address(outside), Mode::L2.port()).into();
        let answers = traffic::ask(&scene.bed.client, to, 1);
        assert!(answers.iter().all(Result::is_err), "{outside}: {answers:?}");
    }
}

#[test]
fn replies_of_nat_backends_come_from_the_address_that_was_asked() {
    let scene = Scene::new(2);
    let _servers = scene.servers();
    let _udp = VIPS.map(|vip| scene.udp_servers(Mode::Nat, vip));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    serve(&scene, &mut control, Mode::Nat);
    let everybody = set(&["b0", "b1"]);
    let to = |address| SocketAddr::new(address, Mode::Nat.port());
    for address in addresses() {
        let tcp = names(traffic::ask(&scene.bed.client, to(address), 30));
        assert_eq!(tcp, everybody, "tcp to {address}");
        // The sockets are connected: an answer from another address would not reach them.
        let udp = names(traffic::ask_udp(&scene.bed.client, to(address), 30));
        assert_eq!(udp, everybody, "udp to {address}");
    }

    // A restart adopts prefixes as it adopts addresses: connections stay, and nothing is published anew.
    let before = generation(&mut control);
    let mut open: Vec<(Connection, String)> = addresses()
        .map(|address| {
            let connection = Connection::open(&scene.bed.client, to(address));
            let mut connection = connection.expect("a connection");
            let name = connection.ask().expect("an answer");
            (connection, name)
        })
        .collect();
    assert!(daemon.stop().success());
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    assert_eq!(generation(&mut control), before);
    for (connection, name) in &mut open {
        assert_eq!(connection.ask().expect("an answer"), *name);
    }
    let status = control.must("status", &json!({}));
    assert_eq!(status["in_sync"], json!(true), "{status:#}");
}
