//! `lbd decap` as a child process in a backend's namespace.

use std::{
    net::IpAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{bpffs::Bpffs, daemon::binary, netns::Namespace, wait};

/// How long it may take to start or to stop.
const LIMIT: Duration = Duration::from_secs(20);

/// A running `lbd decap` on `eth0`. Killed when dropped.
#[derive(Debug)]
pub struct Decap {
    child: Child,
    bpffs: Bpffs,
}

impl Decap {
    /// Starts it in `namespace`, for tunnels from the prefixes `from` with packets to `vips`, and waits until it is
    /// attached.
    #[must_use]
    pub fn start(namespace: &Namespace, from: &[&str], vips: &[IpAddr]) -> Self {
        let bpffs = Bpffs::mount();
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", namespace.path().display()))
            .env("LB_TEST", "1")
            .env("LB_LOG", "warn")
            .arg(binary("lbd"))
            .args(["decap", "--iface", "eth0"])
            .args(["--bpffs".as_ref(), bpffs.path().as_os_str()])
            .args(from.iter().flat_map(|prefix| ["--from", prefix]))
            .stdin(Stdio::null());
        for vip in vips {
            command.args(["--vip", &vip.to_string()]);
        }
        let child = command.stdout(Stdio::piped()).spawn();
        let mut decap = Self {
            child: child.expect("starting lbd decap"),
            bpffs,
        };
        wait::until("lbd decap is attached", LIMIT, || {
            if let Some(status) = decap.child.try_wait().expect("lbd decap's status") {
                panic!("lbd decap ended at start with {status}");
            }
            decap.is_pinned()
        });
        decap
    }

    /// Whether a link of its program is pinned.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        let links = self.bpffs.path().join("decap/links");
        std::fs::read_dir(links).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Stops it by SIGTERM; the ledger that it prints, as words.
    #[must_use]
    pub fn stop(mut self) -> Vec<String> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), Signal::TERM).expect("sending SIGTERM");
        let status = wait::until_some("lbd decap stops", LIMIT, || {
            self.child.try_wait().expect("lbd decap's status")
        });
        assert!(status.success(), "lbd decap ended with {status}");
        assert!(!self.is_pinned(), "lbd decap has left its program behind");
        let stdout = self.child.stdout.take().expect("a pipe");
        let text = std::io::read_to_string(stdout).expect("the ledger");
        text.split_whitespace().map(str::to_owned).collect()
    }
}

impl Drop for Decap {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
