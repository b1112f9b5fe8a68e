//! What each mode needs, and what is left when it is taken back.

use super::*;
use crate::{
    config::{self, text},
    model::Sources,
    neighbor::NextHop,
};

const FILE: &str = r#"
[[service]]
name = "web"
vips = ["192.0.2.10:80/tcp", "[2001:db8::10]:80/tcp"]
mode = "ipip"
[[service.backend]]
address = "10.0.0.2:80"
[[service.backend]]
address = "[fd00::2]:80"
mode = "gue"
[[service.backend]]
address = "10.0.0.3:80"
mode = "l2"
[[service.backend]]
address = "10.0.0.1:80"
mode = "local"

[[service]]
name = "dns"
vips = ["192.0.2.10:53/udp", "192.0.2.53:53/udp"]
mode = "gue"
[[service.backend]]
address = "10.0.0.2:53"

[[service]]
name = "nat"
vips = ["192.0.2.11:80/tcp"]
mode = "nat"
[[service.backend]]
address = "10.0.0.2:8080"
[[service.backend]]
address = "10.0.0.3:8080"
[[service.backend]]
address = "10.0.0.4:8080"
"#;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn next_hops() -> NextHops {
    let hop = |source: &str, on_link| {
        Ok(NextHop {
            interface: 2,
            on_link,
            source: Some(ip(source)),
            mtu: 1_500,
            ..NextHop::default()
        })
    };
    [
        (ip("10.0.0.2"), hop("10.0.0.1", true)),
        (ip("fd00::2"), hop("fd00::1", true)),
        (ip("10.0.0.3"), hop("10.0.0.1", false)),
        (ip("10.0.0.4"), Err(Unresolved::NoRoute)),
        (ip("10.0.0.1"), Err(Unresolved::Local)),
    ]
    .into()
}

fn asked(service: &str, backend: &str, choice: &Choice) -> Result<Setup, Unknown> {
    let desired = text::load(FILE, &config::Host::default()).unwrap().desired;
    let site = Site {
        desired: &desired,
        next_hops: &next_hops(),
        sources: ChosenSources::default(),
        gue_port: 6_080,
    };
    let service = &desired.services[&service.parse().unwrap()];
    setup(
        site,
        service,
        &service.backends[&backend.parse().unwrap()],
        choice,
    )
}

fn vip(text: &str) -> Step {
    Step::Vip {
        addresses: text.parse().unwrap(),
    }
}

/// The VIPs of `web` on loopback.
fn web_vips() -> Vec<Step> {
    let [ignore, announce] = Step::silent_arp();
    let path = Step::ReversePath { device: None };
    vec![
        ignore,
        announce,
        path,
        vip("192.0.2.10"),
        vip("2001:db8::10"),
    ]
}

fn decap(from: &[&str], to: &str, vips: &[&str]) -> Step {
    Step::Decap {
        from: from.iter().map(|text| text.parse().unwrap()).collect(),
        to: ip(to),
        vips: vips.iter().map(|text| text.parse().unwrap()).collect(),
        gue_port: 6_080,
    }
}

#[test]
fn l2_needs_the_vips_on_loopback_and_silence() {
    let setup = asked("web", "10.0.0.3:80", &Choice::default()).unwrap();
    assert_eq!(setup.steps, web_vips());
    assert_eq!(setup.room, None);
    assert!(
        setup.notes[0].contains("behind a router"),
        "{:?}",
        setup.notes
    );
}

#[test]
fn tunnels_need_a_receiver_for_all_services_of_the_host() {
    let setup = asked("web", "10.0.0.2:80", &Choice::default()).unwrap();
    let all = ["192.0.2.10", "192.0.2.53", "2001:db8::10"];
    let mut expected = web_vips();
    expected.push(decap(&["10.0.0.1"], "10.0.0.2", &all));
    assert_eq!(setup.steps, expected);
    let room = Room {
        mtu: 1_500,
        overhead: 20,
        packet: 1_480,
        mss_v4: Some(1_440),
        mss_v6: Some(1_420),
    };
    assert_eq!(setup.room, Some(room));
}

#[test]
fn tunnels_come_from_the_chosen_prefix_and_from_other_balancers() {
    let desired = text::load(FILE, &config::Host::default()).unwrap().desired;
    let site = Site {
        desired: &desired,
        next_hops: &NextHops::new(),
        sources: ChosenSources {
            tunnel: Sources {
                v4: Some("10.99.0.0/16".parse().unwrap()),
                v6: None,
            },
            ..ChosenSources::default()
        },
        gue_port: 6_080,
    };
    let service = &desired.services[&"dns".parse().unwrap()];
    let choice = Choice {
        from: vec!["10.0.0.9".parse().unwrap()],
        ..Choice::default()
    };
    let backend = &service.backends[&"10.0.0.2:53".parse().unwrap()];
    let setup = setup(site, service, backend, &choice).unwrap();
    let Some(Step::Decap { from, .. }) = setup.steps.last() else {
        panic!("no decap in {:?}", setup.steps);
    };
    assert_eq!(
        *from,
        ["10.0.0.9", "10.99.0.0/16"].map(|text| text.parse().unwrap())
    );
}

