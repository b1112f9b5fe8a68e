//! The daemon comes and goes; traffic does not notice.

use lb_tests::{
    bed::VIPS,
    control::Control,
    daemon::Daemon,
    traffic::{self, Load},
};
use serde_json::{Value, json};

use crate::scene::{Mode, Scene, destinations, generation, name, names, set, wait_serving};

#[test]
fn restart_loses_no_request_and_moves_no_flow_in_l2() {
    goes_on(Mode::L2, stopped);
}

#[test]
fn restart_loses_no_request_and_moves_no_flow_in_nat() {
    goes_on(Mode::Nat, stopped);
}

#[test]
fn kill_loses_no_request_and_moves_no_flow_in_l2() {
    goes_on(Mode::L2, killed);
}

#[test]
fn kill_loses_no_request_and_moves_no_flow_in_nat() {
    goes_on(Mode::Nat, killed);
}

#[test]
fn restart_loses_no_request_and_moves_no_flow_in_snat() {
    goes_on(Mode::Snat, stopped);
}

#[test]
fn kill_loses_no_request_and_moves_no_flow_in_snat() {
    goes_on(Mode::Snat, killed);
}

fn stopped(daemon: Daemon<'_>) {
    let status = daemon.stop();
    assert!(status.success(), "lbd ended with {status}");
}

fn killed(daemon: Daemon<'_>) {
    daemon.kill();
}

/// The daemon ends as `end` says, under traffic; traffic goes on; the daemon starts and adopts what is there.
fn goes_on(mode: Mode, end: fn(Daemon<'_>)) {
    let scene = Scene::new(3);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, mode);
    let load = Load::begin(&scene.bed.client, destinations(mode), 24);
    let before = (generation(&mut control), services(&mut control));
    let attached = scene.programs();
    let forwarded = forwarded_packets(&mut control);

    end(daemon);
    load.turn();
    assert_eq!(
        scene.programs(),
        attached,
        "forwarding goes on without the daemon"
    );

    let daemon = scene.instance.start();
    let mut control = daemon.control();
    load.turn();
    for vip in VIPS {
        wait_serving(&mut control, &name(vip), 3);
    }
    load.turn();
    let failures = load.end();
    assert!(
        failures.is_empty(),
        "{} failures: {failures:#?}",
        failures.len()
    );
    let after = (generation(&mut control), services(&mut control));
    assert_eq!(after, before, "(generation, services)");
    assert!(
        !scene.programs().contains(&Value::Null),
        "still attached everywhere"
    );
    let status = control.must("status", &json!({}));
    assert_eq!(status["in_sync"], json!(true), "{status:#}");
    assert!(
        forwarded_packets(&mut control) > forwarded,
        "counters go on"
    );
}

#[test]
fn changes_over_the_socket_survive_a_restart() {
    let scene = Scene::new(3);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::Nat);
    for vip in VIPS {
        let backend = |number| scene.backend(number, vip).to_string();
        let service = name(vip);
        control.must(
            "backend.remove",
            &json!({"service": service, "address": backend(2), "force": true}),
        );
        control.must(
            "backend.drain",
            &json!({"service": service, "address": backend(1)}),
        );
        control.must(
            "backend.update",
            &json!({"service": service, "address": backend(0), "weight": 7}),
        );
    }
    let before = services(&mut control);
    stopped(daemon);

    let daemon = scene.instance.start();
    let mut control = daemon.control();
    assert_eq!(services(&mut control), before);
    for vip in VIPS {
        wait_serving(&mut control, &name(vip), 1);
    }
    for to in destinations(Mode::Nat) {
        assert_eq!(names(traffic::ask(&scene.bed.client, to, 20)), set(&["b0"]));
    }
}

#[test]
fn services_of_the_file_are_served() {
    let scene = Scene::new(2);
    let _servers = scene.servers();
    let [vip, _] = VIPS;
    scene.instance.configure(&format!(
        r#"
        [[service]]
        name = "web"
        vips = ["{vip}:8080/tcp"]
        [[service.backend]]
        address = "{}"
        [[service.backend]]
        address = "{}"
        state = "drain"
        "#,
        scene.backend(0, vip),
        scene.backend(1, vip),
    ));
    let daemon = scene.instance.start();
    wait_serving(&mut daemon.control(), "web", 1);
    scene.set_up("web", vip, &[]);
    let answers = traffic::ask(&scene.bed.client, (vip, 8_080).into(), 10);
    assert_eq!(names(answers), set(&["b0"]));
}

#[test]
fn stop_with_detach_takes_everything_off() {
    let scene = Scene::new(1);
    let _servers = scene.servers();
    let daemon = scene.instance.start_with(&["--detach-on-stop"]);
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::L2);
    // Left by a version with another layout of maps.
    let older = scene.instance.bpffs().path().join("maps-v1");
    std::fs::create_dir(&older).expect("a directory of pins");
    stopped(daemon);
    assert!(!older.exists(), "{} is there", older.display());
    assert_eq!(scene.programs(), vec![Value::Null; 2]);
    assert_eq!(
        scene.instance.bpffs().pins(),
        Vec::<std::path::PathBuf>::new()
    );
}

fn services(control: &mut Control) -> Value {
    control.must("service.list", &json!({}))
}

fn forwarded_packets(control: &mut Control) -> u64 {
    let stats = control.must("stats", &json!({}));
    stats["ledger"]["forward.forwarded"]
        .as_u64()
        .expect("a count")
}
