//! TCP and UDP, IPv4 and IPv6, in both modes, natively and generically.

use lb_tests::{bed::VIPS, control::Control, kernel};
use serde_json::{Value, json};

use crate::scene::{Mode, Scene, destinations};

/// How often a client asks each VIP, by TCP and by UDP.
pub(crate) const ASKED: usize = 60;

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
        scene.everybody_answers(to, ASKED);
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

/// The counters tell the same story as a client who has asked both VIPs.
pub(crate) fn counted(control: &mut Control, mode: Mode) {
    let stats = control.must("stats", &json!({}));
    let ledger = stats["ledger"].as_object().expect("a ledger");
    let count = |outcome: &str| ledger.get(outcome).and_then(Value::as_u64).unwrap_or(0);
    let sum: u64 = ledger.values().filter_map(Value::as_u64).sum();
    assert_eq!(stats["packets"], json!(sum), "{stats:#}");
    // At least 5 packets for each request by TCP, and a datagram.
    let asked = 2 * ASKED as u64;
    assert!(count("forward.forwarded") >= asked * (5 + 1), "{stats:#}");
    let replied = count("forward.replied");
    if mode == Mode::Nat {
        // At least 3 packets and a datagram each, but for what the kernel was given while it looked for the client.
        assert!(replied >= asked * 3, "{stats:#}");
    } else {
        assert_eq!(replied, 0, "{stats:#}");
    }
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
