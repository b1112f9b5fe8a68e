//! Everything that can be changed and asked over the control socket.

use std::process::Command;

use lb_tests::{bed::VIP_V4, daemon::binary, traffic};
use serde_json::json;

use crate::scene::{
    LIMIT, Mode, Scene, backends, destinations, generation, lone, name, names, set, wait_moved,
    wait_serving,
};

#[test]
fn versions_are_told() {
    let (_namespace, instance) = lone();
    let daemon = instance.start();
    let version = daemon.control().must("version", &json!({}));
    assert_eq!(version["api"], json!(1), "{version:#}");
    assert_eq!(
        version["abi"],
        json!(lb_common::names::ABI_VERSION),
        "{version:#}"
    );
    assert!(
        version["daemon"].is_string() && version["kernel"].is_string(),
        "{version:#}"
    );
}

#[test]
fn backends_are_added_weighted_and_removed_under_traffic() {
    let scene = Scene::new(3);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::L2);
    let to = destinations(Mode::L2)[0];
    let service = name(VIP_V4);
    let backend =
        |number| json!({"service": service, "address": scene.backend(number, VIP_V4).to_string()});

    let mut remove = backend(2);
    remove["force"] = json!(true);
    control.must("backend.remove", &remove);
    assert_eq!(backends(&mut control, &service).len(), 2);
    assert_eq!(
        names(traffic::ask(&scene.bed.client, to, 40)),
        set(&["b0", "b1"])
    );

    control.must("backend.add", &backend(2));
    wait_serving(&mut control, &service, 3);
    assert_eq!(
        names(traffic::ask(&scene.bed.client, to, 60)),
        set(&["b0", "b1", "b2"])
    );

    let mut heavy = backend(0);
    heavy["weight"] = json!(1_000);
    control.must("backend.update", &heavy);
    wait_moved(&mut control, &service, false);
    let answers = traffic::ask(&scene.bed.client, to, 60);
    let heavy = answers
        .iter()
        .flatten()
        .filter(|name| *name == "b0")
        .count();
    assert!(
        heavy >= 50,
        "{heavy} of 60 requests went to a backend with nearly all the weight"
    );
}

#[test]
fn drained_removal_ends_when_its_time_has_passed() {
    let scene = Scene::new(2);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::L2);
    let service = name(VIP_V4);
    let address = scene.backend(0, VIP_V4).to_string();
    let before = generation(&mut control);
    control.must(
        "backend.remove",
        &json!({"service": service, "address": address, "drain_timeout": "1s"}),
    );
    assert!(generation(&mut control) > before);
    let listed = backends(&mut control, &service);
    assert_eq!(listed.len(), 2, "it drains first: {listed:#?}");
    assert_eq!(listed[0]["removing"], json!(true), "{listed:#?}");
    lb_tests::wait::until("the backend is gone", LIMIT, || {
        backends(&mut control, &service).len() == 1
    });
}

#[test]
fn services_are_added_updated_listed_and_removed() {
    let (_namespace, instance) = lone();
    let daemon = instance.start();
    let mut control = daemon.control();
    let service = json!({"name": "dns", "vips": ["192.0.2.10:53/udp"]});
    let added = control.must("service.add", &service);
    assert!(added["generation"].is_u64(), "{added:#}");
    let got = control.must("service.get", &json!({"name": "dns"}));
    assert_eq!(got["name"], json!("dns"), "{got:#}");

    control.must(
        "service.update",
        &json!({"name": "dns", "vips": ["192.0.2.10:53/udp", "[2001:db8::10]:53/udp"]}),
    );
    let got = control.must("service.get", &json!({"name": "dns"}));
    let vips = got["vips"].as_array().expect("a list of VIPs");
    assert_eq!(vips.len(), 2, "{got:#}");
    // Another service may have the address on another port.
    control.must(
        "service.add",
        &json!({"name": "web", "vips": ["192.0.2.10:80/tcp"]}),
    );
    control.must("service.remove", &json!({"name": "dns"}));
    let refused = control.refused("service.get", &json!({"name": "dns"}));
    assert_eq!(refused.code, -32_002, "{refused:?}");
    let status = control.must("status", &json!({}));
    assert_eq!(
        status["services"].as_array().map(Vec::len),
        Some(1),
        "{status:#}"
    );
}

#[test]
fn whole_configurations_are_checked_and_applied_together() {
    let (_namespace, instance) = lone();
    let daemon = instance.start();
    let mut control = daemon.control();
    let good = r#"
        [[service]]
        name = "one"
        vips = ["192.0.2.10:80/tcp"]
        [[service]]
        name = "two"
        vips = ["[2001:db8::10]:80/tcp"]
    "#;
    let bad = r#"
        [[service]]
        name = "one"
        vips = ["192.0.2.10:80/dccp"]
        [[service]]
        name = "two"
        vips = ["192.0.2.10:0/tcp"]
    "#;
    let checked = control.must("config.check", &json!({"toml": good}));
    assert_eq!(checked["valid"], json!(true), "{checked:#}");
    let checked = control.must("config.check", &json!({"toml": bad}));
    assert_eq!(checked["valid"], json!(false), "{checked:#}");
    assert_eq!(
        checked["faults"].as_array().map(Vec::len),
        Some(2),
        "{checked:#}"
    );

    let before = generation(&mut control);
    let refused = control.refused("config.apply", &json!({"toml": bad}));
    assert_eq!(refused.code, -32_004, "{refused:?}");
    assert_eq!(
        refused.data["faults"].as_array().map(Vec::len),
        Some(2),
        "{refused:?}"
    );
    assert_eq!(generation(&mut control), before, "nothing has changed");

    let applied = control.must("config.apply", &json!({"toml": good}));
    assert_eq!(
        applied["generation"],
        json!(before + 1),
        "published together: {applied:#}"
    );
    let config = control.must("config.get", &json!({}));
    assert!(config.to_string().contains("two"), "{config:#}");
}

#[test]
fn lbctl_talks_to_the_daemon() {
    let (_namespace, instance) = lone();
    let run = |arguments: &[&str]| {
        let socket = instance.socket();
        let output = Command::new(binary("lbctl"))
            .arg("--socket")
            .arg(socket)
            .args(arguments)
            .output();
        let output = output.expect("running lbctl");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = run(&["status"]);
    assert_eq!(code, Some(4), "no daemon: {said}");

    let _daemon = instance.start();
    let (code, said) = run(&["service", "add", "web", "--vip", "192.0.2.10:80/tcp"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["backend", "add", "web", "10.9.9.9:80"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["status"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("web"), "{said}");
    let (code, said) = run(&["service", "remove", "nothing"]);
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = run(&["service", "frobnicate"]);
    assert_eq!(code, Some(2), "{said}");
}
