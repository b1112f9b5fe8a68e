//! `lbd` as a child process in the balancer's namespace.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use super::{
    addressing::Link,
    control::Control,
    lab::{BALANCER, Lab},
    netns,
};

/// How long the daemon may take to listen, and to end.
const DEADLINE: Duration = Duration::from_secs(20);

/// How long a daemon that ends may take to say why.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The last lines of its log that go into an error.
const LOG_LINES: usize = 12;

/// The running daemon. It outlives this value; the [`Guard`](super::guard::Guard) ends what is left.
pub(super) struct Daemon {
    child: Child,
    lab: Lab,
}

impl Daemon {
    /// Starts `lbd` with native XDP on the balancer's end of every link, and waits until it listens.
    ///
    /// # Errors
    /// It cannot be started, or ends, or does not listen in time; with the end of its log.
    pub(super) async fn start(lab: &Lab, lbd: &Path) -> anyhow::Result<(Self, Control)> {
        ensure!(
            lbd.is_file(),
            "there is no {}: run `cargo xtask build`",
            lbd.display()
        );
        let config = lab.config();
        fs::write(
            &config,
            "# Empty: the demo says everything over the control socket.\n",
        )
        .with_context(|| format!("write {}", config.display()))?;
        let log = File::create(lab.log("lbd")).context("make the daemon's log file")?;
        let mut command = netns::command(&lab.netns_file(BALANCER), lbd);
        command.arg("run").arg("--config").arg(config);
        for link in Link::all() {
            command.arg("--interface").arg(link.near_device());
        }
        command.args(["--xdp-mode", "native"]);
        command.arg("--socket").arg(lab.socket());
        command.arg("--state-dir").arg(lab.state());
        command.arg("--bpffs").arg(lab.daemon_pins());
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share the daemon's log file")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", lbd.display()))?;
        let mut daemon = Self {
            child,
            lab: lab.clone(),
        };
        let control = daemon.connect().await?;
        Ok((daemon, control))
    }

    /// The process's number.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    async fn connect(&mut self) -> anyhow::Result<Control> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match Control::connect(&self.lab.socket()).await {
                Ok(control) => return Ok(control),
                Err(error) if Instant::now() > deadline => return Err(error.context(self.log())),
                Err(_) => {}
            }
            if let Some(status) = self.child.try_wait().context("look after lbd")? {
                bail!("lbd ended ({status}); {}", self.log());
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asks it to end by SIGTERM, and waits for that.
    ///
    /// # Errors
    /// It does not end in time, or ends with an error.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("lbd has no process id")?, Signal::TERM).context("stop lbd")?;
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.child.try_wait().context("wait for lbd")? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("lbd ended with an error ({status}); {}", self.log()),
                None if Instant::now() > deadline => {
                    bail!(
                        "lbd has not ended {} s after SIGTERM; {}",
                        DEADLINE.as_secs(),
                        self.log()
                    )
                }
                None => sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// What became of it, as a part of an error. A daemon that broke off a connection may just be ending.
    pub(super) async fn fate(&mut self) -> String {
        let deadline = Instant::now() + LAST_WORDS;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return format!("lbd ended ({status}); {}", self.log());
            }
            sleep(Duration::from_millis(10)).await;
        }
        format!("lbd still runs; {}", self.log())
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(self.lab.log("lbd")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let last = lines
            .get(lines.len().saturating_sub(LOG_LINES)..)
            .unwrap_or_default();
        format!("the log of lbd ends:\n{}", last.join("\n"))
    }
}
