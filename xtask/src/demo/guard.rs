//! Takes the demo down, whatever way it ends.
//!
//! A second process waits for the first to close a pipe, which the kernel does for it if it panics or is
//! killed, and then removes everything that bears the run's name.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::{
    io::Errno,
    mount::{UnmountFlags, unmount},
    process::{Pid, Signal, kill_process},
};

use super::{
    lab::{Lab, NETNS_FILES},
    netns::run,
};

/// Said over the pipe to leave everything up.
const KEEP: &[u8] = b"keep";

/// How long killed processes may take to go.
const DEADLINE: Duration = Duration::from_secs(5);

/// The guarding process. Dropping it takes the demo down and waits until that is done.
pub(super) struct Guard {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// Starts the process; `arguments` make this program call [`watch`].
    ///
    /// # Errors
    /// This program cannot be started a second time.
    pub(super) fn start<A: AsRef<OsStr>>(
        arguments: impl IntoIterator<Item = A>,
    ) -> anyhow::Result<Self> {
        let program = env::current_exe().context("find this program's file")?;
        let mut child = Command::new(&program)
            .args(arguments)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {} as the demo's guard", program.display()))?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// Leaves everything up.
    ///
    /// # Errors
    /// The guard is gone.
    pub(super) fn release(mut self) -> anyhow::Result<()> {
        let pipe = self.pipe.as_mut().context("the demo's guard has no pipe")?;
        pipe.write_all(KEEP)
            .context("tell the demo's guard to leave everything up")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.pipe = None;
        // Its exit status adds nothing: what failed stands on standard error.
        let _ = self.child.wait();
    }
}

/// The guarding process itself: waits on standard input for the demo's end.
///
/// # Errors
/// Those of [`take_down`].
pub(super) fn watch(lab: &Lab) -> anyhow::Result<()> {
    let mut said = Vec::new();
    let told = io::stdin().read_to_end(&mut said);
    if told.is_ok() && said == KEEP {
        return Ok(());
    }
    take_down(lab)
}

/// Kills every process in the run's namespaces, removes these, unmounts its bpffs and removes its directory.
/// What is not there is skipped; what fails does not keep the rest.
///
/// # Errors
/// Everything that failed.
pub(super) fn take_down(lab: &Lab) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for name in lab.all_netns() {
        if fs::exists(Path::new(NETNS_FILES).join(&name)).unwrap_or(true) {
            let removed =
                remove_netns(&name).with_context(|| format!("remove the namespace {name}"));
            faults.extend(removed.err());
        }
    }
    let removed =
        remove_directory(lab).with_context(|| format!("remove {}", lab.directory().display()));
    faults.extend(removed.err());
    if faults.is_empty() {
        return Ok(());
    }
    let faults: Vec<_> = faults.iter().map(|fault| format!("{fault:#}")).collect();
    bail!(
        "could not take down all of {}: {}",
        lab.name(),
        faults.join("; ")
    )
}

fn remove_netns(name: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let pids = run(Command::new("ip").args(["netns", "pids", name]))?;
        let pids: Vec<_> = pids
            .split_whitespace()
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
            .collect();
        if pids.is_empty() {
            break;
        }
        for pid in pids {
            match kill_process(pid, Signal::KILL) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => bail!("kill process {}: {errno}", pid.as_raw_nonzero()),
            }
        }
        if Instant::now() > deadline {
            bail!(
                "its processes are still there {} s after SIGKILL",
                DEADLINE.as_secs()
            );
        }
        thread::sleep(Duration::from_millis(10));
    }
    run(Command::new("ip").args(["netns", "delete", name])).map(drop)
}

fn remove_directory(lab: &Lab) -> anyhow::Result<()> {
    match unmount(lab.bpffs(), UnmountFlags::DETACH) {
        // Not there, or not a mount point.
        Ok(()) | Err(Errno::NOENT | Errno::INVAL) => {}
        Err(errno) => {
            return Err(errno).with_context(|| format!("unmount {}", lab.bpffs().display()));
        }
    }
    match fs::remove_dir_all(lab.directory()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
