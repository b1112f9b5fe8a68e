//! The first process of a guest: makes a file system of the host's, which it sees read-only, takes the job's steps,
//! and switches the machine off. Only QEMU's command line leads here.

use std::{
    ffi::CStr,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use rustix::{
    mount::{MountFlags, mount, mount_move},
    process::{chroot, getpid},
    system::{RebootCommand, init_module, reboot, uname},
};

use super::{
    initramfs::{JOB, MODULES},
    job::{Ending, Event, Job, Step},
};

/// The mount tag of the host's root.
pub(super) const ROOT_TAG: &str = "root";
/// The mount tag of the kernel's modules.
pub(super) const MODULES_TAG: &str = "modules";
/// Where events and the steps' output go; the kernel's own messages go to the first port.
const CONSOLE: &str = "/dev/ttyS1";
/// Larger messages than the default of 8 KiB.
const HOST_FILES: &CStr = c"trans=virtio,version=9p2000.L,msize=512000,cache=loose";
const NO_DATA: &CStr = c"";

/// Does the job. In a guest it does not return.
///
/// # Errors
/// This is not a guest.
pub(crate) fn run() -> Result<()> {
    if getpid() != rustix::process::Pid::INIT {
        bail!("this is what a guest of `cargo xtask test --vm` starts, and nobody else");
    }
    if let Err(error) = work() {
        let told = Console::open().and_then(|mut it| it.tell(&Event::Broken(format!("{error:#}"))));
        if told.is_err() {
            // Without a console there is the kernel's, to which the first process writes.
            eprintln!("{error:#}");
        }
    }
    reboot(RebootCommand::PowerOff).context("switching the guest off")
}

fn work() -> Result<()> {
    for (kind, place) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        mount_as(kind, kind, place, NO_DATA)?;
    }
    let text = fs::read(JOB).context("reading the job")?;
    let job: Job = serde_json::from_slice(&text).context("reading the job")?;
    load_modules()?;
    enter_hosts_files()?;
    let mut console = Console::open()?;
    let release = uname().release().to_string_lossy().into_owned();
    console.tell(&Event::Up(release))?;
    for step in &job.steps {
        console.tell(&Event::Begun)?;
        let ending = console.take(step, &job)?;
        console.tell(&Event::Ended(ending))?;
    }
    Ok(())
}

fn load_modules() -> Result<()> {
    let entries = fs::read_dir(MODULES).context("listing the modules")?;
    let entries: io::Result<Vec<_>> = entries.collect();
    let entries = entries.context("listing the modules")?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        let image = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        init_module(&image, NO_DATA).with_context(|| format!("loading {}", path.display()))?;
    }
    Ok(())
}

/// The host's files below a file system in memory, so that everything may be written and nothing is changed.
fn enter_hosts_files() -> Result<()> {
    mount_as(ROOT_TAG, "9p", "/host", HOST_FILES)?;
    mount_as("memory", "tmpfs", "/memory", NO_DATA)?;
    for part in ["/memory/upper", "/memory/work"] {
        fs::create_dir(part).with_context(|| format!("creating {part}"))?;
    }
    let layers = c"lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work";
    mount_as("overlay", "overlay", "/root", layers)?;
    for place in ["proc", "sys", "dev"] {
        let (from, to) = (format!("/{place}"), format!("/root/{place}"));
        mount_move(&from, &to).with_context(|| format!("moving {from} to {to}"))?;
    }
    // The first process's root is that of the kernel's own threads, too: so they find modprobe.
    chroot("/root").context("entering the host's files")?;
    std::env::set_current_dir("/").context("entering the host's files")?;
    for (kind, place) in [
        ("tmpfs", "/tmp"),
        ("tmpfs", "/run"),
        ("tmpfs", "/dev/shm"),
        ("devpts", "/dev/pts"),
        ("bpf", "/sys/fs/bpf"),
    ] {
        fs::create_dir_all(place).with_context(|| format!("creating {place}"))?;
        mount_as(kind, kind, place, NO_DATA)?;
    }
    fs::create_dir_all("/lib/modules").context("creating /lib/modules")?;
    mount_as(MODULES_TAG, "9p", "/lib/modules", HOST_FILES)
}

fn mount_as(source: &str, kind: &str, place: &str, data: &CStr) -> Result<()> {
    mount(source, place, kind, MountFlags::empty(), data)
        .with_context(|| format!("mounting {kind} on {place}"))
}

/// Where the host reads.
struct Console(File);

impl Console {
    fn open() -> Result<Self> {
        let file = File::options().write(true).open(CONSOLE);
        file.map(Self).with_context(|| format!("opening {CONSOLE}"))
    }

    fn tell(&mut self, event: &Event) -> Result<()> {
        let line = event.line().context("writing an event")?;
        self.0
            .write_all(line.as_bytes())
            .with_context(|| format!("writing to {CONSOLE}"))
    }

    /// Takes a step. That its program cannot be started is a failure of the step only.
    fn take(&mut self, step: &Step, job: &Job) -> Result<Ending> {
        let output = || {
            let file = self.0.try_clone();
            file.with_context(|| format!("a second handle of {CONSOLE}"))
        };
        let status = Command::new(&step.program)
            .args(&step.arguments)
            .current_dir(&step.directory)
            .env_clear()
            .envs(&job.environment)
            .stdin(Stdio::null())
            .stdout(output()?)
            .stderr(output()?)
            .status();
        let succeeded = match status {
            Ok(status) => status.success(),
            Err(error) => {
                let program = step.program.display();
                writeln!(self.0, "could not start {program}: {error}")
                    .with_context(|| format!("writing to {CONSOLE}"))?;
                false
            }
        };
        let figures = step.figures.as_deref().and_then(figures);
        Ok(Ending { succeeded, figures })
    }
}

/// What a step has written; nothing, if it did not get so far.
fn figures(file: &Path) -> Option<serde_json::Value> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}
