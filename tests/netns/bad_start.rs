//! Starts that are refused: a clear error, and nothing attached or pinned.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
};

use lb_tests::{
    daemon::{Instance, binary},
    netns::Namespace,
};
use rustix::process::geteuid;
use serde_json::json;
use tempfile::TempDir;

use crate::scene::lone;

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const INVALID_CONFIG: i32 = 3;
const NOT_ALLOWED: i32 = 5;

/// Nothing is attached to the interface, pinned or listening.
#[track_caller]
fn untouched(namespace: &Namespace, instance: &Instance) {
    let shown = namespace.run("ip", &["-json", "link", "show", "dev", "up0"]);
    assert!(!shown.contains("\"xdp\""), "{shown}");
    assert_eq!(instance.bpffs().pins(), Vec::<PathBuf>::new());
    assert!(
        !instance.socket().exists(),
        "{} is there",
        instance.socket().display()
    );
}

#[track_caller]
fn said(refused: (Option<i32>, String), code: i32, words: &[&str]) {
    let (found, text) = refused;
    assert_eq!(found, Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn without_privilege_it_says_what_is_needed() {
    assert!(geteuid().is_root(), "these tests need root");
    let (namespace, instance) = lone();
    // A copy that everybody may run, wherever the workspace is.
    let directory = TempDir::with_prefix("lbt-").expect("a temporary directory");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("permissions");
    let lbd = directory.path().join("lbd");
    fs::copy(binary("lbd"), &lbd).expect("a copy of lbd");
    let nobody: &[&str] = &[
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let root_without_capabilities: &[&str] = &["setpriv", "--bounding-set=-all"];
    for wrapper in [nobody, root_without_capabilities] {
        let mut command = instance.command_of(&lbd, wrapper);
        command.arg("--bpffs").arg(instance.bpffs().path());
        said(
            instance.refused(&mut command),
            NOT_ALLOWED,
            &["CAP_", "root"],
        );
        untouched(&namespace, &instance);
    }
}

#[test]
fn without_a_bpf_file_system_it_says_how_to_mount_one() {
    let (namespace, instance) = lone();
    let plain = instance.directory().join("plain");
    fs::create_dir(&plain).expect("a directory");
    let mut command = instance.command(&[]);
    command.arg("--bpffs").arg(&plain);
    let plain = plain.display().to_string();
    said(
        instance.refused(&mut command),
        FAILED,
        &[&plain, "mount -t bpf"],
    );
    untouched(&namespace, &instance);
}

#[test]
fn without_the_interface_it_names_it() {
    let (namespace, instance) = lone();
    let refused = instance.refused_with(&["--interface", "nosuch0"]);
    said(refused, FAILED, &["nosuch0"]);
    untouched(&namespace, &instance);
}

#[test]
fn on_an_old_kernel_it_says_which_is_needed() {
    let (namespace, instance) = lone();
    let mut command = instance.command(&[]);
    command.arg("--bpffs").arg(instance.bpffs().path());
    command.env("LB_KERNEL_RELEASE", "5.4.0-42-generic");
    said(
        instance.refused(&mut command),
        NOT_ALLOWED,
        &["5.4.0", "5.10"],
    );
    untouched(&namespace, &instance);
}

#[test]
fn with_a_faulty_file_it_reports_every_fault_with_its_line() {
    let (namespace, instance) = lone();
    instance.configure(
        r#"
        [[service]]
        name = "bad name"
        vips = ["192.0.2.10:80/dccp"]
        "#,
    );
    let refused = instance.refused_with(&[]);
    said(refused, INVALID_CONFIG, &["bad name", "dccp", "line "]);
    untouched(&namespace, &instance);
}

#[test]
fn with_an_unknown_argument_it_says_so() {
    let (namespace, instance) = lone();
    said(
        instance.refused_with(&["--frobnicate"]),
        USAGE,
        &["--frobnicate"],
    );
    untouched(&namespace, &instance);
}

#[test]
fn second_daemon_on_an_instance_is_refused_and_the_first_goes_on() {
    let (_namespace, instance) = lone();
    let daemon = instance.start();
    let mut control = daemon.control();
    control.must(
        "service.add",
        &json!({"name": "web", "vips": ["192.0.2.10:80/tcp"]}),
    );
    let before = (
        control.must("status", &json!({}))["generation"].clone(),
        instance.bpffs().pins(),
    );

    let (code, text) = instance.refused_with(&[]);
    assert_eq!(code, Some(FAILED), "{text}");
    assert!(
        text.contains("another") || text.contains("already"),
        "{text}"
    );

    let mut control = daemon.control();
    let after = (
        control.must("status", &json!({}))["generation"].clone(),
        instance.bpffs().pins(),
    );
    assert_eq!(after, before);
}
