//! What the daemon can still do, and what others can: with the rights that are left to it, everything goes on working.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use lb_tests::{
    bed::VIP_V4,
    control::Control,
    daemon::{Daemon, Instance, binary},
    traffic, wait,
};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::scene::{LIMIT, Mode, Scene, destinations, lone, names, set, wait_serving};

/// The bits of `CAP_NET_ADMIN`, `CAP_NET_RAW`, `CAP_PERFMON` and `CAP_BPF`, as `/proc` writes them.
const KEPT: &str = "000000c000003000";
const NONE: &str = "0000000000000000";
const SERVICE: &str = "[[service]]\nname = \"web\"\nvips = [\"192.0.2.10:80/tcp\"]\n";

/// The fields of `/proc/PID/task/*/status`, of every thread.
fn threads(pid: u32) -> Vec<BTreeMap<String, String>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
    let statuses = tasks.filter_map(|task| {
        // A thread may end meanwhile.
        let status = fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let fields = status.lines().filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Some(fields.collect())
    });
    statuses.collect()
}

/// Every thread has the rights that are needed, and no others.
#[track_caller]
fn assert_reduced(daemon: &Daemon<'_>) {
    let threads = threads(daemon.pid());
    assert!(threads.len() >= 3, "the core and two workers: {threads:?}");
    for thread in threads {
        for (field, wanted) in [
            ("CapEff", KEPT),
            ("CapPrm", KEPT),
            ("CapBnd", KEPT),
            ("CapInh", NONE),
            ("CapAmb", NONE),
            ("NoNewPrivs", "1"),
        ] {
            let found = thread.get(field).map(String::as_str);
            assert_eq!(found, Some(wanted), "{field} of {thread:#?}");
        }
    }
}

#[test]
fn every_thread_has_the_capabilities_that_are_needed_and_changes_go_on() {
    let scene = Scene::new(1);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    assert_reduced(&daemon);
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::L2);
    let before = scene.programs();
    // Needs another program: loaded and put in its place with what is left.
    control.must(
        "service.add",
        &json!({
            "name": "nat",
            "vips": [format!("{VIP_V4}:90/tcp")],
            "mode": "nat",
            "backend": [{"address": scene.backend(0, VIP_V4).to_string()}],
        }),
    );
    wait_serving(&mut control, "nat", 1);
    assert_ne!(before, scene.programs(), "the program was replaced");
    // On another thread than the core's.
    control.must("flows.count", &json!({}));
    for to in destinations(Mode::L2)
        .into_iter()
        .chain([(VIP_V4, 90).into()])
    {
        assert_eq!(names(traffic::ask(&scene.bed.client, to, 5)), set(&["b0"]));
    }
    assert_reduced(&daemon);
    assert_eq!(
        scene.bed.balancer.run("ss", &["-Hltn"]),
        "",
        "nobody listens by TCP"
    );

    assert!(daemon.stop().success());
    let daemon = scene.instance.start_with(&["--detach-on-stop"]);
    assert_reduced(&daemon);
    for service in ["web-v4", "web-v6", "nat"] {
        wait_serving(&mut daemon.control(), service, 1);
    }
    assert!(daemon.stop().success());
    assert_eq!(scene.instance.bpffs().pins(), Vec::<PathBuf>::new());
}

/// Whether the program is attached to `up0`.
fn is_attached(control: &mut Control) -> bool {
    let status = control.must("status", &json!({}));
    status["interfaces"][0]["xdp_mode"] == json!("native")
}

#[test]
fn an_interface_that_comes_back_and_a_reload_need_no_more_capabilities() {
    let (namespace, instance) = lone();
    let daemon = instance.start();
    let mut control = daemon.control();
    wait::until("it is attached", LIMIT, || is_attached(&mut control));
    namespace.ip("link delete up0");
    wait::until("it is off", LIMIT, || !is_attached(&mut control));
    namespace.ip("link add up0 type veth peer name up1");
    namespace.ip("link set up0 up");
    wait::until("it is attached again", LIMIT, || is_attached(&mut control));
    instance.configure(SERVICE);
    daemon.signal(Signal::HUP);
    wait::until("the file is applied", LIMIT, || {
        let services = control.must("service.list", &json!({}));
        services["services"].as_array().map(Vec::len) == Some(1)
    });
    assert_reduced(&daemon);
}

