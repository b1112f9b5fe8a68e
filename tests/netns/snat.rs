//! Full NAT to backends that know nothing of it: no VIP, no route to clients.

use lb_tests::{
    bed::VIPS,
    control::Control,
    netns::Namespace,
    traffic::{self, Connection, Server},
};
use serde_json::{Value, json};

use crate::scene::{Mode, Scene, destinations, generation, lone, name, names, set};

/// A scene whose backends can reach the balancer's address on their own link, and nothing else.
fn scene(backends: u8) -> Scene {
    let scene = Scene::new(backends);
    for host in &scene.bed.backends {
        host.namespace.ip("-4 route del default");
        host.namespace.ip("-6 route del default");
    }
    scene
}

fn udp_servers(scene: &Scene) -> Vec<Server> {
    VIPS.into_iter()
        .flat_map(|vip| scene.udp_servers(Mode::Snat, vip))
        .collect()
}

/// The counter of an outcome.
fn count(control: &mut Control, outcome: &str) -> u64 {
    let stats = control.must("stats", &json!({}));
    let count = stats["ledger"].get(outcome).and_then(Value::as_u64);
    count.unwrap_or_else(|| panic!("no outcome {outcome} in {stats:#}"))
}

/// The namespace reaches nobody but its link.
fn has_no_way_to_clients(namespace: &Namespace) -> bool {
    ["-4", "-6"].iter().all(|version| {
        let routes = namespace.run("ip", &[version, "-json", "route", "show", "default"]);
        routes.trim() == "[]"
    })
}

#[test]
fn snat_serves_through_backends_that_have_no_vip_and_no_route_back() {
    let scene = scene(3);
    for host in &scene.bed.backends {
        assert!(has_no_way_to_clients(&host.namespace));
    }
    let _http = scene.servers();
    let _udp = udp_servers(&scene);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::Snat);
    let everybody = set(&["b0", "b1", "b2"]);
    for to in destinations(Mode::Snat) {
        let tcp = names(traffic::ask(&scene.bed.client, to, 400));
        assert_eq!(tcp, everybody, "tcp to {to}");
        let udp = names(traffic::ask_udp(&scene.bed.client, to, 200));
        assert_eq!(udp, everybody, "udp to {to}");
    }
    for outcome in ["drop.ports_exhausted", "drop.unknown_flow"] {
        assert_eq!(count(&mut control, outcome), 0, "{outcome}");
    }
    assert!(count(&mut control, "forward.replied") > 0);
}

#[test]
fn snat_serves_in_generic_xdp() {
    if !lb_tests::kernel::is_5_15() {
        lb_tests::kernel::skipped("this kernel has no generic XDP for redirects (5.15 has)");
        return;
    }
    let scene = scene(2);
    let _http = scene.servers();
    let daemon = scene.instance.start_with(&["--xdp-mode", "generic"]);
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::Snat);
    for to in destinations(Mode::Snat) {
        let tcp = names(traffic::ask(&scene.bed.client, to, 40));
        assert_eq!(tcp, set(&["b0", "b1"]), "tcp to {to}");
    }
}

#[test]
fn flows_beyond_the_last_source_port_are_refused_and_counted() {
    let cpus = possible_cpus();
    let scene = scene(1);
    // Two ports for each CPU, which of them a packet meets being the kernel's choice.
    scene.instance.configure(&format!(
        "[daemon.snat]\nports = \"20000-{}\"",
        20_000 + 2 * cpus - 1
    ));
    let _http = scene.servers();
    let _udp = udp_servers(&scene);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::Snat);
    let [to, other] = destinations(Mode::Snat)[..] else {
        panic!("a VIP of each IP version");
    };
    let answers = traffic::ask_udp(&scene.bed.client, to, 2 * cpus + 2);
    let answered = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!((2..=2 * cpus).contains(&answered), "{answers:?}");
    let refused = count(&mut control, "drop.ports_exhausted");
    assert!(refused >= (answers.len() - answered) as u64, "{refused}");
    // Neither another protocol nor the other IP version suffers from it.
    assert_eq!(
        names(traffic::ask_udp(&scene.bed.client, other, 1)),
        set(&["b0"])
    );
    assert_eq!(names(traffic::ask(&scene.bed.client, to, 1)), set(&["b0"]));
    let stats = control.must("stats", &json!({}));
    assert_eq!(
        stats["services"][0]["name"],
        json!(name(VIPS[0])),
        "{stats:#}"
    );
}

#[test]
fn sources_that_the_operator_has_chosen_are_those_that_backends_see() {
    let scene = scene(1);
    // Only for these addresses does the backend get a way.
    scene
        .instance
        .configure("[daemon.snat]\nsources = [\"10.98.0.0/28\", \"fd00:98::/124\"]");
    let host = &scene.bed.backends[0].namespace;
    let _http = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        scene.bring_up(&mut control, &scene.service(Mode::Snat, vip), vip);
    }
    let mut connections: Vec<Connection> = destinations(Mode::Snat)
        .into_iter()
        .map(|to| Connection::open(&scene.bed.client, to).expect("a connection"))
        .collect();
    for connection in &mut connections {
        assert_eq!(connection.ask().expect("an answer"), "b0");
    }
    let seen = host.run("ss", &["-Htan", "sport = :8080"]);
    for source in ["10.98.0.", "fd00:98::"] {
        assert!(
            seen.contains(source),
            "no connection from {source}:\n{seen}"
        );
    }
}

fn possible_cpus() -> usize {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible").expect("the CPUs");
    let last = text.trim().rsplit(['-', ',']).next().expect("a number");
    last.parse::<usize>().expect("a number") + 1
}

#[test]
fn changes_are_held_to_modes_and_sources_as_configurations_are() {
    let (_namespace, instance) = lone();
    instance.configure("[daemon.snat]\nsources = [\"192.0.2.8/29\"]\n");
    let daemon = instance.start();
    let mut control = daemon.control();
    let service = |vip: &str| json!({"name": "web", "vips": [vip]});
    control.must("service.add", &service("198.51.100.1:3868/sctp"));
    let before = generation(&mut control);
    for (method, params, words) in [
        (
            "service.update",
            json!({"name": "web", "mode": "snat"}),
            "mode snat cannot translate SCTP",
        ),
        (
            "service.update",
            json!({"name": "web", "mode": "nat"}),
            "mode nat cannot translate SCTP",
        ),
        (
            "service.update",
            json!({"name": "web", "vips": ["192.0.2.10:80/tcp"]}),
            "daemon.snat.sources: the IPv4 source holds the address of VIP 192.0.2.10:80/tcp",
        ),
        (
            "config.apply",
            json!({"config": {"service": [service("192.0.2.10:80/tcp")]}}),
            "nothing has changed",
        ),
    ] {
        let refused = control.refused(method, &params);
        assert!(refused.message.contains(words), "{params}: {refused:?}");
    }
    let checked = control.must(
        "config.check",
        &json!({"config": {"service": [service("192.0.2.10:80/tcp")]}}),
    );
    let place = checked.pointer("/faults/0/place");
    assert_eq!(place, Some(&json!("daemon.snat.sources")), "{checked:#}");
    assert_eq!(generation(&mut control), before, "nothing has changed");
    control.must(
        "service.update",
        &json!({"name": "web", "vips": ["198.51.100.1:80/tcp"], "mode": "snat"}),
    );
}
