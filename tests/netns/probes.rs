//! Probes of several kinds by the real daemon, and what it does when too few backends are left.

use std::{
    fs::{self, Permissions},
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
};

use lb_tests::{
    bed::VIP_V4,
    control::Control,
    traffic::{self, Server},
    wait,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::scene::{
    LIMIT, Mode, PORT, Scene, backends, destinations, lone, name, names, probe_time, set,
    wait_serving,
};

/// Waits until the only backend of a service has this health; what is said of it then.
fn wait_health(control: &mut Control, service: &str, health: &str) -> String {
    wait::until_some(&format!("{service} is {health}"), LIMIT, || {
        let backend = backends(control, service).into_iter().next()?;
        let reason = backend["health_reason"].as_str()?.to_owned();
        (backend["health"] == json!(health)).then_some(reason)
    })
}

/// A service whose only backend is probed in this way.
fn add_probed(control: &mut Control, service: &str, backend: SocketAddr, mut probe: Value) {
    for (field, value) in [("interval", probe_time()), ("timeout", probe_time())] {
        probe[field] = json!(value);
    }
    (probe["rise"], probe["fall"]) = (json!(1), json!(2));
    let count = control.must("service.list", &json!({}))["services"]
        .as_array()
        .map_or(0, Vec::len);
    control.must(
        "service.add",
        &json!({
            "name": service, "vips": [format!("192.0.2.77:{}/udp", 1_000 + count)], "probe": probe,
            "backend": [{"address": backend.to_string()}],
        }),
    );
}

#[test]
fn each_kind_of_probe_sees_its_backend_go_down_and_come_back() {
    let scene = Scene::new(1);
    let host = &scene.bed.backends[0].namespace;
    let address = scene.backend(0, VIP_V4);
    // For `nobody`, who runs commands.
    let directory = TempDir::with_prefix("lbt-exec-").expect("a temporary directory");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("its mode");
    let flag = directory.path().join("up");
    scene.instance.configure("allow_exec_probes = true");
    let daemon = scene.instance.start();
    let mut control = daemon.control();

    let begin = || {
        fs::write(&flag, "").expect("a file");
        host.sysctl("ipv4/icmp_echo_ignore_all", "0");
        (
            Server::http(host, PORT, "fine"),
            Server::udp(host, address, "pong"),
            dns_server(host, SocketAddr::new(address.ip(), 53)),
        )
    };
    let servers = begin();
    let script = format!("test -e {} || {{ echo gone; exit 1; }}", flag.display());
    let kinds = [
        ("tcp", json!({"type": "tcp"}), "connection refused"),
        (
            "http",
            json!({"type": "http", "body": "fine"}),
            "connection refused",
        ),
        (
            "udp",
            json!({"type": "udp", "send": "ping", "expect": "pong"}),
            "connection refused",
        ),
        (
            "dns",
            json!({"type": "dns", "query": "www.example.com", "port": 53}),
            "connection refused",
        ),
        (
            "icmp",
            json!({"type": "icmp"}),
            "waiting for the echo reply",
        ),
        (
            "exec",
            json!({"type": "exec", "command": ["/bin/sh", "-c", script]}),
            "exit code 1: gone",
        ),
    ];
    for (service, probe, _) in &kinds {
        add_probed(&mut control, service, address, probe.clone());
    }
    for (service, ..) in &kinds {
        wait_health(&mut control, service, "up");
    }
    drop(servers);
    fs::remove_file(&flag).expect("removing a file");
    host.sysctl("ipv4/icmp_echo_ignore_all", "1");
    for (service, _, why) in &kinds {
        let reason = wait_health(&mut control, service, "down");
        assert!(reason.contains(why), "{service}: {reason}");
    }
    let _servers = begin();
    for (service, ..) in &kinds {
        wait_health(&mut control, service, "up");
    }
    let stats = control.must("stats", &json!({}));
    let counts = &stats["probes"];
    assert!(counts["failed"].as_u64() >= Some(12), "{counts}");
    assert!(
        counts["made"].as_u64() > counts["failed"].as_u64(),
        "{counts}"
    );
    assert_eq!(counts["impossible"], json!(0), "{counts}");
}

/// Answers every query with its own bytes, as a response with one record; the probe does not read records.
fn dns_server(namespace: &lb_tests::netns::Namespace, address: SocketAddr) -> Server {
    Server::start(namespace, move || async move {
        let socket = tokio::net::UdpSocket::bind(address).await?;
        Ok::<_, io::Error>(async move {
            let mut message = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut message).await {
                message[2] |= 0x80;
                message[7] = 1;
                let _ = socket.send_to(&message[..length], client).await;
            }
        })
    })
}

