//! `build-and-load`: everything built in release mode, then `lbd` in the foreground, or the demo.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    process::Child,
    signal::unix::{SignalKind, signal},
};

use crate::{demo, ebpf, setup, shell, shell::Ended, workspace};

/// Where lbd pins its maps, programs and links unless told otherwise: below this.
const BPFFS: &str = "/sys/fs/bpf";
/// The type of a BPF file system, as statfs(2) gives it.
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// Where to load, and with what.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Interfaces to attach to, in place of the configuration's; without any and without a configuration,
    /// the demo is run
    #[arg(long, value_name = "IFACE", num_args = 1..)]
    iface: Vec<String>,
    /// The configuration; without it lbd starts with no services, to be added by lbctl
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Leave the demo up, and print how to try things by hand
    #[arg(long, conflicts_with_all = ["iface", "config"])]
    keep: bool,
    /// Write the demo's figures to FILE
    #[arg(long, value_name = "FILE", conflicts_with_all = ["iface", "config"])]
    json: Option<PathBuf>,
}

/// Builds, then runs; the daemon until it ends or Ctrl-C or SIGTERM ends it.
///
/// # Errors
/// Set-up, the build or the demo failed, or lbd could not be started; [`Ended`] if lbd failed.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !shell::is_root() {
        bail!("loading a program into the kernel needs root: run this as root, or by sudo");
    }
    setup::run()?;
    ebpf::build_all(ebpf::Options::default())?;
    if options.iface.is_empty() && options.config.is_none() {
        return demo::run(&demo::Options {
            keep: options.keep,
            json: options.json.clone(),
        });
    }
    provide_bpffs()?;
    let place = TempDir::with_prefix("lb-build-and-load-")
        .context("making a directory for the state of this run")?;
    let lbd = lbd(options, place.path())?;
    println!(
        "{} (Ctrl-C ends it and takes the program off)",
        shell::line(&lbd)
    );
    let status = foreground(lbd)?;
    if status.success() {
        return Ok(());
    }
    Err(Ended::of("lbd", status).into())
}

/// Mounts the BPF file system, as systemd does at boot, where that has not been done.
fn provide_bpffs() -> Result<()> {
    let found = rustix::fs::statfs(BPFFS).with_context(|| format!("looking at {BPFFS}"))?;
    if found.f_type & 0xffff_ffff == BPF_FS_MAGIC {
        return Ok(());
    }
    let mut mount = Command::new("mount");
    mount.args(["-t", "bpf", "bpf", BPFFS]);
    println!(
        "{BPFFS} is no BPF file system yet; lbd pins its maps in one: {}",
        shell::line(&mount)
    );
    shell::run("mounting the BPF file system", &mut mount)
}

/// The daemon's command line. What it saves goes to `place` and ends with the run, so that no run meets what
/// an earlier one saved; nor is a configuration read that nobody named.
fn lbd(options: &Options, place: &Path) -> Result<Command> {
    let config = if let Some(config) = &options.config {
        config.clone()
    } else {
        let empty = place.join("lb.toml");
        fs::write(&empty, "").with_context(|| format!("writing {}", empty.display()))?;
        empty
    };
    let mut lbd = Command::new(workspace::release_binary("lbd"));
    lbd.arg("run");
    for interface in &options.iface {
        lbd.args(["--interface", interface]);
    }
    lbd.arg("--config").arg(config);
    lbd.arg("--state-dir").arg(place.join("state"));
    lbd.arg("--detach-on-stop");
    Ok(lbd)
}

/// Runs `command` to its end. Ctrl-C reaches it from the terminal, as it stays in the foreground; a signal
/// sent to this process alone is passed on as SIGTERM. (lbd takes the second of two as it took the first.)
#[tokio::main(flavor = "current_thread")]
async fn foreground(command: Command) -> Result<ExitStatus> {
    let listen = |kind| signal(kind).context("listening for signals");
    let mut interrupted = listen(SignalKind::interrupt())?;
    let mut terminated = listen(SignalKind::terminate())?;
    // The terminal is gone: lbd would take it as a wish to reload, and stay.
    let mut hung_up = listen(SignalKind::hangup())?;
    let line = shell::line(&command);
    let mut child = tokio::process::Command::from(command)
        .spawn()
        .with_context(|| format!("could not start `{line}`"))?;
    loop {
        tokio::select! {
            status = child.wait() => return status.with_context(|| format!("waiting for `{line}`")),
            _ = interrupted.recv() => terminate(&child)?,
            _ = terminated.recv() => terminate(&child)?,
            _ = hung_up.recv() => terminate(&child)?,
        }
    }
}

fn terminate(child: &Child) -> Result<()> {
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    // Without an id it has ended, and is about to be seen.
    pid.and_then(Pid::from_raw).map_or(Ok(()), |pid| {
        kill_process(pid, Signal::TERM).context("passing SIGTERM on to lbd")
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        options: Options,
    }

    fn parsed(line: &str) -> Result<Options, clap::Error> {
        Arguments::try_parse_from(line.split(' ')).map(|arguments| arguments.options)
    }

    /// What `lbd` is started with, after its name; `place` stands for the directory of the run.
    fn started(line: &str, place: &Path) -> String {
        let lbd = lbd(&parsed(line).unwrap(), place).unwrap();
        let arguments: Vec<_> = lbd.get_args().map(OsStr::to_string_lossy).collect();
        arguments
            .join(" ")
            .replace(place.to_str().unwrap(), "place")
    }

    #[test]
    fn interfaces_may_follow_one_flag_or_have_one_each() {
        let place = TempDir::new().unwrap();
        for line in [
            "x --iface a b --config f",
            "x --iface a --iface b --config f",
        ] {
            assert_eq!(
                started(line, place.path()),
                "run --interface a --interface b --config f --state-dir place/state --detach-on-stop"
            );
        }
    }

    #[test]
    fn a_configuration_may_name_the_interfaces_itself() {
        let place = TempDir::new().unwrap();
        assert_eq!(
            started("x --config f", place.path()),
            "run --config f --state-dir place/state --detach-on-stop"
        );
    }

    #[test]
    fn without_a_configuration_the_hosts_own_is_not_read() {
        let place = TempDir::new().unwrap();
        assert_eq!(
            started("x --iface a", place.path()),
            "run --interface a --config place/lb.toml --state-dir place/state --detach-on-stop"
        );
        assert_eq!(fs::read(place.path().join("lb.toml")).unwrap(), b"");
    }

    #[test]
    fn how_the_daemon_ended_is_passed_on() {
        for (script, code) in [("exit 3", 3), ("kill -TERM $$", 143)] {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            let status = foreground(command).unwrap();
            assert_eq!(Ended::of("sh", status).code(), code, "{script}");
        }
    }

    #[test]
    fn the_demos_options_do_not_go_with_an_interface_or_a_configuration() {
        assert!(parsed("x --iface a --keep").is_err());
        assert!(parsed("x --config f --keep").is_err());
        assert!(parsed("x --keep --json f").is_ok());
    }
}
