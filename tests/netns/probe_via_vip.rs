//! Probes that go the way of clients' packets: what they find that probes of the backend's own address do not.

use std::{net::IpAddr, path::Path};

use lb_tests::{
    bed::{Bed, VIP_V4, VIPS},
    control::Control,
    kernel, traffic, wait,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::scene::{LIMIT, Mode, PORT, Scene, backends, name, names, set, wait_serving};

#[test]
fn a_vip_that_is_missing_on_a_backend_is_found_in_l2() {
    finds_what_breaks(Mode::L2);
}

#[test]
fn a_vip_or_tunnel_that_is_broken_is_found_in_ipip() {
    finds_what_breaks(Mode::Ipip);
}

#[test]
fn a_vip_or_tunnel_that_is_broken_is_found_in_gue() {
    finds_what_breaks(Mode::Gue);
}

/// Whether this machine has what interfaces of probes are made of; if not, the calling test has said that it is skipped.
fn has_taps() -> bool {
    Path::new("/dev/net/tun").exists() || kernel::has_modules(&["tun"])
}

fn finds_what_breaks(mode: Mode) {
    if !has_taps() {
        return;
    }
    let scene = match mode {
        Mode::Ipip | Mode::Gue => Scene::on(Bed::with_bare_backends(2)),
        Mode::L2 | Mode::Nat | Mode::Snat => Scene::new(2),
    };
    let _http = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        serve(&scene, &mut control, mode, vip);
    }
    let broken = &scene.bed.backends[0];
    for vip in VIPS {
        broken.namespace.ip(&format!("address del {vip} dev lo"));
        wait_serving(&mut control, &name(vip), 1);
        assert_eq!(health(&mut control, &scene, vip), json!("down"));
        let own = traffic::ask(&scene.bed.balancer, scene.backend(0, vip), 1);
        assert_eq!(names(own), set(&["b0"]), "its own address answers");
        let clients = traffic::ask(&scene.bed.client, (vip, PORT).into(), 20);
        assert_eq!(names(clients), set(&["b1"]));

        broken.namespace.ip(&format!("address add {vip} dev lo"));
        wait_serving(&mut control, &name(vip), 2);
    }
    if let Some(decap) = broken.place().decap() {
        let process = Pid::from_raw(decap).expect("a process");
        kill_process(process, Signal::TERM).expect("ending lbd decap");
        for vip in VIPS {
            wait_serving(&mut control, &name(vip), 1);
            assert_eq!(health(&mut control, &scene, vip), json!("down"));
        }
    }
    let stats = control.must("stats", &json!({}));
    assert_ne!(
        stats["ledger"]["forward.probe_replied"],
        json!(0),
        "{stats:#}"
    );
    assert_ne!(stats["ledger"]["pass.probe_reply"], json!(0), "{stats:#}");
    assert_eq!(
        stats["services"][0]["backends"][0]["flows"].as_u64(),
        Some(0),
        "{stats:#}"
    );
}

/// Adds the service on `vip`, probed through it, sets its backends up and waits until all serve.
fn serve(scene: &Scene, control: &mut Control, mode: Mode, vip: IpAddr) {
    control.must("service.add", &service(scene, mode, vip));
    scene.set_up(&name(vip), vip, &[]);
    wait_serving(control, &name(vip), scene.bed.backends.len());
}

fn service(scene: &Scene, mode: Mode, vip: IpAddr) -> Value {
    let mut service = scene.service(mode, vip);
    service["probe"]["via"] = json!("vip");
    service
}

/// The health of the first backend of the service on `vip`.
fn health(control: &mut Control, scene: &Scene, vip: IpAddr) -> Value {
    let address = scene.backend(0, vip).to_string();
    let mut listed = backends(control, &name(vip)).into_iter();
    let found = listed.find(|backend| backend["address"] == json!(address));
    found.expect("the backend")["health"].clone()
}