/// Puts a link to `elsewhere` in the place of the directory; what undoes it.
fn lead_away(directory: &Path, elsewhere: &Path) -> impl FnOnce() + use<> {
    let aside = directory.with_extension("aside");
    fs::rename(directory, &aside).expect("renaming the state directory");
    symlink(elsewhere, directory).expect("a symbolic link");
    let directory = directory.to_owned();
    move || {
        fs::remove_file(&directory).expect("removing the link");
        fs::rename(&aside, &directory).expect("renaming it back");
    }
}

#[test]
fn nothing_is_written_outside_of_its_directories() {
    let (_namespace, instance) = lone();
    let daemon = instance.start();
    if instance.log().contains("not restricted by Landlock") {
        eprintln!("skipped: this kernel has no Landlock (5.13, CONFIG_SECURITY_LANDLOCK)");
        return;
    }
    let mut control = daemon.control();
    let web = json!({"name": "web", "vips": ["192.0.2.10:80/tcp"]});
    let elsewhere = TempDir::with_prefix("lbt-").expect("a temporary directory");
    let back = lead_away(&instance.directory().join("state"), elsewhere.path());
    let refused = control.refused("service.add", &web);
    assert!(
        refused.message.contains("nothing has changed"),
        "{refused:?}"
    );
    assert_eq!(fs::read_dir(elsewhere.path()).expect("entries").count(), 0);
    back();
    control.must("service.add", &web);
}

/// What `lbctl` answers to a user: exit code, and what it said.
fn ask_as(instance: &Instance, uid: u32, gid: u32, arguments: &[&str]) -> (Option<i32>, String) {
    // A copy that everybody may run, wherever the workspace is.
    let lbctl = instance.directory().join("lbctl");
    if !lbctl.exists() {
        fs::copy(binary("lbctl"), &lbctl).expect("a copy of lbctl");
    }
    let output = Command::new("setpriv")
        .args([format!("--reuid={uid}"), format!("--regid={gid}")])
        .arg("--clear-groups")
        .arg(lbctl)
        .arg("--socket")
        .arg(instance.socket())
        .args(arguments)
        .output()
        .expect("running lbctl");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

/// The number of a group.
fn gid(name: &str) -> u32 {
    let groups = fs::read_to_string("/etc/group").expect("groups");
    let gid = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    });
    gid.unwrap_or_else(|| panic!("no group {name}"))
}

#[test]
fn others_are_refused_and_the_log_says_who() {
    const DONE: i32 = 0;
    const NOT_ALLOWED: i32 = 5;
    // Groups that every system has.
    const CHANGERS: &str = "bin";
    const READERS: &str = "daemon";
    const STRANGER: u32 = 54_321;
    let (_namespace, instance) = lone();
    let open = Permissions::from_mode(0o755);
    fs::set_permissions(instance.directory(), open).expect("permissions");
    instance.configure(&format!(
        "group = \"{CHANGERS}\"\nread_only_group = \"{READERS}\""
    ));
    let daemon = instance.start();
    let (changers, readers) = (gid(CHANGERS), gid(READERS));
    let socket = fs::metadata(instance.socket()).expect("a socket");
    assert_eq!(socket.gid(), changers);
    assert_reduced(&daemon);

    let (code, said) = ask_as(&instance, STRANGER, STRANGER, &["status"]);
    assert_eq!(code, Some(NOT_ALLOWED), "{said}");
    let (code, said) = ask_as(&instance, STRANGER, readers, &["status"]);
    assert_eq!(code, Some(DONE), "{said}");
    let add = ["service", "add", "web", "--vip", "192.0.2.10:80/tcp"];
    let (code, said) = ask_as(&instance, STRANGER, readers, &add);
    assert_eq!(code, Some(NOT_ALLOWED), "{said}");
    let services = daemon.control().must("service.list", &json!({}));
    assert_eq!(services["services"], json!([]));
    let (code, said) = ask_as(&instance, STRANGER, changers, &add);
    assert_eq!(code, Some(DONE), "{said}");

    let log = instance.log();
    let who = format!("uid={STRANGER}");
    for refusal in ["refused a client", "refused a call"] {
        let line = log.lines().find(|line| line.contains(refusal));
        assert!(
            line.is_some_and(|line| line.contains(&who)),
            "{refusal}: {log}"
        );
    }
}

#[test]
fn a_file_that_its_user_may_not_read_is_refused_at_the_start() {
    let (_namespace, instance) = lone();
    rustix::fs::chown(
        instance.config(),
        Some(rustix::fs::Uid::from_raw(54_321)),
        None,
    )
    .expect("another owner");
    fs::set_permissions(instance.config(), Permissions::from_mode(0o600)).expect("permissions");
    let (code, said) = instance.refused_with(&[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("modes of the file"), "{said}");
}
