//! One guest: a kernel under QEMU's emulation (no KVM is asked of the machine), followed until it has done its job.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{
    guest::{MODULES_TAG, ROOT_TAG},
    image::Image,
    initramfs,
    job::Job,
    tools::QEMU,
};

const MEMORY: &str = "2048";
/// What the kernel is told; it gives what stands after `--` to the first process.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet panic=-1 mitigations=off";

/// How a guest's clock goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// As the machine's.
    Machine,
    /// By a nanosecond with each instruction of its one processor, and by leaps when that has nothing to do: what a run
    /// takes is the same each time, whatever else the machine does.
    Instructions,
}

impl Clock {
    /// Options of QEMU.
    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Machine => &["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"],
            // A string instruction counts once for each byte that it moves: without these, kernels move words.
            Self::Instructions => &[
                "-accel",
                "tcg",
                "-cpu",
                "max,-erms,-fsrm",
                "-smp",
                "1",
                "-icount",
                "shift=0,sleep=off",
            ],
        }
    }

    /// Arguments of the kernel.
    const fn arguments(self) -> &'static str {
        match self {
            Self::Machine => "",
            Self::Instructions => "init_on_alloc=0",
        }
    }
}

/// A running guest. Killed when dropped.
pub(super) struct Guest {
    child: Child,
    lines: Receiver<io::Result<String>>,
    log: PathBuf,
    _files: tempfile::TempDir,
}

impl Guest {
    /// Boots a guest that does `job`; `directory` gets the kernel's own log.
    ///
    /// # Errors
    /// Its files could not be made, or QEMU not be started.
    pub(super) fn boot(image: &Image, job: &Job, clock: Clock, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)
            .with_context(|| format!("creating {}", directory.display()))?;
        let files = tempfile::tempdir_in(directory)
            .with_context(|| format!("creating a directory in {}", directory.display()))?;
        let initramfs = files.path().join("initramfs");
        fs::write(&initramfs, initramfs::build(image, job)?)
            .with_context(|| format!("writing {}", initramfs.display()))?;
        let log = directory.join(format!("{}.log", image.release()));
        let mut command = command(image, clock, &initramfs, &log);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {QEMU}"))?;
        let output = child.stdout.take().context("QEMU without an output")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n') {
                let line = line.map(|line| {
                    let line = String::from_utf8_lossy(&line);
                    line.trim_end_matches('\r').to_owned()
                });
                // Nobody listens any more.
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            lines,
            log,
            _files: files,
        })
    }

    /// Gives every line that the guest writes to `read`, until it is switched off.
    ///
    /// # Errors
    /// It still runs after `limit`.
    pub(super) fn follow(&mut self, limit: Duration, mut read: impl FnMut(&str)) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => read(&line.context("reading what a guest writes")?),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the guest was not done after {} s", limit.as_secs())
                }
            }
        }
        let status = self.child.wait().context("waiting for QEMU")?;
        if !status.success() {
            bail!("QEMU ended with {status}");
        }
        Ok(())
    }

    /// The last lines of the kernel's log.
    pub(super) fn last_words(&self) -> String {
        const LINES: usize = 15;
        let Ok(file) = File::open(&self.log) else {
            return String::new();
        };
        let lines: Vec<String> = BufReader::new(file).lines().map_while(Result::ok).collect();
        let from = lines.len().saturating_sub(LINES);
        lines.get(from..).unwrap_or_default().join("\n")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(image: &Image, clock: Clock, initramfs: &Path, log: &Path) -> Command {
    let mut command = Command::new(QEMU);
    command
        .args(["-machine", "q35", "-m", MEMORY])
        .args(clock.options())
        .args(["-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-display", "none"]);
    // The kernel's log to a file; events and output of the steps to us.
    let log = format!("file:{}", quoted(log));
    command.args(["-serial", &log, "-serial", "stdio"]);
    let modules = image.modules();
    for (tag, path) in [(ROOT_TAG, Path::new("/")), (MODULES_TAG, &modules)] {
        let path = quoted(path);
        let files =
            format!("local,id={tag},path={path},security_model=none,readonly=on,multidevs=remap");
        let device = format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}");
        command.args(["-fsdev", &files, "-device", &device]);
    }
    // What stands after `--` is the first process's.
    let arguments = format!("{KERNEL_ARGUMENTS} {} -- guest", clock.arguments());
    command
        .arg("-kernel")
        .arg(image.vmlinuz())
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", &arguments]);
    command
}

/// A path in an option of QEMU's, where commas part what belongs together.
fn quoted(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}
