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

use super::{Target, probe::Failure, schedule};

/// An agent's whole answer is no longer than this.
const LONGEST_ANSWER: u64 = 1_024;
/// How long one answer may take, if agents are not asked more often.
const TIMEOUT: Duration = Duration::from_secs(1);
/// So many characters of an answer that means nothing go to the log.
const QUOTED: usize = 80;
/// Of each agent, the log has a line in so much time at most.
const LINE_PAUSE: Duration = Duration::from_mins(1);

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

/// What has come of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What the agent has said.
    Said(Report),
    /// This host could not ask, which says nothing about the agent.
    NotAsked,
}

impl Answer {
    /// The answer to a question that came to `asked`; `None`: there was none.
    fn of(asked: &Result<Report, Failure>) -> Option<Self> {
        match asked {
            Ok(report) => Some(Self::Said(*report)),
            Err(Failure::Local(_)) => Some(Self::NotAsked),
            Err(Failure::Backend(_) | Failure::TimedOut { .. }) => None,
        }
    }
}

/// Asks a set of agents for as long as it lives, and sends what comes of it. Of one that says nothing there is nothing but
/// a line in the log.
#[derive(Debug)]
pub struct Agents {
    answers: mpsc::Sender<(Target, Answer)>,
    watched: BTreeMap<Target, (Agent, AbortHandle)>,
    /// Owns the tasks: dropping it stops them all.
    tasks: JoinSet<()>,
}

impl Agents {
    /// Asks nobody yet. When `answers` is full, its tasks wait.
    #[must_use]
    pub fn new(answers: mpsc::Sender<(Target, Answer)>) -> Self {
        Self {
            answers,
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
                let task = ask_forever(target.clone(), *agent, self.answers.clone());
                let task = self.tasks.spawn(task);
                self.watched.insert(target.clone(), (*agent, task));
            }
        }
        // Without this the set would keep a trace of every task there ever was.
        while self.tasks.try_join_next().is_some() {}
    }
}

async fn ask_forever(target: Target, agent: Agent, answers: mpsc::Sender<(Target, Answer)>) {
    let mut due = Instant::now() + schedule::first_delay(&target, agent.interval);
    let mut told = Told::default();
    loop {
        sleep_until(due).await;
        due = Instant::now() + agent.interval;
        let limit = TIMEOUT.min(agent.interval);
        let asked = timeout(limit, ask(agent.address)).await;
        let asked =
            asked.unwrap_or_else(|_| Err(Failure::Backend(format!("no answer within {limit:?}"))));
        let asked = asked.and_then(|answer| {
            Report::read(&answer).ok_or_else(|| Failure::Backend(meaningless(&answer)))
        });
        if told.is_news(asked.is_err(), Instant::now()) {
            let address = agent.address;
            match &asked {
                Ok(_) => info!("the agent of {target} answers again"),
                Err(Failure::Local(why)) => {
                    warn!("this host could not ask the agent of {target} at {address}: {why}");
                }
                Err(why) => {
                    warn!(
                        "the agent of {target} at {address} does not say what it can take: {why}"
                    );
                }
            }
        }
        let Some(answer) = Answer::of(&asked) else {
            continue;
        };
        if answers.send((target.clone(), answer)).await.is_err() {
            return;
        }
    }
}

/// What the log has of an agent: whether it answers, and since when. One that answers now and then does not fill it.
#[derive(Debug, Default)]
struct Told {
    is_silent: bool,
    at: Option<Instant>,
}

impl Told {
    /// Whether it is to be told that the agent is silent, or is not.
    fn is_news(&mut self, is_silent: bool, now: Instant) -> bool {
        let is_soon = self.at.is_some_and(|at| now < at + LINE_PAUSE);
        if is_silent == self.is_silent || is_soon {
            return false;
        }
        *self = Self {
            is_silent,
            at: Some(now),
        };
        true
    }
}

/// Why `answer` is none, with its beginning.
fn meaningless(answer: &str) -> String {
    let quoted: String = answer.chars().take(QUOTED).collect();
    format!("it said {quoted:?}, which means nothing")
}

/// What the agent at `address` answers, up to the end of its first line.
async fn ask(address: SocketAddr) -> Result<String, Failure> {
    let stream = TcpStream::connect(address);
    let stream = stream.await.map_err(Failure::of_socket)?;
    let mut answer = Vec::new();
    let mut rest = stream.take(LONGEST_ANSWER);
    loop {
        let read = rest.read_buf(&mut answer).await;
        let read = read.map_err(Failure::of_socket)?;
        if read == 0 || answer.contains(&b'\n') {
            return Ok(String::from_utf8_lossy(&answer).trim_end().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;
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
        let drain = Report {
            drains: Some(true),
            ..Report::default()
        };
        for report in [percent(75), drain] {
            let (whose, answer) = said.recv().await.unwrap();
            assert_eq!((whose, answer), (target.clone(), Answer::Said(report)));
        }
        agents.watch(&BTreeMap::new());
        drop(agents);
        while said.recv().await.is_some() {}
    }

    #[test]
    fn what_this_host_lacks_is_no_silence() {
        let failed = |errno: Errno| Answer::of(&Err(Failure::of_socket(errno.into())));
        assert_eq!(failed(Errno::MFILE), Some(Answer::NotAsked));
        assert_eq!(failed(Errno::CONNREFUSED), None);
        let said = Answer::of(&Ok(percent(75)));
        assert_eq!(said, Some(Answer::Said(percent(75))));
    }

    #[test]
    fn one_that_answers_now_and_then_is_told_of_once_a_minute() {
        let begin = Instant::now();
        let mut told = Told::default();
        let mut seconds = Vec::new();
        for second in 0..150 {
            let now = begin + Duration::from_secs(second);
            if told.is_news(second % 2 == 0, now) {
                seconds.push(second);
            }
        }
        assert_eq!(seconds, [0, 61, 122]);
        assert!(!Told::default().is_news(false, begin));
    }

    #[test]
    fn the_log_has_the_beginning_of_an_answer() {
        let answer = "ä".repeat(1_000);
        assert_eq!(
            meaningless(&answer),
            format!("it said \"{}\", which means nothing", "ä".repeat(80))
        );
    }
}
