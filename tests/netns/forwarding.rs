//! TCP and UDP, IPv4 and IPv6, in both modes, natively and generically.

use lb_tests::{bed::VIPS, control::Control, kernel};
use serde_json::{Value, json};

use crate::scene::{Mode, Scene, destinations};

#[test]
fn l2_serves_tcp_and_udp_over_ipv4_and_ipv6() {
    serves(Mode::L2, "native");
}

#[test]
fn nat_serves_tcp_and_udp_over_ipv4_and_ipv6() {
    serves(Mode::Nat, "native");
}

#[test]
fn l2_serves_in_generic_xdp() {
    serves_generic(Mode::L2);
}

#[test]
fn nat_serves_in_generic_xdp() {
    serves_generic(Mode::Nat);
}

fn serves_generic(mode: Mode) {
    if kernel::is_5_15() {
        serves(mode, "generic");
    } else {
        kernel::skipped("this kernel has no generic XDP for redirects (5.15 has)");
    }
}

fn serves(mode: Mode, xdp_mode: &str) {
    let scene = Scene::new(3);
    let _http = scene.servers();
    let _udp = VIPS.map(|vip| scene.udp_servers(mode, vip));
    let daemon = scene.instance.start_with(&["--xdp-mode", xdp_mode]);
    let mut control = daemon.control();
    scene.serve(&mut control, mode);

    for to in destinations(mode) {
        scene.everybody_answers(to, 60);
    }
    let status = control.must("status", &json!({}));
    let interfaces = status["interfaces"]
        .as_array()
        .expect("a list of interfaces");
    assert_eq!(interfaces.len(), 4, "{status:#}");
    for interface in interfaces {
        assert_eq!(interface["xdp_mode"], json!(xdp_mode), "{interface}");
    }
    assert_eq!(status["in_sync"], json!(true), "{status:#}");
    counted(&mut control, mode);
}

/// The counters tell the same story as the clients.
fn counted(control: &mut Control, mode: Mode) {
    let stats = control.must("stats", &json!({}));
    let ledger = stats["ledger"].as_object().expect("a ledger");
    let count = |outcome: &str| ledger.get(outcome).and_then(Value::as_u64).unwrap_or(0);
    let sum: u64 = ledger.values().filter_map(Value::as_u64).sum();
    assert_eq!(stats["packets"], json!(sum), "{stats:#}");
    // 60 requests by TCP, at least 5 packets each, and 60 datagrams, for both IP versions.
    assert!(count("forward.forwarded") >= 2 * (60 * 5 + 60), "{stats:#}");
    assert_eq!(count("forward.replied") > 0, mode == Mode::Nat, "{stats:#}");
    for (outcome, count) in ledger {
        let dropped = outcome.starts_with("drop.") && count != &json!(0);
        assert!(
            !dropped,
            "{outcome} {count}: nothing is dropped here\n{stats:#}"
        );
    }
    let forwarded: u64 = stats["services"]
        .as_array()
        .expect("a list of services")
        .iter()
        .filter_map(|service| service["packets"].as_u64())
        .sum();
    assert_eq!(forwarded, count("forward.forwarded"), "{stats:#}");
}
