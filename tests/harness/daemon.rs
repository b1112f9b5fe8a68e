//! `lbd` as a child process in a namespace, with a place of its own for everything it keeps. Its log is
//! shown when a test fails.

use std::{
    env,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    bpffs::Bpffs,
    control::Control,
    netns::{Namespace, command},
    object::target_directory,
    wait,
};

/// How long the daemon may take to start or to stop.
const LIMIT: Duration = Duration::from_secs(20);
/// Small maps: many daemons run at once.
const DAEMON: &str =
    "[daemon]\nmax_flows = 16384\nmax_sources = 1024\nmax_slots = 65536\nmax_backends = 64\n";

/// The file of a program: the variable `LBD` or `LBCTL`, or where the workspace builds it.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let path = env::var_os(name.to_uppercase()).map_or_else(
        || target_directory().join("release").join(name),
        PathBuf::from,
    );
    assert!(
        path.is_file(),
        "no {name} at {}: build it by `cargo xtask build`",
        path.display()
    );
    path
}

/// The file of a daemon that takes itself for the next version of the ABI: the variable `LBD_NEXT`, or where
/// `cargo xtask` builds it.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn next_daemon() -> PathBuf {
    let path = env::var_os("LBD_NEXT")
        .map_or_else(|| target_directory().join("next-abi/lbd"), PathBuf::from);
    assert!(
        path.is_file(),
        "no lbd of the next ABI at {}: `cargo xtask test` and `cargo xtask torture` build it",
        path.display()
    );
    path
}

/// Where one daemon keeps what it keeps: configuration, state, socket, pins, log.
#[derive(Debug)]
pub struct Instance {
    directory: TempDir,
    bpffs: Bpffs,
    namespace: PathBuf,
    interfaces: Vec<String>,
}

impl Instance {
    /// A fresh instance in `namespace`, for these interfaces, without services.
    #[must_use]
    pub fn new(namespace: &Namespace, interfaces: Vec<String>) -> Self {
        let instance = Self {
            directory: TempDir::with_prefix("lbt-").expect("a temporary directory"),
            bpffs: Bpffs::mount(),
            namespace: namespace.path(),
            interfaces,
        };
        instance.configure("");
        instance
    }

