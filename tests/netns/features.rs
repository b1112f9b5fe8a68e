//! The program looks up what is in use: a change that needs more gets another program, and traffic does not notice.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use lb_tests::{
    bed::{VIP_V4, VIPS},
    control::Control,
    traffic::{self, Load},
    wait,
};
use serde_json::{Value, json};

use crate::scene::{
    LIMIT, Mode, PORT, Scene, destinations, generation, name, names, set, wait_serving,
};

/// A service in mode `nat`, on a port that no other service has.
fn nat(scene: &Scene) -> Value {
    json!({
        "name": "nat",
        "vips": [format!("{VIP_V4}:90/tcp")],
        "mode": "nat",
        "backend": [{"address": scene.backend(0, VIP_V4).to_string()}],
    })
}

/// A service without backends on a prefix.
fn prefix(name: &str, vip: &str) -> Value {
    json!({"name": name, "vips": [vip]})
}

/// Does `changes` while connections and datagrams, none of which may be lost, go through the services of both VIPs.
fn under_traffic(scene: &Scene, changes: impl FnOnce()) {
    let load = Load::begin(&scene.bed.client, destinations(Mode::L2), 12);
    let stop = AtomicBool::new(false);
    let lost = thread::scope(|scope| {
        // Nobody sends a datagram again.
        let datagrams = scope.spawn(|| {
            let mut answers = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                for to in destinations(Mode::L2) {
                    answers.extend(traffic::ask_udp(&scene.bed.client, to, 10));
                }
            }
            answers
        });
        changes();
        load.turn();
        stop.store(true, Ordering::Relaxed);
        datagrams.join().expect("datagrams")
    });
    assert!(lost.len() > 100, "{} datagrams", lost.len());
    assert_eq!(names(lost), set(&["b0", "b1"]));
    let failures = load.end();
    assert!(
        failures.is_empty(),
        "{} failures: {failures:#?}",
        failures.len()
    );
}

/// Every interface has a program, and another one than before, or the same.
fn assert_replaced(scene: &Scene, before: &[Value], replaced: bool) -> Vec<Value> {
    let now = scene.programs();
    for (before, now) in before.iter().zip(&now) {
        assert!(!now.is_null(), "a program everywhere");
        assert_eq!(before != now, replaced, "{before} {now}");
    }
    now
}

fn assert_nat_serves(scene: &Scene) {
    let answers = traffic::ask(&scene.bed.client, (VIP_V4, 90).into(), 5);
    assert_eq!(names(answers), set(&["b0"]));
}

#[test]
fn a_change_that_needs_more_replaces_the_program_and_loses_no_packet() {
    let scene = Scene::new(2);
    let _servers = scene.servers();
    let _udp = VIPS.map(|vip| scene.udp_servers(Mode::L2, vip));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::L2);
    let mut attached = scene.programs();
    under_traffic(&scene, || {
        control.must("service.add", &nat(&scene));
        wait_serving(&mut control, "nat", 1);
        attached = assert_replaced(&scene, &attached, true);
        assert_nat_serves(&scene);
        control.must("service.add", &prefix("range", "203.0.113.0/28:80/tcp"));
        attached = assert_replaced(&scene, &attached, true);
        // What the program does, it need not learn again.
        control.must("service.remove", &json!({"name": "nat", "force": true}));
        control.must("service.add", &nat(&scene));
        control.must("service.add", &prefix("more", "[2001:db8:77::/64]:*/udp"));
        attached = assert_replaced(&scene, &attached, false);
        assert_nat_serves(&scene);
    });
    let status = control.must("status", &json!({}));
    assert_eq!(status["in_sync"], json!(true), "{status:#}");
}

#[test]
fn a_start_that_needs_more_replaces_the_program_before_it_publishes() {
    let scene = Scene::new(2);
    let _servers = scene.servers();
    let _udp = VIPS.map(|vip| scene.udp_servers(Mode::L2, vip));
    let directly = VIPS.map(|vip| text_of(&scene.service(Mode::L2, vip)));
    scene.instance.configure(&directly.concat());
    let daemon = scene.instance.start();
    for vip in VIPS {
        wait_serving(&mut daemon.control(), &name(vip), 2);
        scene.set_up(&name(vip), vip, &[]);
    }
    under_traffic(&scene, || {
        assert!(daemon.stop().success());
        let translated = text_of(&nat(&scene));
        scene
            .instance
            .configure(&[directly.concat(), translated].concat());
        let daemon = scene.instance.start();
        wait_serving(&mut daemon.control(), "nat", 1);
        assert_nat_serves(&scene);
    });
}

/// `service` as it stands in a file: JSON's strings and lists are TOML's, too.
fn text_of(service: &Value) -> String {
    let head = ["name", "vips", "mode"].map(|field| format!("{field} = {}\n", service[field]));
    let backends = service["backend"].as_array().expect("backends").iter();
    let backends = backends.map(|it| format!("[[service.backend]]\naddress = {}\n", it["address"]));
    ["[[service]]\n".to_owned()]
        .into_iter()
        .chain(head)
        .chain(backends)
        .collect()
}

#[test]
fn a_change_is_refused_if_its_program_cannot_be_had() {
    let scene = Scene::new(2);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::L2);
    let attached = scene.programs();
    let wanted = |control: &mut Control| control.must("service.list", &json!({}));
    let before = (generation(&mut control), wanted(&mut control));
    let maps = format!("maps-v{}", lb_common::names::ABI_VERSION);
    let pin = scene.instance.bpffs().path().join(maps);
    let pin = pin.join(lb_common::names::FRAGMENTS_V6);
    // What stands there cannot be opened, and no pin can be put there.
    fs::remove_file(&pin).expect("a pinned map");
    fs::create_dir(&pin).expect("a directory");

    let refused = control.refused("service.add", &nat(&scene));
    for words in ["nothing has changed", lb_common::names::FRAGMENTS_V6] {
        assert!(refused.message.contains(words), "{refused:?}");
    }
    assert_eq!((generation(&mut control), wanted(&mut control)), before);
    assert_replaced(&scene, &attached, false);
    // What needs no other program goes on.
    let to = (VIP_V4, PORT).into();
    assert_eq!(
        names(traffic::ask(&scene.bed.client, to, 30)),
        set(&["b0", "b1"])
    );
    control.must("service.add", &prefix("address", "192.0.2.20:80/tcp"));
    wait::until("all is as wanted", LIMIT, || {
        control.must("status", &json!({}))["in_sync"] == json!(true)
    });
    // A pin that is merely gone is put back first.
    fs::remove_dir(&pin).expect("a directory");
    control.must("service.add", &nat(&scene));
    assert!(pin.is_file(), "the map is pinned again");
    assert_replaced(&scene, &attached, true);
}
