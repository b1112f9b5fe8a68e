//! What a service manager is told, over a socket like systemd's (`sd_notify(3)`).

use std::{os::unix::net::UnixDatagram, path::Path};

use lb_tests::{daemon::Daemon, wait};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::scene::{LIMIT, lone};

const SERVICE: &str = "[[service]]\nname = \"web\"\nvips = [\"192.0.2.10:80/tcp\"]\n";

/// The manager's end.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket");
        let limit = wait::patient(LIMIT);
        socket.set_read_timeout(Some(limit)).expect("a time-out");
        Self(socket)
    }

    /// The next message.
    fn told(&self) -> String {
        let mut buffer = [0; 512];
        let length = self.0.recv(&mut buffer).expect("a message in time");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// The next message that is not about life.
    fn told_of_change(&self) -> String {
        wait::until_some("a message that is not about life", LIMIT, || {
            Some(self.told()).filter(|told| told != "WATCHDOG=1\n")
        })
    }
}

/// Has the daemon read its file again: the messages that it sends.
fn reload(daemon: &Daemon<'_>, manager: &Manager) {
    daemon.signal(Signal::HUP);
    let told = manager.told_of_change();
    let mut lines = told.lines();
    assert_eq!(lines.next(), Some("RELOADING=1"), "{told}");
    let since = lines
        .next()
        .and_then(|it| it.strip_prefix("MONOTONIC_USEC="));
    let since = since.and_then(|since| since.parse::<u64>().ok());
    assert!(since.is_some_and(|since| since > 0), "{told}");
    assert_eq!(manager.told_of_change(), "READY=1\n");
}

#[test]
fn the_service_manager_is_told_of_start_life_reload_and_stop() {
    let (_namespace, mut instance) = lone();
    let directory = TempDir::with_prefix("lbt-").expect("a temporary directory");
    let socket = directory.path().join("notify");
    let manager = Manager::at(&socket);
    instance.set_environment("NOTIFY_SOCKET", &socket);
    instance.set_environment("WATCHDOG_USEC", "200000");
    let daemon = instance.start();
    assert_eq!(manager.told(), "READY=1\n", "first of all");
    for _ in 0..3 {
        assert_eq!(manager.told(), "WATCHDOG=1\n");
    }

    instance.configure(SERVICE);
    reload(&daemon, &manager);
    let mut control = daemon.control();
    let services = |control: &mut lb_tests::control::Control| {
        let list = control.must("service.list", &json!({}));
        list["services"].as_array().map(Vec::len)
    };
    assert_eq!(services(&mut control), Some(1), "ready when it is applied");
    // A reload that fails ends too: what was there goes on.
    instance.configure("faulty");
    reload(&daemon, &manager);
    assert_eq!(services(&mut control), Some(1));

    assert!(daemon.stop().success());
    assert_eq!(manager.told_of_change(), "STOPPING=1\n");
}