#[test]
fn the_kernel_needs_a_device_for_each_pair_of_ip_versions() {
    let choice = Choice {
        receiver: Receiver::Kernel,
        ..Choice::default()
    };
    for (backend, fou, kinds) in [
        (
            "10.0.0.2:80",
            false,
            &[TunnelKind::Ipip, TunnelKind::Sit] as &[_],
        ),
        ("[fd00::2]:80", true, &[TunnelKind::Ip6tnl]),
    ] {
        let setup = asked("web", backend, &choice).unwrap();
        let devices: Vec<TunnelKind> = setup
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Tunnel { kind, .. } => Some(*kind),
                Step::Sysctl { .. }
                | Step::ReversePath { .. }
                | Step::Vip { .. }
                | Step::Fou { .. }
                | Step::Decap { .. }
                | Step::ReplyRoute { .. }
                | Step::ReplyRule { .. }
                | Step::SourceRoute { .. } => None,
            })
            .collect();
        assert_eq!(devices, kinds, "{backend}");
        let port = Step::Fou {
            port: 6_080,
            ipv6: true,
        };
        assert_eq!(setup.steps.contains(&port), fou, "{backend}");
        assert!(setup.notes[0].contains("firewall"), "{:?}", setup.notes);
    }
}

#[test]
fn nat_needs_a_way_back_and_local_needs_nothing() {
    let setup = asked("nat", "10.0.0.2:8080", &Choice::default()).unwrap();
    let steps = [
        Step::ReversePath { device: None },
        Step::ReplyRoute {
            via: ip("10.0.0.1"),
        },
        Step::ReplyRule {
            from: ip("10.0.0.2"),
        },
    ];
    assert_eq!(setup.steps, steps);
    let routed = asked("nat", "10.0.0.3:8080", &Choice::default()).unwrap();
    assert_eq!(routed.steps, steps[..1]);
    assert!(routed.notes[0].contains("routers"), "{:?}", routed.notes);
    let local = asked("web", "10.0.0.1:80", &Choice::default()).unwrap();
    assert_eq!(local.steps, []);
    assert!(local.notes[0].contains("nothing"), "{:?}", local.notes);
}

#[test]
fn what_is_not_known_is_said_with_the_reason() {
    let error = asked("nat", "10.0.0.4:8080", &Choice::default()).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("10.0.0.4") && error.contains("no route"),
        "{error}"
    );
}

#[test]
fn the_way_back_keeps_what_other_services_of_the_host_need() {
    let choice = Choice {
        undo: true,
        ..Choice::default()
    };
    let web = asked("web", "10.0.0.2:80", &choice).unwrap();
    assert_eq!(web.undo, [vip("2001:db8::10")]);
    let rest = decap(&["10.0.0.1"], "10.0.0.2", &["192.0.2.10", "192.0.2.53"]);
    assert_eq!(web.steps, [rest]);
    let alone = asked("web", "[fd00::2]:80", &choice).unwrap();
    assert_eq!(alone.steps, []);
    assert_eq!(
        alone.undo,
        [
            decap(&["fd00::1"], "fd00::2", &["192.0.2.10", "2001:db8::10"]),
            vip("2001:db8::10"),
            vip("192.0.2.10"),
        ]
    );
}

#[test]
fn snat_needs_a_way_only_to_sources_that_are_not_the_balancers_own() {
    let text = FILE.replace("mode = \"nat\"", "mode = \"snat\"");
    let desired = text::load(&text, &config::Host::default()).unwrap().desired;
    let service = &desired.services[&"nat".parse().unwrap()];
    let steps = |source: Option<&str>, backend: &str| {
        let site = Site {
            desired: &desired,
            next_hops: &next_hops(),
            sources: ChosenSources {
                snat: Sources {
                    v4: source.map(|text| text.parse().unwrap()),
                    v6: None,
                },
                ..ChosenSources::default()
            },
            gue_port: 6_080,
        };
        let backend = &service.backends[&backend.parse().unwrap()];
        let setup = setup(site, service, backend, &Choice::default()).unwrap();
        (setup.steps, setup.notes)
    };
    let nothing = (Vec::new(), Vec::new());
    assert_eq!(steps(None, "10.0.0.2:8080"), nothing);
    assert_eq!(steps(Some("10.0.0.1"), "10.0.0.2:8080"), nothing);
    let route = Step::SourceRoute {
        to: "10.98.0.0/28".parse().unwrap(),
        via: ip("10.0.0.1"),
    };
    assert_eq!(
        steps(Some("10.98.0.0/28"), "10.0.0.2:8080"),
        (vec![route], Vec::new())
    );
    let (none, notes) = steps(Some("10.98.0.0/28"), "10.0.0.3:8080");
    assert_eq!(none, []);
    assert!(notes[0].contains("10.98.0.0/28"), "{notes:?}");
}

#[test]
fn vips_that_are_a_prefix_are_the_hosts_own_as_one() {
    let text = FILE.replace("192.0.2.53:53/udp", "203.0.113.0/28:53/udp");
    let desired = text::load(&text, &config::Host::default()).unwrap().desired;
    let service = &desired.services[&"dns".parse().unwrap()];
    assert_eq!(
        vip_steps(service)[3..],
        [vip("192.0.2.10"), vip("203.0.113.0/28")]
    );
}