    /// Writes the configuration file: small maps, then `services`.
    pub fn configure(&self, services: &str) {
        let text = format!("{DAEMON}\n{services}");
        fs::write(self.config(), text).expect("writing a configuration");
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path("lb.toml")
    }

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path("control.sock")
    }

    /// The directory that all but the pins stand in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The BPF file system that the pins stand in.
    #[must_use]
    pub const fn bpffs(&self) -> &Bpffs {
        &self.bpffs
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The daemon's command line, in its namespace, as `wrapper` would run it (nothing, or a program that
    /// changes something and then runs what follows).
    #[must_use]
    pub fn command(&self, wrapper: &[&str]) -> Command {
        self.command_of(&binary("lbd"), wrapper)
    }

    /// The same with another copy of the daemon.
    #[must_use]
    pub fn command_of(&self, lbd: &Path, wrapper: &[&str]) -> Command {
        // `nsenter` and not `ip netns exec`: mounts, and so the pins, stay visible.
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.namespace.display()))
            .args(wrapper)
            .env("NO_COLOR", "1")
            // By this, what runs the tests tells a daemon left behind from one that somebody else started.
            .env("LB_TEST", "1")
            .arg(lbd)
            .arg("run")
            .args(["--config".as_ref(), self.config().as_os_str()])
            .args(["--socket".as_ref(), self.socket().as_os_str()])
            .args(["--state-dir".as_ref(), self.state_directory().as_os_str()])
            .stdin(Stdio::null());
        for interface in &self.interfaces {
            command.args(["--interface", interface]);
        }
        command
    }

    /// The same with the bpffs of this instance.
    fn whole_command(&self, lbd: &Path, arguments: &[&str]) -> Command {
        let mut command = self.command_of(lbd, &[]);
        command
            .args(["--bpffs".as_ref(), self.bpffs.path().as_os_str()])
            .args(arguments);
        command
    }

    /// Starts the daemon and waits until it answers.
    #[must_use]
    pub fn start(&self) -> Daemon<'_> {
        self.start_with(&[])
    }

    /// The same with more arguments.
    #[must_use]
    pub fn start_with(&self, arguments: &[&str]) -> Daemon<'_> {
        self.start_of(&binary("lbd"), arguments)
    }

    /// The same with another copy of the daemon.
    #[must_use]
    pub fn start_of(&self, lbd: &Path, arguments: &[&str]) -> Daemon<'_> {
        let mut daemon = self.spawn_of(lbd, arguments);
        wait::until("lbd answers on its socket", LIMIT, || {
            if let Some(status) = daemon.child.try_wait().expect("lbd's status") {
                panic!("lbd ended at start with {status}");
            }
            let control = Control::connect(&self.socket());
            control.is_ok_and(|mut control| control.call("version", &serde_json::json!({})).is_ok())
        });
        daemon
    }

    /// Starts a copy of the daemon and does not wait for it.
    #[must_use]
    pub fn spawn_of(&self, lbd: &Path, arguments: &[&str]) -> Daemon<'_> {
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.path("lbd.log"))
            .expect("opening a log file");
        let child = self
            .whole_command(lbd, arguments)
            .stdout(log.try_clone().expect("a second handle of a log file"))
            .stderr(log)
            .spawn()
            .expect("starting lbd");
        Daemon {
            instance: self,
            child,
        }
    }

    /// Runs the daemon, which must refuse to start: its exit code and what it said.
    ///
    /// # Panics
    /// If it still runs after the time allowed.
    #[must_use]
    pub fn refused(&self, command: &mut Command) -> (Option<i32>, String) {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starting lbd");
        let mut stderr = child.stderr.take().expect("a pipe");
        let said = thread::spawn(move || {
            let mut said = String::new();
            let _ = stderr.read_to_string(&mut said);
            said
        });
        let mut child = Reaper(child);
        let status = wait::until_some("lbd refuses to start", LIMIT, || {
            child.0.try_wait().expect("lbd's status")
        });
        (
            status.code(),
            said.join().expect("a reader of lbd's errors"),
        )
    }

    /// Runs the daemon with the instance's own bpffs; it must refuse to start.
    #[must_use]
    pub fn refused_with(&self, arguments: &[&str]) -> (Option<i32>, String) {
        self.refused(&mut self.whole_command(&binary("lbd"), arguments))
    }

    /// Where the daemon keeps its state.
    #[must_use]
    pub fn state_directory(&self) -> PathBuf {
        self.path("state")
    }

    /// Runs `lbd detach`.
    ///
    /// # Panics
    /// If it fails.
    pub fn detach(&self) {
        let lbd = binary("lbd").display().to_string();
        let bpffs = self.bpffs.path().display().to_string();
        let _ = command(&lbd, &["detach", "--bpffs", &bpffs]);
    }

    /// What daemons of this instance have logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("lbd.log")).unwrap_or_default()
    }
}

/// Kills a child that is still there when a test ends.
struct Reaper(Child);

impl Drop for Reaper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let log = self.log();
        if thread::panicking() && !log.is_empty() {
            eprintln!("--- log of lbd\n{log}---");
        }
    }
}

/// A running daemon. Killed when dropped.
#[derive(Debug)]
pub struct Daemon<'a> {
    instance: &'a Instance,
    child: Child,
}

impl Daemon<'_> {
    /// A new connection to its control socket.
    #[must_use]
    pub fn control(&self) -> Control {
        let socket = self.instance.socket();
        Control::connect(&socket)
            .unwrap_or_else(|error| panic!("connecting to {}: {error}", socket.display()))
    }

    /// Bytes of memory that it has now (`VmRSS`, proc(5)).
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("lbd's status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        let kibibytes: u64 = number.unwrap_or_else(|| panic!("no VmRSS in {status}"));
        kibibytes * 1_024
    }

    /// The number of its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("sending a signal to lbd");
    }

    /// Its process id.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, which somebody else has caused.
    #[must_use]
    pub fn ended(mut self) -> ExitStatus {
        wait::until_some("lbd ends", LIMIT, || {
            self.child.try_wait().expect("lbd's status")
        })
    }

    /// Stops it by SIGTERM and waits for its end.
    #[must_use]
    pub fn stop(self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Ends it by SIGKILL.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
