//! VIPs that are prefixes, and VIPs that no probe speaks to.

use super::*;

/// A service without backends, in a mode for VIPs of every kind.
fn direct(text: &str, vip: &str) -> Change {
    Change::AddService(Service {
        mode: Mode::L2,
        ..service(text, vip, &[])
    })
}

#[test]
fn prefixes_of_vips_do_not_overlap_but_may_be_shared() {
    let mut desired = desired();
    for (name, vip) in [
        ("wide", "203.0.112.0/24:80/tcp"),
        ("beside", "203.0.113.0/24:80/tcp"),
        ("other-port", "203.0.113.0/24:443/tcp"),
        ("every-port", "203.0.113.0/24:*/udp"),
        ("one-address", "203.0.113.5:80/tcp"),
        ("v6", "[2001:db8:1::/48]:80/tcp"),
    ] {
        desired.apply(direct(name, vip)).unwrap();
    }
    assert_eq!(desired.check(), []);
    for (vip, other) in [
        ("203.0.113.128/25:80/tcp", "203.0.113.0/24"),
        ("203.0.113.128/25:8080/sctp", "203.0.113.0/24"),
        (
            "203.0.112.0/23:8080/tcp",
            "203.0.112.0/24:80/tcp of service `wide`",
        ),
        ("[2001:db8:1:1::/64]:53/udp", "[2001:db8:1::/48]"),
    ] {
        let new = direct("new", vip);
        assert_refused(&desired, new, RefusalKind::Conflict, other);
        let mut saved = desired.clone();
        saved
            .services
            .insert(name("new"), service("new", vip, &[]).into());
        assert!(!saved.check().is_empty(), "{vip}");
    }
}

#[test]
fn probes_of_sctp_are_told_where_to_ask() {
    let mut desired = desired();
    let sctp = direct("signalling", "192.0.2.11:2905/sctp");
    desired.apply(sctp).unwrap();
    let with_probe = |port| Change::UpdateService {
        name: name("signalling"),
        vips: None,
        mode: None,
        table_slots: None,
        source_limit: None,
        dynamic_weights: None,
        quic_lb: None,
        min_healthy: None,
        panic_threshold: None,
        moves: MovesUpdate::default(),
        algorithm: None,
        probe: Some(Some(Probe {
            port,
            ..Probe::new(crate::model::ProbeKind::Tcp)
        })),
    };
    let words = "name a port where something listens by TCP";
    assert_refused(&desired, with_probe(None), RefusalKind::Invalid, words);
    desired.apply(with_probe(Some(9_000))).unwrap();
    // Where TCP is served, too, it is asked.
    let both = ["192.0.2.11:2905/sctp", "192.0.2.11:2905/tcp"];
    desired.apply(with_vips("signalling", &both)).unwrap();
    desired.apply(with_probe(None)).unwrap();
}