/// The VIP is an address of the balancer's own, and its kernel distrusts sources that come in by another interface than
/// it would answer by.
#[test]
fn the_balancer_may_have_the_vip_itself_and_be_strict() {
    let scene = Scene::new(2);
    for vip in VIPS {
        scene.bed.balancer.ip(&format!("address add {vip} dev lo"));
    }
    let _http = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.bed.balancer.sysctl("ipv4/conf/all/rp_filter", "1");
    for vip in VIPS {
        serve(&scene, &mut control, Mode::L2, vip);
    }
    // In this network answers to clients come by the balancer, too, which takes the VIP in them for a forgery; probes
    // go on.
    answered(&mut control);
    for vip in VIPS {
        wait_serving(&mut control, &name(vip), 2);
    }
}

#[test]
fn a_new_process_goes_on_probing_and_leaves_no_interface_behind() {
    let scene = Scene::new(2);
    let _http = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    assert_eq!(
        interfaces_of_probes(&scene),
        0,
        "nothing is probed by its VIP"
    );
    serve(&scene, &mut control, Mode::L2, VIP_V4);
    assert_eq!(interfaces_of_probes(&scene), 1);
    daemon.kill();
    wait::until("the interface goes with the process", LIMIT, || {
        interfaces_of_probes(&scene) == 0
    });

    let daemon = scene.instance.start();
    let mut control = daemon.control();
    assert_eq!(interfaces_of_probes(&scene), 1);
    let healthy = |control: &mut Control| {
        let listed = backends(control, &name(VIP_V4));
        listed.iter().all(|it| it["health"] == json!("up"))
    };
    assert!(healthy(&mut control), "health is adopted");
    answered(&mut control);
    assert!(healthy(&mut control));
    assert!(daemon.stop().success());
    assert_eq!(interfaces_of_probes(&scene), 0);
}

#[test]
fn an_interface_of_probes_that_was_taken_away_is_made_anew() {
    let scene = Scene::new(1);
    let _http = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    serve(&scene, &mut control, Mode::L2, VIP_V4);
    scene.bed.balancer.ip("link delete lbp0");
    wait::until("the interface is there again", LIMIT, || {
        interfaces_of_probes(&scene) == 1
    });
    answered(&mut control);
    wait_serving(&mut control, &name(VIP_V4), 1);
}

#[test]
fn aliases_that_are_somebody_elses_addresses_are_refused() {
    let scene = Scene::new(1);
    scene
        .instance
        .configure("probe_aliases = [\"10.2.0.0/24\"]");
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    let service = service(&scene, Mode::L2, VIP_V4);
    let refused = control.refused("service.add", &service);
    assert!(
        refused
            .message
            .contains("10.2.0.1 is an address of this host"),
        "{refused:?}"
    );
    assert_eq!(interfaces_of_probes(&scene), 0);
    scene.bed.balancer.ip("address del 10.2.0.1/24 dev b0");
    let refused = control.refused("service.add", &service);
    assert!(
        refused.message.contains("choose other probe_aliases"),
        "{refused:?}"
    );
}

/// How many interfaces of probes the balancer has.
fn interfaces_of_probes(scene: &Scene) -> usize {
    let shown = scene.bed.balancer.run("ip", &["-brief", "link", "show"]);
    shown.lines().filter(|it| it.starts_with("lbp")).count()
}

/// Waits until more probes have been answered.
fn answered(control: &mut Control) {
    let mut count = || {
        let stats = control.must("stats", &json!({}));
        stats["ledger"]["pass.probe_reply"]
            .as_u64()
            .expect("a count")
    };
    let before = count();
    wait::until("probes are answered", LIMIT, || count() > before + 10);
}

#[test]
fn probes_go_by_generic_xdp_where_all_does() {
    if !kernel::is_5_15() {
        kernel::skipped("this kernel has no generic XDP for redirects (5.15 has)");
        return;
    }
    let scene = Scene::new(2);
    let _http = scene.servers();
    let daemon = scene.instance.start_with(&["--xdp-mode", "generic"]);
    let mut control = daemon.control();
    for vip in VIPS {
        serve(&scene, &mut control, Mode::L2, vip);
    }
    let shown = scene
        .bed
        .balancer
        .run("ip", &["link", "show", "dev", "lbp0"]);
    assert!(shown.contains("xdpgeneric"), "{shown}");
}
