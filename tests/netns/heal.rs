//! What somebody else does to the data plane is seen and put right, and what cannot be changed in place is told.

use std::fs;

use lb_tests::{bed::VIPS, netns, traffic};
use serde_json::{Value, json};

use crate::scene::{Mode, Scene, destinations, names, set, wait_serving};

#[test]
fn a_program_that_was_taken_off_is_put_back() {
    let scene = Scene::new(1);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::Nat);
    let links: Vec<_> = scene
        .instance
        .bpffs()
        .pins()
        .into_iter()
        .filter(|pin| pin.starts_with("links"))
        .collect();
    assert!(!links.is_empty(), "links are pinned");
    for link in links {
        let pinned = scene.instance.bpffs().path().join(link);
        let said = netns::command(
            "bpftool",
            &["link", "detach", "pinned", &pinned.display().to_string()],
        );
        assert_eq!(said, "");
    }
    let status = control.must("status", &json!({}));
    let modes: Vec<&Value> = status["interfaces"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| &row["xdp_mode"])
        .collect();
    assert!(
        modes.iter().all(|mode| **mode == json!("native")),
        "{status:#}"
    );
    for to in destinations(Mode::Nat) {
        assert_eq!(names(traffic::ask(&scene.bed.client, to, 10)), set(&["b0"]));
    }
}

#[test]
fn maps_keep_their_sizes_whatever_the_file_says() {
    let scene = Scene::new(1);
    let _servers = scene.servers();
    let [vip, _] = VIPS;
    let services = format!(
        "[[service]]\nname = \"web\"\nvips = [\"{vip}:8080/tcp\"]\n[[service.backend]]\naddress = \"{}\"\n",
        scene.backend(0, vip)
    );
    for sizes in [
        "max_backends = 64",
        "max_backends = 16",
        "max_backends = 65536",
        "max_vips = 16\nmax_slots = 16384\nmax_flows = 1024",
    ] {
        let text = format!("[daemon]\n{sizes}\n{services}");
        fs::write(scene.instance.config(), text).expect("a configuration");
        let daemon = scene.instance.start();
        wait_serving(&mut daemon.control(), "web", 1);
        scene.set_up("web", vip, &[]);
        let answers = traffic::ask(&scene.bed.client, (vip, 8_080).into(), 10);
        assert_eq!(names(answers), set(&["b0"]), "{sizes}");
        assert!(daemon.stop().success());
    }
}
