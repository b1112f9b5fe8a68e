//! Agents on backends that say how much these can take: one TCP connection a question, which answers one line, in the
//! words of `HAProxy`'s agent checks.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use tracing::{info, warn};

use super::{Target, schedule};

/// An agent's whole answer is no longer than this.
const LONGEST_ANSWER: u64 = 1_024;
/// How long one answer may take, if agents are not asked more often.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What an agent has said in one line; `None` where it said nothing of the kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// `75%`: per cent of the configured weight.
    pub percent: Option<u32>,
    /// `drain` and `maint`: no new flows, until `ready`.
    pub drains: Option<bool>,
    /// `down`, `fail`, `failed` and `stopped`: no new flows, until `up`.
    pub is_down: Option<bool>,
}

impl Report {
    /// What the first line of `answer` says, if any word of it means something here. Words are parted by spaces, tabs
    /// or commas, in any case; what stands behind `#` describes them.
    #[must_use]
    pub fn read(answer: &str) -> Option<Self> {
        let line = answer.lines().next()?.split('#').next()?;
        let mut report = Self::default();
        for word in line.split([' ', '\t', ',']) {
            match word.trim().to_ascii_lowercase().as_str() {
                "drain" | "maint" => report.drains = Some(true),
                "ready" => report.drains = Some(false),
                "down" | "fail" | "failed" | "stopped" => report.is_down = Some(true),
                "up" => report.is_down = Some(false),
                other => {
                    let percent = other.strip_suffix('%').and_then(|it| it.parse().ok());
                    report.percent = percent.or(report.percent);
                }
            }
        }
        (report != Self::default()).then_some(report)
    }
}

/// Where an agent answers, and how often it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its address.
    pub address: SocketAddr,
    /// From the begin of one question to the begin of the next.
    pub interval: Duration,
}

/// Asks a set of agents for as long as it lives, and sends what they say. Of one that says nothing there is nothing but
/// a line in the log.
#[derive(Debug)]
pub struct Agents {
    reports: mpsc::Sender<(Target, Report)>,
    watched: BTreeMap<Target, (Agent, AbortHandle)>,
    /// Owns the tasks: dropping it stops them all.
    tasks: JoinSet<()>,
}

impl Agents {
    /// Asks nobody yet. When `reports` is full, its tasks wait.
    #[must_use]
    pub fn new(reports: mpsc::Sender<(Target, Report)>) -> Self {
        Self {
            reports,
            watched: BTreeMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Asks `agents` from now on, and nobody else. Those that are asked already go on undisturbed. Must be called within
    /// a Tokio runtime.
    pub fn watch(&mut self, agents: &BTreeMap<Target, Agent>) {
        self.watched.retain(|target, (agent, task)| {
            let stays = agents.get(target) == Some(agent);
            if !stays {
                task.abort();
            }
            stays
        });
        for (target, agent) in agents {
            if !self.watched.contains_key(target) {
                let task = ask_forever(target.clone(), *agent, self.reports.clone());
                let task = self.tasks.spawn(task);
                self.watched.insert(target.clone(), (*agent, task));
            }
        }
        // Without this the set would keep a trace of every task there ever was.
        while self.tasks.try_join_next().is_some() {}
    }
}

async fn ask_forever(target: Target, agent: Agent, reports: mpsc::Sender<(Target, Report)>) {
    let mut due = Instant::now() + schedule::first_delay(&target, agent.interval);
    let mut is_silent = false;
    loop {
        sleep_until(due).await;
        due = Instant::now() + agent.interval;
        let limit = TIMEOUT.min(agent.interval);
        let answer = timeout(limit, ask(agent.address)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")));
        let report = answer.and_then(|answer| {
            Report::read(&answer).ok_or_else(|| format!("it said {answer:?}, which means nothing"))
        });
        let was_silent = std::mem::replace(&mut is_silent, report.is_err());
        match report {
            Ok(report) => {
                if was_silent {
                    info!("the agent of {target} answers again");
                }
                if reports.send((target.clone(), report)).await.is_err() {
                    return;
                }
            }
            Err(why) if !was_silent => {
                let address = agent.address;
                warn!("the agent of {target} at {address} does not say what it can take: {why}");
            }
            Err(_) => {}
        }
    }
}

/// What the agent at `address` answers, up to the end of its first line.
async fn ask(address: SocketAddr) -> Result<String, String> {
    let stream = TcpStream::connect(address);
    let stream = stream.await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    let mut rest = stream.take(LONGEST_ANSWER);
    loop {
        let read = rest.read_buf(&mut answer).await;
        let read = read.map_err(|error| error.to_string())?;
        if read == 0 || answer.contains(&b'\n') {
            return Ok(String::from_utf8_lossy(&answer).trim_end().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    fn percent(percent: u32) -> Report {
        Report {
            percent: Some(percent),
            ..Report::default()
        }
    }

    #[test]
    fn the_words_of_an_agent_are_read_and_others_passed_over() {
        let drains = |drains| Report {
            drains: Some(drains),
            ..Report::default()
        };
        let is_down = |is_down| Report {
            is_down: Some(is_down),
            ..Report::default()
        };
        for (answer, report) in [
            ("75%\n", Some(percent(75))),
            ("0%", Some(percent(0))),
            ("150% maxconn:30", Some(percent(150))),
            ("drain\r\n", Some(drains(true))),
            ("maint", Some(drains(true))),
            ("READY", Some(drains(false))),
            ("down # the disk is full, up to 90%", Some(is_down(true))),
            ("failed", Some(is_down(true))),
            ("stopped", Some(is_down(true))),
            (
                "up\t50%",
                Some(Report {
                    is_down: Some(false),
                    ..percent(50)
                }),
            ),
            (
                "up,ready,20%\ndrain",
                Some(Report {
                    is_down: Some(false),
                    drains: Some(false),
                    percent: Some(20),
                }),
            ),
            ("75", None),
            ("-5%", None),
            ("99999999999%", None),
            ("maxconn:30", None),
            ("# 75%", None),
            ("", None),
        ] {
            assert_eq!(Report::read(answer), report, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn an_agent_is_asked_again_and_again_and_its_line_is_taken_without_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agent = Agent {
            address: listener.local_addr().unwrap(),
            interval: Duration::from_millis(20),
        };
        let target = Target {
            service: "web".parse().unwrap(),
            address: "127.0.0.1:80".parse().unwrap(),
        };
        let (reports, mut said) = mpsc::channel(4);
        let mut agents = Agents::new(reports);
        agents.watch(&[(target.clone(), agent)].into());
        let mut open = Vec::new();
        for answer in ["75%\n", "nonsense\n", "drain\n"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            // The line ends the answer, not the connection.
            open.push(stream);
        }
        assert_eq!(said.recv().await.unwrap(), (target.clone(), percent(75)));
        assert_eq!(said.recv().await.unwrap().1.drains, Some(true));
        agents.watch(&BTreeMap::new());
        drop(agents);
        while said.recv().await.is_some() {}
    }
}
