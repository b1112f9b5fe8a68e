//! A backend's host, set up by running what `lbctl backend-setup` prints.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    path::Path,
    process::{Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{bpffs::Bpffs, daemon::binary, netns::Namespace};

/// What `lbctl` prints for a backend.
///
/// # Panics
/// If it refuses.
#[must_use]
pub fn printed(socket: &Path, service: &str, backend: SocketAddr, options: &[&str]) -> String {
    let output = asked(socket, service, backend, options);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "backend-setup {service} {backend} {options:?}: {said}"
    );
    String::from_utf8(output.stdout).expect("a text")
}

/// The same, whatever comes of it.
#[must_use]
pub fn asked(socket: &Path, service: &str, backend: SocketAddr, options: &[&str]) -> Output {
    Command::new(binary("lbctl"))
        .args(["--socket".as_ref(), socket.as_os_str()])
        .args(["backend-setup", service, &backend.to_string()])
        .args(options)
        .output()
        .expect("running lbctl")
}

/// What a host keeps beside its namespace: where `lbd decap` runs, if it does. Ends it when dropped.
#[derive(Debug)]
pub struct Place {
    run: TempDir,
    bpffs: Bpffs,
}

impl Place {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            run: TempDir::with_prefix("lbt-").expect("a temporary directory"),
            bpffs: Bpffs::mount(),
        }
    }

    /// Runs a script in `namespace`, as `lbctl ... | ssh root@host sh` would; what it printed.
    ///
    /// # Errors
    /// What it said when it failed.
    pub fn run(&self, namespace: &Namespace, script: &str) -> Result<String, String> {
        let mut shell = Command::new("nsenter")
            .arg(format!("--net={}", namespace.path().display()))
            .arg("sh")
            .env("LBD", binary("lbd"))
            .env("LBD_RUN", self.run.path())
            .env("LBD_BPFFS", self.bpffs.path())
            .env("LB_LOG", "warn")
            .env("LB_TEST", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starting a shell");
        let mut stdin = shell.stdin.take().expect("a pipe");
        // A shell that has failed reads no more.
        let _ = stdin.write_all(script.as_bytes());
        drop(stdin);
        let output = shell.wait_with_output().expect("a shell's output");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    /// The process of `lbd decap`, if it was started and not ended.
    #[must_use]
    pub fn decap(&self) -> Option<i32> {
        let written = fs::read_to_string(self.run.path().join("pid")).ok()?;
        written.trim().parse().ok()
    }

    /// What `lbd decap` has printed, as words: its ledger, if it was ended.
    #[must_use]
    pub fn ledger(&self) -> Vec<String> {
        let log = fs::read_to_string(self.run.path().join("log")).expect("a log of lbd decap");
        log.split_whitespace().map(str::to_owned).collect()
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(process) = self.decap().and_then(Pid::from_raw) {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}
