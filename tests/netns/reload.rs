//! A reload applies the file whole or not at all, and a new probe takes no backend out of service.

use lb_tests::{bed::VIPS, traffic, wait};
use rustix::process::Signal;
use serde_json::json;

use crate::scene::{LIMIT, Mode, Scene, destinations, name, names, set, wait_serving};

#[test]
fn a_reload_applies_the_file_and_a_faulty_one_changes_nothing() {
    let scene = Scene::new(2);
    let _servers = scene.servers();
    let [vip, _] = VIPS;
    // Who has no flows that are remembered is gone when a file leaves it out.
    let file = |backend: usize, weight: i64| {
        format!(
            "[[service]]\nname = \"web\"\nvips = [\"{vip}:8080/tcp\"]\ntracking = \"off\"\n[[service.backend]]\naddress = \"{}\"\nweight = {weight}\n",
            scene.backend(backend, vip)
        )
    };
    scene.instance.configure(&file(0, 1));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    wait_serving(&mut control, "web", 1);
    scene.set_up_one(0, "web", vip, &[]);
    let answered = || names(traffic::ask(&scene.bed.client, (vip, 8_080).into(), 10));
    assert_eq!(answered(), set(&["b0"]));

    scene.instance.configure(&file(1, 1));
    daemon.signal(Signal::HUP);
    let address = scene.backend(1, vip).to_string();
    wait::until("the reload", LIMIT, || {
        let service = control.must("service.get", &json!({"name": "web"}));
        service["backend"] == json!([{"address": address}])
    });
    scene.set_up_one(1, "web", vip, &[]);
    assert_eq!(answered(), set(&["b1"]));

    scene.instance.configure(&file(0, -1));
    daemon.signal(Signal::HUP);
    // The daemon takes one event at a time: once this change is answered, the reload is over.
    control.must(
        "backend.update",
        &json!({"service": "web", "address": address, "weight": 3}),
    );
    assert_eq!(
        control.must("service.get", &json!({"name": "web"}))["backend"],
        json!([{"address": address, "weight": 3}])
    );
    assert_eq!(answered(), set(&["b1"]));
}

#[test]
fn a_probe_added_to_a_service_takes_no_backend_out_of_it() {
    let scene = Scene::new(2);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::Nat);
    for vip in VIPS {
        control.must(
            "service.update",
            &json!({"name": name(vip), "no_probe": true}),
        );
        wait_serving(&mut control, &name(vip), 2);
        // No probe can have ended before the answer comes.
        control.must(
            "service.update",
            &json!({"name": name(vip), "probe": {"type": "tcp", "interval": "1h", "timeout": "1s", "rise": 100}}),
        );
        let listed = control.must("backend.list", &json!({"service": name(vip)}));
        let rows = listed["backends"].as_array().expect("rows");
        assert!(
            rows.iter().all(|row| row["serving"] == json!(true)),
            "{listed:#}"
        );
    }
    for to in destinations(Mode::Nat) {
        assert_eq!(
            names(traffic::ask(&scene.bed.client, to, 40)),
            set(&["b0", "b1"])
        );
    }
}
