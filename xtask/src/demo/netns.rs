//! Doing things inside a network namespace, and the commands `ip` and `ethtool`.

use std::{
    ffi::OsStr,
    fs::File,
    io::Write,
    os::fd::AsFd,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Moves the calling thread into a namespace, for good.
///
/// # Errors
/// Missing namespace or privilege.
pub(super) fn enter(netns: &Path) -> anyhow::Result<()> {
    let attempt = || format!("enter the network namespace {}", netns.display());
    let file = File::open(netns).with_context(attempt)?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).with_context(attempt)
}

/// Runs `work` on a thread of its own inside a namespace, and waits for it.
///
/// # Errors
/// Those of [`enter`] and of `work`.
pub(super) fn inside<T: Send>(
    netns: &Path,
    work: impl FnOnce() -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            enter(netns)?;
            work()
        });
        worker
            .join()
            .map_err(|_| anyhow!("a thread in {} panicked", netns.display()))?
    })
}

/// A command that runs inside a namespace, with this process's mounts, under its own process id.
///
/// It stands in a process group of its own: Ctrl-C is for the demo alone.
pub(super) fn command(netns: &Path, program: impl AsRef<OsStr>) -> Command {
    use std::os::unix::process::CommandExt;

    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", netns.display()));
    command.arg("--").arg(program).process_group(0);
    command
}

/// Runs a command to its end.
///
/// # Errors
/// It cannot be started, or fails: with what it said.
pub(super) fn run(command: &mut Command) -> anyhow::Result<String> {
    let shown = format!("{command:?}").replace('"', "");
    let output = command.output().with_context(|| format!("run `{shown}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}` failed ({}): {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Gives `ip` a list of commands, one a line.
///
/// # Errors
/// Those of the first command that fails.
pub(super) fn ip_batch(netns: Option<&str>, lines: &[String]) -> anyhow::Result<()> {
    let mut command = Command::new("ip");
    if let Some(netns) = netns {
        command.args(["-n", netns]);
    }
    let mut child = command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("run `ip`: is iproute2 installed?")?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that fails ends `ip` and breaks the pipe: its own words are below.
        let _ = stdin.write_all(lines.join("\n").as_bytes());
    }
    let output = child.wait_with_output().context("wait for `ip`")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`ip` in {}: {}",
            netns.unwrap_or("this namespace"),
            said.trim()
        );
    }
    Ok(())
}
