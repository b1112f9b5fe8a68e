//! Probes that go the way of clients' packets: what they find that probes of the backend's own address do not.

use std::{net::IpAddr, path::Path};

use lb_tests::{
    bed::{Bed, VIP_V4, VIPS},
    control::Control,
    traffic, wait,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::scene::{
    LIMIT, Mode, PORT, Scene, backends, name, names, probe_time, set, wait_serving,
};

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

fn finds_what_breaks(mode: Mode) {
    let scene = match mode {
        Mode::Ipip | Mode::Gue => Scene::on(Bed::with_bare_backends(2)),
        _ => Scene::new(2),
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