#[test]
fn commands_run_only_if_the_file_said_so_at_the_start() {
    let (_namespace, instance) = lone();
    let daemon = instance.start();
    let mut control = daemon.control();
    let service = json!({
        "name": "web", "vips": ["192.0.2.1:80/tcp"],
        "probe": {"type": "exec", "command": ["/bin/true"]},
    });
    let refused = control.refused("service.add", &service);
    assert!(refused.message.contains("allow_exec_probes"), "{refused:?}");
    // Who may change services is not whoever may change the file.
    let config = json!({"daemon": {"allow_exec_probes": true}, "service": [service]});
    let refused = control.refused("config.apply", &json!({"config": config}));
    assert!(refused.message.contains("allow_exec_probes"), "{refused:?}");
    assert_eq!(
        control.must("service.list", &json!({}))["services"],
        json!([])
    );
}

/// The emergency of the service on the VIP, if it is one.
fn emergency(control: &mut Control) -> Option<String> {
    let status = control.must("status", &json!({}));
    let service = status["services"].get(0)?;
    service["emergency"].as_str().map(str::to_owned)
}

#[test]
fn a_fallback_backend_takes_over_and_gives_back() {
    let scene = Scene::new(2);
    let mut servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    let mut service = scene.service(Mode::Nat, VIP_V4);
    service["backend"][1]["role"] = json!("fallback");
    control.must("service.add", &service);
    let web = name(VIP_V4);
    wait::until("the ordinary backend serves alone", LIMIT, || {
        let serving = |row: &Value| row["serving"] == json!(true);
        let rows = backends(&mut control, &web);
        let up = rows.iter().all(|row| row["health"] == json!("up"));
        up && serving(&rows[0]) && !serving(&rows[1])
    });
    scene.set_up(&web, VIP_V4, &[]);
    let to = destinations(Mode::Nat)[0];
    let client = &scene.bed.client;
    assert_eq!(names(traffic::ask(client, to, 10)), set(&["b0"]));
    assert_eq!(emergency(&mut control), None);

    drop(servers.remove(0));
    wait::until("the fallback serves", LIMIT, || {
        backends(&mut control, &web)[1]["serving"] == json!(true)
    });
    assert_eq!(names(traffic::ask(client, to, 10)), set(&["b1"]));
    let words = emergency(&mut control).expect("an emergency");
    assert!(words.starts_with("fallback: "), "{words}");

    let _back = scene.server(0);
    wait::until("the fallback stands by", LIMIT, || {
        let row = backends(&mut control, &web).remove(1);
        row["serving"] == json!(false) && row["health"] == json!("up")
    });
    assert_eq!(names(traffic::ask(client, to, 10)), set(&["b0"]));
    assert_eq!(emergency(&mut control), None);
}

#[test]
fn in_panic_backends_serve_that_probes_find_down() {
    let scene = Scene::new(2);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    let mut service = scene.service(Mode::Nat, VIP_V4);
    let web = name(VIP_V4);
    service["panic_threshold"] = json!(50);
    scene.bring_up(&mut control, &service, VIP_V4);
    // The servers are well; it is the probe that asks for what they do not have.
    let mut probe = service["probe"].clone();
    probe["body"] = json!("what no server says");
    control.must("service.update", &json!({"name": web, "probe": probe}));
    wait::until("all are down", LIMIT, || {
        let rows = backends(&mut control, &web);
        rows.iter().all(|row| row["health"] == json!("down"))
    });
    wait_serving(&mut control, &web, 2);
    let words = emergency(&mut control).expect("an emergency");
    assert!(words.starts_with("panic: "), "{words}");
    let to = destinations(Mode::Nat)[0];
    let answers = names(traffic::ask(&scene.bed.client, to, 40));
    assert_eq!(answers, set(&["b0", "b1"]));
    control.must(
        "service.update",
        &json!({"name": web, "panic_threshold": 0}),
    );
    wait_serving(&mut control, &web, 0);
    assert_eq!(emergency(&mut control), None);
}
