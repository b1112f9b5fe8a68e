//! What `lbctl backend-setup` prints, run again, run at the wrong place, and taken back. That it suffices, all tests of
//! traffic show: nothing else sets their backends up.

use std::net::IpAddr;

use lb_tests::{
    bed::{Bed, VIP_V4, VIPS},
    setup, traffic,
};
use serde_json::json;

use crate::scene::{Mode, PORT, Scene, destinations, name, names, set, wait_serving};

const EXIT_FAILED: i32 = 1;
const EXIT_USAGE: i32 = 2;

#[test]
fn a_second_run_changes_nothing_and_the_way_back_leaves_nothing() {
    let scene = Scene::on(Bed::with_bare_backends(1));
    let host = &scene.bed.backends[0];
    let before = state(&scene);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    // The host has a service of each mode; its two addresses share one `lbd decap`.
    for (mode, vip) in [(Mode::Ipip, VIPS[0]), (Mode::Gue, VIPS[1])] {
        control.must("service.add", &scene.service(mode, vip));
    }
    let mut nat = scene.service(Mode::Nat, VIP_V4);
    nat["name"] = json!("nat");
    nat["vips"] = json!(["192.0.2.11:80/tcp", "192.0.2.11:80/udp"]);
    control.must("service.add", &nat);
    let _http = scene.servers();
    for service in [&name(VIPS[0]), &name(VIPS[1]), "nat"] {
        wait_serving(&mut control, service, 1);
    }
    let services = [
        (name(VIPS[0]), VIPS[0]),
        (name(VIPS[1]), VIPS[1]),
        ("nat".to_owned(), VIP_V4),
    ];
    let set_up = |options: &[&str]| {
        let each = services.iter();
        each.map(|(service, vip)| scene.set_up_one(0, service, *vip, options))
            .collect::<Vec<String>>()
    };
    let first = set_up(&[]);
    let (once, process) = (state(&scene), host.place().decap());
    assert!(process.is_some(), "lbd decap runs: {first:?}");
    let twice = set_up(&[]);
    assert_eq!(state(&scene), once);
    assert_eq!(host.place().decap(), process, "the same lbd decap");
    assert_eq!(twice[1..], first[1..], "the same is in effect");
    for words in [
        "10.2.0.2",
        "VIP 192.0.2.10",
        "arp_ignore: 1",
        "--vip=192.0.2.10",
    ] {
        assert!(first[0].contains(words), "no `{words}` in {}", first[0]);
    }
    for words in ["default via 10.2.0.1", "from 10.2.0.2 lookup"] {
        assert!(first[2].contains(words), "no `{words}` in {}", first[2]);
    }

    let undone = scene.set_up_one(0, &services[0].0, VIPS[0], &["--undo"]);
    assert!(undone.contains("no longer"), "{undone}");
    let next = host.place().decap();
    assert!(next.is_some(), "the other service still needs lbd decap");
    assert_ne!(next, process, "with its own VIP only");
    for (service, vip) in &services[1..] {
        scene.set_up_one(0, service, *vip, &["--undo"]);
    }
    assert_eq!(host.place().decap(), None);
    assert_eq!(state(&scene), before);
}

/// What a script changes on the first backend, but for settings.
fn state(scene: &Scene) -> String {
    let namespace = &scene.bed.backends[0].namespace;
    let mut state = namespace.run("ip", &["-o", "address", "show", "dev", "lo"]);
    for version in ["-4", "-6"] {
        state += &namespace.run("ip", &[version, "rule", "show"]);
        state += &namespace.run("ip", &[version, "route", "show", "table", "all"]);
    }
    // Lifetimes and counters of routes that come and go by themselves.
    let lines = state.lines().filter(|line| !line.contains("local fe80::"));
    lines.collect::<Vec<&str>>().join("\n")
}

