//! What the host and its network cannot serve is a fault at the backend's place.

use super::*;
use crate::model::{Way, Ways};

const FILE: &str = r#"[[service]]
name = "web"
vips = ["192.0.2.10:80/tcp", "[2001:db8::10]:80/tcp"]
backend = [
  { address = "10.0.0.2:80", mode = "ipip" },
  { address = "10.0.0.3:80", mode = "gue" },
  { address = "[fd00::2]:80", mode = "ipip" },
  { address = "10.0.0.4:80", mode = "l2" },
  { address = "10.0.0.5:80", mode = "local" },
  { address = "10.0.0.6:80", mode = "l2" },
]
[[service]]
name = "four"
vips = ["192.0.2.11:80/tcp"]
mode = "gue"
backend = [{ address = "10.0.0.3:80" }, { address = "10.0.0.9:80" }]
"#;

fn on_link(mtu: u16) -> Way {
    Way::By { on_link: true, mtu }
}

/// Lines and messages of the faults, where backends are reached by `ways`.
fn faults_on(ways: &[(&str, Way)]) -> Vec<(u32, String)> {
    let ways: Ways = ways
        .iter()
        .map(|(address, way)| (address.parse().unwrap(), *way))
        .collect();
    let host = Host {
        ways,
        ..Host::default()
    };
    match text::load(FILE, &host) {
        Ok(_) => Vec::new(),
        Err(Faults(faults)) => faults
            .into_iter()
            .map(|fault| (fault.line.unwrap(), fault.message))
            .collect(),
    }
}

#[test]
fn ways_that_cannot_serve_a_mode_are_faults_of_the_backend() {
    let gateway = Way::By {
        on_link: false,
        mtu: 1_500,
    };
    for (address, way, expected) in [
        // 1,280 bytes inside, and one less.
        ("10.0.0.2", on_link(1_300), None),
        ("10.0.0.2", on_link(1_299), Some((5, "to 1300 or more"))),
        ("10.0.0.3", on_link(1_308), None),
        ("10.0.0.3", on_link(1_307), Some((6, "to 1308 or more"))),
        ("fd00::2", on_link(1_320), None),
        (
            "fd00::2",
            on_link(1_319),
            Some((7, "[2001:db8::10]:80/tcp")),
        ),
        // IPv4 alone needs no such room, and nobody knows an MTU of 0.
        ("10.0.0.9", on_link(600), None),
        ("10.0.0.2", on_link(0), None),
        ("10.0.0.2", gateway, None),
        ("10.0.0.2", Way::Here, Some((5, "use mode local, not ipip"))),
        ("10.0.0.4", on_link(600), None),
        ("10.0.0.4", gateway, Some((8, "use ipip or gue"))),
        ("10.0.0.5", Way::Here, None),
        ("10.0.0.5", gateway, Some((9, "no address of this host"))),
        ("10.0.0.6", Way::Here, Some((10, "use mode local, not l2"))),
    ] {
        let found = faults_on(&[(address, way)]);
        match (expected, found.as_slice()) {
            (None, []) => {}
            (Some((line, words)), [(found, message)]) => {
                assert_eq!(*found, line, "{message}");
                assert!(message.contains(words), "{message}\nlacks: {words}");
                assert!(message.contains(address), "{message}");
            }
            other => panic!("{address} by {way:?}: {other:?}"),
        }
    }
}

#[test]
fn a_port_is_either_a_service_or_the_end_of_tunnels() {
    let file = |daemon: &str, protocol: &str, backend: &str| {
        format!(
            "[daemon]\n{daemon}\n[[service]]\nname = \"web\"\nvips = [\"192.0.2.10:80/tcp\"]\nmode = \"gue\"\n\
             backend = [{{ address = \"10.0.0.2:80\" }}]\n[[service]]\nname = \"games\"\n\
             vips = [\"192.0.2.11:53/{protocol}\"]\nmode = \"nat\"\nbackend = [\n  {{ address = \"{backend}\" }},\n]\n"
        )
    };
    let found = faults(&file("", "udp", "10.0.0.2:6080"));
    let [(place, line, _, message)] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(
        (place.as_str(), *line),
        ("service[1].backend[0].address", 13)
    );
    assert!(message.contains("UDP port 6080"), "{message}");
    assert_eq!(
        faults(&file("gue_port = 53", "udp", "10.0.0.2:53")).len(),
        1
    );
    for (daemon, protocol, backend) in [
        ("", "udp", "10.0.0.2:6081"),
        ("", "tcp", "10.0.0.2:6080"),
        ("", "udp", "10.0.0.3:6080"),
        ("gue_port = 6081", "udp", "10.0.0.2:6080"),
    ] {
        let text = file(daemon, protocol, backend);
        assert!(text::load(&text, &Host::default()).is_ok(), "{text}");
    }
}
