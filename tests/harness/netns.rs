//! Network namespaces, the links between them, and their clean-up.
//!
//! A namespace lives as long as its [`Namespace`], also through a panic; what a killed test run left behind
//! is swept away by the next. Code runs inside one by moving its own thread there: mounts stay as they are.

use std::{
    fs::{self, File},
    io,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::packet::Mac;

const DIRECTORY: &str = "/run/netns";
const PREFIX: &str = "lbt-";

/// A network namespace of this test's own.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    /// Makes a namespace with loopback up and duplicate address detection off; `role` is for people.
    #[must_use]
    pub fn new(role: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static SWEEP: Once = Once::new();
        SWEEP.call_once(sweep);
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        let nanos = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.subsec_nanos());
        let name = format!("{PREFIX}{}-{count}-{nanos:x}-{role}", process::id());
        let _ = command("ip", &["netns", "add", &name]);
        let path = Path::new(DIRECTORY).join(&name);
        let file = File::open(&path)
            .unwrap_or_else(|error| panic!("opening namespace {}: {error}", path.display()));
        let namespace = Self { name, file };
        namespace.ip("link set lo up");
        for (key, value) in [
            ("ipv6/conf/all/accept_dad", "0"),
            ("ipv6/conf/default/accept_dad", "0"),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
        ] {
            namespace.sysctl(key, value);
        }
        namespace
    }

    /// Its name under `/run/netns`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new(DIRECTORY).join(&self.name)
    }

    /// Runs `ip -n NAME` with `arguments`, split at blanks.
    pub fn ip(&self, arguments: &str) {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments.split_whitespace());
        let _ = command("ip", &all);
    }

    /// Sets `net/KEY` under `/proc/sys`.
    pub fn sysctl(&self, key: &str, value: &str) {
        let path = Path::new("/proc/sys/net").join(key);
        let written = self.enter(|| fs::write(&path, value));
        written.unwrap_or_else(|error| panic!("writing {value} to {}: {error}", path.display()));
    }

    /// The index and MAC address of `interface`.
    #[must_use]
    pub fn interface(&self, interface: &str) -> (u32, Mac) {
        let shown = command(
            "ip",
            &["-n", &self.name, "-json", "link", "show", "dev", interface],
        );
        let shown: Value = serde_json::from_str(&shown).expect("ip writes JSON");
        let index = shown.pointer("/0/ifindex").and_then(Value::as_u64);
        let mac = shown.pointer("/0/address").and_then(Value::as_str);
        let index = index.and_then(|index| u32::try_from(index).ok());
        let bytes = mac.map(|mac| {
            mac.split(':')
                .filter_map(|byte| u8::from_str_radix(byte, 16).ok())
                .collect::<Vec<u8>>()
        });
        let mac = bytes.and_then(|bytes| Mac::try_from(bytes).ok());
        (
            index.expect("an interface index"),
            mac.expect("a MAC address"),
        )
    }

    /// How many frames `interface` has received, those that XDP took among them.
    #[must_use]
    pub fn received(&self, interface: &str) -> u64 {
        let arguments = [
            "-n", &self.name, "-stats", "-json", "link", "show", "dev", interface,
        ];
        let shown: Value =
            serde_json::from_str(&command("ip", &arguments)).expect("ip writes JSON");
        let packets = shown.pointer("/0/stats64/rx/packets");
        packets.and_then(Value::as_u64).expect("a count of packets")
    }

    /// Switches transmit checksum offload of `interface` off. A frame whose checksum is still to be
    /// computed loses that mark on its way through native XDP.
    pub fn compute_checksums(&self, interface: &str) {
        let _ = self.run("ethtool", &["-K", interface, "tx", "off"]);
    }

    /// Runs a program inside and returns its standard output.
    #[must_use]
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let net = format!("--net={}", self.path().display());
        let mut all = vec![net.as_str(), program];
        all.extend(arguments);
        command("nsenter", &all)
    }

    /// Calls `inside` on a thread that stands in the namespace.
    pub fn enter<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        let done = thread::scope(|scope| {
            let thread = thread::Builder::new().name(current_name());
            let handle = thread.spawn_scoped(scope, || {
                self.move_here();
                inside()
            });
            handle.expect("starting a thread").join()
        });
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Starts a thread that stands in the namespace.
    pub fn spawn<T: Send + 'static>(
        &self,
        inside: impl FnOnce() -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let file = self
            .file
            .try_clone()
            .expect("a second handle of a namespace");
        let name = self.name.clone();
        let thread = thread::Builder::new().name(current_name());
        let handle = thread.spawn(move || {
            move_into(&file, &name);
            inside()
        });
        handle.expect("starting a thread")
    }

    fn move_here(&self) {
        move_into(&self.file, &self.name);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = try_command("ip", &["netns", "del", &self.name]) {
            eprintln!("left behind: namespace {}: {error}", self.name);
        }
    }
}

/// Joins two namespaces by a veth pair, both ends up; `(namespace, interface)` each.
pub fn join(one: (&Namespace, &str), other: (&Namespace, &str)) {
    let arguments = [
        "link",
        "add",
        one.1,
        "netns",
        one.0.name(),
        "type",
        "veth",
        "peer",
        "name",
        other.1,
        "netns",
        other.0.name(),
    ];
    let _ = command("ip", &arguments);
    for (namespace, interface) in [one, other] {
        namespace.ip(&format!("link set {interface} up"));
    }
}

fn current_name() -> String {
    thread::current().name().unwrap_or("inside").to_owned()
}

fn move_into(file: &File, name: &str) {
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .unwrap_or_else(|error| panic!("moving a thread into namespace {name}: {error}"));
}

/// Runs a program and returns its standard output.
///
/// # Panics
/// With its standard error, if it fails.
#[must_use]
pub fn command(program: &str, arguments: &[&str]) -> String {
    try_command(program, arguments)
        .unwrap_or_else(|error| panic!("{program} {}: {error}", arguments.join(" ")))
}

fn try_command(program: &str, arguments: &[&str]) -> io::Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(said.trim().to_owned()))
    }
}

/// Deletes namespaces of test runs whose process is gone.
fn sweep() {
    let Ok(entries) = fs::read_dir(DIRECTORY) else {
        return;
    };
    for name in entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
        let Some(process) = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next())
        else {
            continue;
        };
        if !Path::new("/proc").join(process).exists() {
            // Another run may sweep at the same time: whoever comes second finds nothing.
            let _ = try_command("ip", &["netns", "del", &name]);
        }
    }
}