#[test]
fn nat_replies_find_the_balancer_whatever_other_routes_there_are() {
    let scene = Scene::new(2);
    let _http = scene.servers();
    for host in &scene.bed.backends {
        for version in ["-4", "-6"] {
            host.namespace
                .ip(&format!("{version} route replace unreachable default"));
        }
    }
    let daemon = scene.instance.start();
    scene.serve(&mut daemon.control(), Mode::Nat);
    for to in destinations(Mode::Nat) {
        let answers = names(traffic::ask(&scene.bed.client, to, 20));
        assert_eq!(answers, set(&["b0", "b1"]), "{to}");
    }
}

#[test]
fn strict_reverse_paths_are_loosened_for_clients_that_are_reached_another_way() {
    let scene = Scene::new(1);
    let _http = scene.servers();
    let host = &scene.bed.backends[0].namespace;
    // The way to clients leads by another interface, which would do for replies.
    host.ip("link add other type veth peer name otherpeer");
    host.ip("link set otherpeer up");
    host.ip("link set other up");
    host.ip("route add 10.1.0.0/24 dev other");
    host.ip("route add 10.1.0.2/32 via 10.2.0.1 dev eth0 table 100");
    host.ip("rule add from 192.0.2.10 lookup 100");
    for interface in ["all", "eth0"] {
        host.sysctl(&format!("ipv4/conf/{interface}/rp_filter"), "1");
    }
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    control.must("service.add", &scene.service(Mode::L2, VIP_V4));
    let shown = scene.set_up_one(0, &name(VIP_V4), VIP_V4, &[]);
    assert!(shown.contains("greater counts: 1 2"), "{shown}");
    wait_serving(&mut control, &name(VIP_V4), 1);
    let answers = names(traffic::ask(&scene.bed.client, (VIP_V4, PORT).into(), 3));
    assert_eq!(answers, set(&["b0"]));
}

#[test]
fn on_another_host_or_beside_a_vip_it_refuses_and_changes_nothing() {
    let scene = Scene::new(1);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    control.must("service.add", &scene.service(Mode::L2, VIP_V4));
    let backend = scene.backend(0, VIP_V4);
    let script = setup::printed(&scene.instance.socket(), &name(VIP_V4), backend, &[]);
    let host = &scene.bed.backends[0];
    let refused = host.place().run(&scene.bed.client, &script);
    let refused = refused.expect_err("the client is no backend");
    assert!(
        refused.contains("no interface here has the address 10.2.0.2"),
        "{refused}"
    );

    host.namespace.ip("address add 192.0.2.10/32 dev eth0");
    let refused = host.place().run(&host.namespace, &script);
    let refused = refused.expect_err("the VIP would be told of by ARP");
    assert!(
        refused.contains("192.0.2.10 is an address of eth0"),
        "{refused}"
    );
}

#[test]
fn what_is_not_there_is_named() {
    let scene = Scene::new(1);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    control.must("service.add", &scene.service(Mode::L2, VIP_V4));
    let socket = scene.instance.socket();
    let (web, backend) = (name(VIP_V4), scene.backend(0, VIP_V4));
    let stranger = (IpAddr::from([10, 9, 9, 9]), PORT).into();
    let rows: [(&str, _, &[&str], i32, &str); 4] = [
        ("wbe", backend, &[], EXIT_FAILED, "no service `wbe`"),
        (&web, stranger, &[], EXIT_FAILED, "no backend 10.9.9.9:8080"),
        (
            &web,
            backend,
            &["--with=gre"],
            EXIT_USAGE,
            "write decap or kernel",
        ),
        (
            &web,
            backend,
            &["--from=10.0.0.1/8"],
            EXIT_USAGE,
            "write 10.0.0.0/8",
        ),
    ];
    for (service, backend, options, code, words) in rows {
        let output = setup::asked(&socket, service, backend, options);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "no `{words}` in {said}");
        assert!(output.stdout.is_empty(), "a script was printed");
    }
}
