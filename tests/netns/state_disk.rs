//! A state directory without room: a start, and a change that is to be undone.

use std::{
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
};

use lb_common::names::{ABI_VERSION, VIP_PREFIXES_V4};
use lb_tests::{control::Control, daemon::Instance, published::Published, site::Tmpfs, wait};
use serde_json::{Value, json};

use crate::{
    configuration::Filling,
    scene::{LIMIT, lone},
};

/// A disk of so many pages.
fn small_disk(instance: &Instance) -> Tmpfs {
    Tmpfs::mount(instance.state_directory(), c"size=256k")
}

/// Fills the disk, but for what lies on it already for files that are there; removing this file makes room.
fn fill(instance: &Instance) -> PathBuf {
    let filler = instance.state_directory().join("filler");
    let mut file = File::create(&filler).expect("a file");
    while file.write_all(&[0; 512]).is_ok() {}
    filler
}

fn length(instance: &Instance, name: &str) -> u64 {
    let metadata = fs::metadata(instance.state_directory().join(name));
    metadata.map_or(0, |metadata| metadata.len())
}

fn status(control: &mut Control) -> Value {
    control.must("status", &json!({}))
}

#[track_caller]
fn assert_one_error(status: &Value, words: &[&str]) {
    assert_eq!(status["in_sync"], json!(false), "{status:#}");
    let errors = status["errors"].as_array().expect("errors");
    let [error] = errors.as_slice() else {
        panic!("{status:#}");
    };
    let error = error.as_str().expect("a text");
    for words in words {
        assert!(error.contains(words), "`{words}` is not in: {error}");
    }
}

fn wait_in_sync(control: &mut Control) {
    wait::until("it is saved", LIMIT, || {
        status(control)["in_sync"] == json!(true)
    });
}

#[test]
fn a_full_disk_lets_lbd_start_and_go_on_as_soon_as_there_is_room() {
    let (_namespace, instance) = lone();
    let _disk = small_disk(&instance);
    let daemon = instance.start();
    let mut control = daemon.control();
    let service = |number: u8| {
        let vip = format!("192.0.2.{number}:80/tcp");
        json!({"name": format!("s{number}"), "vips": [vip]})
    };
    control.must("service.add", &service(1));
    let before = control.must("config.get", &json!({}));
    daemon.kill();
    let filler = fill(&instance);

    let daemon = instance.start();
    let mut control = daemon.control();
    assert_eq!(control.must("config.get", &json!({})), before);
    assert!(length(&instance, "state.journal") > 0, "as it was found");
    let found = ["as it should be", "No space left"];
    assert_one_error(&status(&mut control), &found);
    let refused = control.refused("service.add", &service(2));
    for words in ["nothing has changed", "No space left"] {
        assert!(refused.message.contains(words), "{refused:?}");
    }
    assert_one_error(&status(&mut control), &found);
    // A start later than that is as good.
    daemon.kill();
    let daemon = instance.start();
    let mut control = daemon.control();
    assert_eq!(control.must("config.get", &json!({})), before);

    fs::remove_file(filler).expect("removing a file");
    wait_in_sync(&mut control);
    assert_eq!(length(&instance, "state.journal"), 0, "a snapshot ends it");
    control.must("service.add", &service(2));
    let before = control.must("config.get", &json!({}));
    daemon.kill();
    let daemon = instance.start();
    assert_eq!(daemon.control().must("config.get", &json!({})), before);
}

#[test]
fn a_file_that_was_edited_is_not_taken_over_if_it_cannot_be_saved() {
    let (_namespace, instance) = lone();
    let _disk = small_disk(&instance);
    instance.start().kill();
    let filler = fill(&instance);
    let web = "[[service]]\nname = \"web\"\nvips = [\"192.0.2.1:80/tcp\"]\n";
    instance.configure(web);
    let (code, said) = instance.refused_with(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("No space left"), "{said}");
    let published = Published::of(instance.bpffs());
    assert!(published.vips.is_empty(), "{published:?}");
    fs::remove_file(filler).expect("removing a file");
    let _daemon = instance.start();
}

#[test]
fn a_change_that_cannot_be_undone_on_a_full_disk_is_told_and_undone_later() {
    let (_namespace, instance) = lone();
    let _disk = small_disk(&instance);
    let mut web = "[daemon]\nmax_vips = 16\nmax_slots = 65536\nmax_flows = 1024\n[[service]]\nname = \"web\"\nvips = [\"192.0.2.1:80/tcp\"]\nmode = \"nat\"\n".to_owned();
    let backend = |it| format!("[[service.backend]]\naddress = \"10.0.0.{it}:80\"\n");
    web.extend((1..=30).map(backend));
    fs::write(instance.config(), web).expect("a configuration");
    let daemon = instance.start();
    let mut control = daemon.control();
    control.must(
        "service.add",
        &json!({"name": "other", "vips": ["192.0.2.2:80/tcp"]}),
    );
    let before = control.must("config.get", &json!({}));
    let maps = instance.bpffs().path().join(format!("maps-v{ABI_VERSION}"));
    let filling = Filling::new(&maps.join(VIP_PREFIXES_V4));
    let filler = fill(&instance);

    // What lies on the disk for the journal has room for the change, and not for what undoes it.
    let vips = ["192.0.2.1:80/tcp", "203.0.113.0/28:8081/tcp"];
    let change = json!({"name": "web", "vips": vips});
    let length_before = length(&instance, "state.journal");
    let refused = control.refused("service.update", &change);
    let added = length(&instance, "state.journal") - length_before;
    assert!(added > 2_000 && length_before + added < 4_096, "{added}");
    for words in ["publish 203.0.113.0/28", "could not be undone yet"] {
        assert!(refused.message.contains(words), "{refused:?}");
    }
    assert_eq!(control.must("config.get", &json!({})), before);
    let errors = ["may find something else saved", "No space left"];
    assert_one_error(&status(&mut control), &errors);

    fs::remove_file(filler).expect("removing a file");
    wait_in_sync(&mut control);
    let events = instance.log();
    assert!(events.contains("everything that is wanted is saved"));
    daemon.kill();
    let daemon = instance.start();
    let mut control = daemon.control();
    assert_eq!(control.must("config.get", &json!({})), before);
    filling.remove();
}
