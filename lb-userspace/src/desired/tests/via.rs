//! Probes that go to the VIP: which services may have them.

use super::*;
use crate::{
    desired::rules::{Breach, Part, via_breaches},
    model::{
        DnsCheck, ExecCheck, GrpcCheck, HttpCheck, Probe, ProbeKind, RecordType, Service, Via,
    },
};

const V4: &str = "10.0.0.11:80";
const V6: &str = "[fd00::11]:80";

fn probed(vips: &[&str], backends: &[(&str, Mode)], port: Option<u16>) -> Service {
    let mut service = service("web", vips[0], &[]);
    service.vips = vips.iter().map(|vip| vip.parse().unwrap()).collect();
    service.mode = Mode::Nat;
    for (address, mode) in backends {
        let backend = backend(address, *mode);
        service.backends.insert(backend.address, backend);
    }
    service.probe = Some(Probe {
        via: Via::Vip,
        port,
        ..Probe::new(ProbeKind::Tcp)
    });
    service
}

fn broken(service: &Service) -> Vec<Breach> {
    let Service {
        vips,
        mode,
        backends,
        probe,
        ..
    } = service;
    let breaches = via_breaches(vips, *mode, backends, probe.as_ref()).into_iter();
    breaches
        .map(|(part, breach)| {
            assert_eq!(part, Part::Probe("via"));
            breach
        })
        .collect()
}

#[test]
fn a_probe_goes_to_the_first_vip_that_it_can_speak_to_in_the_backends_version() {
    for (vips, backend, port, to) in [
        (&["192.0.2.1:443/tcp"][..], V4, None, Some("192.0.2.1:443")),
        (
            &["192.0.2.1:443/tcp", "192.0.2.1:80/tcp"],
            V4,
            None,
            Some("192.0.2.1:80"),
        ),
        (
            &["192.0.2.1:53/udp", "192.0.2.1:80/tcp"],
            V4,
            None,
            Some("192.0.2.1:80"),
        ),
        (
            &["192.0.2.1:*/tcp", "192.0.2.9:80/tcp"],
            V4,
            None,
            Some("192.0.2.9:80"),
        ),
        (&["192.0.2.1:*/tcp"], V4, None, None),
        (
            &["192.0.2.1:*/tcp"],
            V4,
            Some(8_080),
            Some("192.0.2.1:8080"),
        ),
        (&["192.0.2.1:53/udp"], V4, None, None),
        (
            &["192.0.2.1:53/udp"],
            V4,
            Some(8_080),
            Some("192.0.2.1:8080"),
        ),
        (&["192.0.2.16/28:80/tcp"], V4, None, Some("192.0.2.16:80")),
        (&["192.0.2.1:80/tcp"], V6, None, None),
        (
            &["192.0.2.1:80/tcp", "[2001:db8::1]:81/tcp"],
            V6,
            None,
            Some("[2001:db8::1]:81"),
        ),
    ] {
        let service = probed(vips, &[(backend, Mode::Gue)], port);
        let probe = service.probe.clone().unwrap();
        let address: SocketAddr = backend.parse().unwrap();
        let found = probe.vip_for(&service.vips, address.ip());
        assert_eq!(
            found.map(|it| it.to_string()).as_deref(),
            to,
            "{vips:?} for {backend}"
        );
        assert_eq!(
            broken(&service).is_empty(),
            to.is_some(),
            "{vips:?} for {backend}"
        );
    }
}

#[test]
fn what_speaks_udp_goes_to_a_vip_of_udp_and_what_speaks_to_no_port_to_none() {
    let tcp = Some("192.0.2.1:80");
    let udp = Some("192.0.2.1:53");
    let dns = DnsCheck {
        query: "www.example.com".parse().unwrap(),
        record: RecordType::A,
        min_answers: 1,
    };
    let command = vec!["/bin/true".to_owned()];
    for (kind, to) in [
        (ProbeKind::Tcp, tcp),
        (ProbeKind::Http(HttpCheck::get("/")), tcp),
        (ProbeKind::Grpc(GrpcCheck::default()), tcp),
        (ProbeKind::Dns(dns), udp),
        (ProbeKind::Icmp, None),
        (ProbeKind::Exec(ExecCheck { command }), None),
    ] {
        let word = kind.word();
        let vips = ["192.0.2.1:53/udp", "192.0.2.1:80/tcp"];
        let mut service = probed(&vips, &[(V4, Mode::L2)], None);
        let probe = Probe {
            kind,
            ..service.probe.take().unwrap()
        };
        let address: SocketAddr = V4.parse().unwrap();
        let found = probe.vip_for(&service.vips, address.ip());
        let found = found.map(|it| it.to_string());
        assert_eq!(found.as_deref(), to, "{word}");
        service.probe = Some(probe);
        let wanted: &[Breach] = match to {
            Some(_) => &[],
            None => &[Breach::ViaOfType(word)],
        };
        assert_eq!(broken(&service), wanted, "{word}");
    }
}

#[test]
fn a_service_needs_backends_that_have_the_vip() {
    let vips = ["192.0.2.1:80/tcp"];
    let nat = [(V4, Mode::Nat), ("10.0.0.12:80", Mode::Snat)];
    assert_eq!(
        broken(&probed(&vips, &nat, None)),
        [Breach::ViaWithoutDirect]
    );
    let mixed = [(V4, Mode::Nat), ("10.0.0.12:80", Mode::L2)];
    let service = probed(&vips, &mixed, None);
    assert_eq!(broken(&service), []);
    let ways = service.backends.values();
    let ways: Vec<Via> = ways.map(|it| service.probe_of(it).unwrap().via).collect();
    assert_eq!(ways, [Via::Direct, Via::Vip]);
    // One that is yet to get backends in its own mode.
    let mut empty = probed(&vips, &[], None);
    assert_eq!(broken(&empty), [Breach::ViaWithoutDirect]);
    empty.mode = Mode::Ipip;
    assert_eq!(broken(&empty), []);
    assert!(!empty.is_probed_via_vip() && service.is_probed_via_vip());
}

#[test]
fn breaches_are_found_in_services_and_say_what_to_do() {
    let service = probed(&["192.0.2.1:80/tcp"], &[(V6, Mode::Gue)], None);
    let desired = Desired::default();
    assert_refused(
        &desired,
        Change::AddService(service),
        RefusalKind::Invalid,
        "no VIP of its IP version",
    );
}
