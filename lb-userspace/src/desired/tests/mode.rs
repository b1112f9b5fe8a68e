//! Modes of services, which backends to come take over.

use super::*;

fn into_mode(service: &str, mode: Mode) -> Change {
    Change::UpdateService {
        name: name(service),
        vips: None,
        mode: Some(mode),
        table_slots: None,
        probe: None,
        source_limit: None,
        dynamic_weights: None,
        quic_lb: None,
        min_healthy: None,
        panic_threshold: None,
        moves: MovesUpdate::default(),
        algorithm: None,
    }
}

/// A service in mode `l2` with these VIPs and one backend.
fn direct(texts: &[&str]) -> Desired {
    let service = Service {
        mode: Mode::L2,
        vips: vips(texts),
        backends: [backend("10.0.0.11:80", Mode::L2)]
            .map(|backend| (backend.address, backend))
            .into(),
        ..service("web", "192.0.2.10:80/tcp", &[])
    };
    let mut desired = Desired::default();
    desired.apply(Change::AddService(service)).unwrap();
    desired
}

#[test]
fn a_service_takes_no_mode_that_its_vips_keep_every_backend_from() {
    for (texts, words) in [
        (
            ["192.0.2.10:80/tcp", "192.0.2.10:2905/sctp"],
            "cannot translate SCTP, whose checksum covers the whole packet (RFC 9260), and VIP 192.0.2.10:2905/sctp is SCTP",
        ),
        (
            ["192.0.2.10:80/tcp", "192.0.2.11:*/udp"],
            "VIP 192.0.2.11:*/udp is for every port: use another mode",
        ),
        (
            ["192.0.2.10:80/tcp", "[2001:db8::10]:80/tcp"],
            "has VIPs of both, 192.0.2.10:80/tcp and [2001:db8::10]:80/tcp",
        ),
    ] {
        let desired = direct(&texts);
        for mode in [Mode::Nat, Mode::Snat] {
            let change = into_mode("web", mode);
            assert_refused(&desired, change, RefusalKind::Invalid, words);
        }
        for mode in [Mode::Ipip, Mode::Gue, Mode::Local] {
            desired.clone().apply(into_mode("web", mode)).unwrap();
        }
    }
}

#[test]
fn vips_that_fit_are_no_hindrance_and_backends_keep_their_mode() {
    let mut desired = direct(&["192.0.2.10:80/tcp", "192.0.2.11:53/udp"]);
    desired.apply(into_mode("web", Mode::Snat)).unwrap();
    assert_eq!(desired.services[&name("web")].mode, Mode::Snat);
    assert_eq!(web(&desired).mode, Mode::L2);
    // From there on the VIPs are held to the mode.
    assert_refused(
        &desired,
        with_vips("web", &["192.0.2.10:*/tcp"]),
        RefusalKind::Invalid,
        "mode snat gives packets the backend's port",
    );
}

#[test]
fn where_a_backend_is_in_the_mode_it_is_the_one_that_is_named() {
    let mut desired = direct(&["192.0.2.10:80/tcp"]);
    let nat = backend("10.0.0.12:80", Mode::Nat);
    desired.apply(into_mode("web", Mode::Nat)).unwrap();
    desired.apply(add("web", nat)).unwrap();
    assert_refused(
        &desired,
        with_vips("web", &["192.0.2.10:*/tcp"]),
        RefusalKind::Invalid,
        "use another mode for backend 10.0.0.12:80",
    );
}
