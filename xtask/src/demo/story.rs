//! What happens in the demo, in order; each act waits for what it shows, and for nothing else.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    addressing::{BACKENDS, Family, Link},
    control::{self, Applied, Control, Status},
    lab::Lab,
    load::Load,
    role,
    screen::{Screen, grouped},
    server::Server,
    tally::{Answers, Failover, Tally},
};

/// Requests over which the backends' shares are measured: their standard deviation is then 1.6 %.
const STEADY_REQUESTS: u32 = 8_000;

/// Requests from one act to the next, so that one sees the table change.
const PAUSE_REQUESTS: usize = 700;

/// The backend whose server is killed; an index into [`BACKENDS`].
const KILLED: usize = 1;

/// The backend that is drained and removed; an index into [`BACKENDS`].
const REMOVED: usize = 2;

/// How long the daemon may take to see and do something.
const DAEMON_DEADLINE: Duration = Duration::from_secs(10);

/// How long the flows of slots that are to move are learnt: every connection of the demo's clients lasts for one request.
const LEARN_FOR: &str = "500ms";

/// How long the clients may take for an act.
const CLIENTS_DEADLINE: Duration = Duration::from_mins(1);

/// How often `status` is asked while something is awaited.
const POLL: Duration = Duration::from_millis(10);

/// What a story has shown, beside what its clients have seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    /// Answers while all backends took traffic.
    pub(super) steady: Answers,
    /// The killed server's time.
    pub(super) failover: Failover,
    /// From the killed server's new start to its first answer.
    pub(super) recovery: Duration,
    /// Requests begun after the removal that the removed backend answered all the same.
    pub(super) answered_after_removal: u32,
}

/// The stage and its props.
pub(super) struct Story<'a> {
    pub(super) lab: &'a Lab,
    pub(super) screen: &'a RefCell<Screen>,
    pub(super) control: &'a mut Control,
    /// In the order of [`BACKENDS`].
    pub(super) servers: &'a mut [Option<Server>],
}

impl Story<'_> {
    /// Waits until the program is attached to the balancer's end of every link.
    ///
    /// # Errors
    /// It is not in time.
    pub(super) async fn attached(&mut self) -> anyhow::Result<()> {
        self.until("the program to be attached", |status| {
            let mut interfaces = status.interfaces.iter();
            status.interfaces.len() == Link::all().count()
                && interfaces.all(|interface| interface.xdp_mode != "detached")
        })
        .await
    }

    /// Adds the services and their backends over the control socket, and waits until these take traffic.
    ///
    /// # Errors
    /// The daemon refuses, or a backend does not come up.
    pub(super) async fn configure(&mut self) -> anyhow::Result<()> {
        for family in Family::ALL {
            let (name, vip) = (family.service(), format!("{}/tcp", family.vip()));
            let service = json!({
                "name": name,
                "vips": [vip],
                "mode": "nat",
                "probe": probe(),
                "learn_for": LEARN_FOR,
            });
            self.change("service.add", service).await?;
            for backend in BACKENDS {
                self.change("backend.add", reference(family, backend))
                    .await?;
            }
        }
        self.until("all backends to be up", |status| {
            BACKENDS
                .iter()
                .all(|backend| serving(status, *backend) == Serving::All)
        })
        .await?;
        self.say("all backends are up; clients begin");
        Ok(())
    }

    /// Plays all acts.
    ///
    /// # Errors
    /// Something that should be seen does not happen.
    pub(super) async fn play(&mut self, load: &Load) -> anyhow::Result<Shown> {
        let steady = self.steady(load).await?;
        let failover = self.kill(load).await?;
        let recovery = self.bring_back(load).await?;
        let answered_after_removal = self.remove(load).await?;
        Ok(Shown {
            steady,
            failover,
            recovery,
            answered_after_removal,
        })
    }

    async fn steady(&self, load: &Load) -> anyhow::Result<Answers> {
        let begun = Instant::now();
        load.until("answers of all backends", CLIENTS_DEADLINE, |tally| {
            tally.answers(begun, Instant::now()).iter().sum::<u32>() >= STEADY_REQUESTS
        })
        .await?;
        let steady = load.ask(|tally| tally.answers(begun, Instant::now()));
        self.say(format!(
            "{} requests answered by all three backends",
            grouped(steady.iter().sum::<u32>())
        ));
        Ok(steady)
    }

    async fn kill(&mut self, load: &Load) -> anyhow::Result<Failover> {
        let backend = BACKENDS[KILLED];
        let server = self.servers.get_mut(KILLED).and_then(Option::take);
        let server = server.with_context(|| format!("{} has no server to kill", backend.name))?;
        let pid = server.pid();
        let killed = Instant::now();
        server.kill()?;
        self.say(format!(
            "killed the server of {} (SIGKILL to process {pid})",
            backend.name
        ));
        self.until(&format!("traffic to leave {}", backend.name), |status| {
            serving(status, backend) == Serving::None
        })
        .await?;
        let failover = Failover {
            killed,
            left: Instant::now(),
        };
        pause(load).await?;
        let (failed, detected) = load.ask(|tally| {
            (
                tally.failed_inside(failover).count(),
                tally.detection(failover),
            )
        });
        self.say(format!(
            "traffic had left {} after {} ms; {failed} requests failed by then",
            backend.name,
            detected.as_millis()
        ));
        Ok(failover)
    }

    async fn bring_back(&mut self, load: &Load) -> anyhow::Result<Duration> {
        let backend = BACKENDS[KILLED];
        let started = Instant::now();
        let server = Server::start(self.lab, backend, &role::server_command(backend)?)?;
        self.say(format!(
            "started the server of {} again (process {})",
            backend.name,
            server.pid()
        ));
        if let Some(place) = self.servers.get_mut(KILLED) {
            *place = Some(server);
        }
        let first = |tally: &Tally| tally.first_answer(KILLED, started);
        load.until("an answer of the new server", CLIENTS_DEADLINE, |tally| {
            first(tally).is_some()
        })
        .await?;
        let recovery = load
            .ask(first)
            .map_or(Duration::ZERO, |answer| answer - started);
        self.say(format!(
            "{} answers again after {} ms",
            backend.name,
            recovery.as_millis()
        ));
        pause(load).await?;
        Ok(recovery)
    }

    async fn remove(&mut self, load: &Load) -> anyhow::Result<u32> {
        let backend = BACKENDS[REMOVED];
        for family in Family::ALL {
            self.change("backend.drain", reference(family, backend))
                .await?;
        }
        pause(load).await?;
        for family in Family::ALL {
            let removal = json!({
                "service": family.service(),
                "address": backend.server(family).to_string(),
                "drain_timeout": "500ms",
            });
            self.change("backend.remove", removal).await?;
        }
        self.until(&format!("{} to be gone", backend.name), |status| {
            serving(status, backend) == Serving::Gone
        })
        .await?;
        self.say(format!("{} is gone", backend.name));
        let gone = Instant::now();
        pause(load).await?;
        let answers = load.ask(|tally| tally.answers(gone, Instant::now()));
        Ok(answers[REMOVED])
    }

    async fn change(&mut self, method: &str, params: Value) -> anyhow::Result<()> {
        let applied: Applied = self.control.call(method, params.clone()).await?;
        self.say(format!(
            "{method} {params} -> generation {}",
            applied.generation
        ));
        Ok(())
    }

    async fn until(
        &mut self,
        what: &str,
        condition: impl Fn(&Status) -> bool,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let status = self.control.status().await?;
            if condition(&status) {
                return Ok(());
            }
            if begun.elapsed() > DAEMON_DEADLINE {
                let waited = DAEMON_DEADLINE.as_secs();
                bail!(
                    "waited {waited} s in vain for {what}; {}",
                    obstacles(&status)
                );
            }
            sleep(POLL).await;
        }
    }

    fn say(&self, text: impl std::fmt::Display) {
        self.screen.borrow_mut().say(text);
    }
}

/// Whether a backend takes new flows, over both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serving {
    /// In both.
    All,
    /// In one of them, or a change is under way.
    Some,
    /// In none.
    None,
    /// It does not exist.
    Gone,
}

fn serving(status: &Status, backend: Link) -> Serving {
    let found: Vec<_> = Family::ALL
        .into_iter()
        .filter_map(|family| status.backend(family.service(), &backend.server(family).to_string()))
        .collect();
    let all = |takes: fn(&control::Backend) -> bool| found.iter().all(|backend| takes(backend));
    if found.is_empty() {
        Serving::Gone
    } else if all(|backend| !backend.serving && backend.slots == 0) {
        Serving::None
    } else if found.len() == Family::ALL.len()
        && all(|backend| backend.serving && backend.slots > 0)
    {
        Serving::All
    } else {
        Serving::Some
    }
}

/// Why backends take no traffic, as `status` says it.
fn obstacles(status: &Status) -> String {
    let backends = status.services.iter().flat_map(|service| &service.backends);
    let reasons: Vec<_> = backends
        .filter_map(|backend| {
            Some(format!(
                "{}: {}",
                backend.address,
                backend.not_serving_because.as_ref()?
            ))
        })
        .collect();
    if reasons.is_empty() {
        "status names no obstacle".to_owned()
    } else {
        reasons.join("; ")
    }
}

fn probe() -> Value {
    json!({"type": "http", "interval": "200ms", "timeout": "100ms", "fall": 2, "rise": 2})
}

/// Which backend of which service.
fn reference(family: Family, backend: Link) -> Value {
    json!({"service": family.service(), "address": backend.server(family).to_string()})
}

/// Lets the clients go on for a while.
async fn pause(load: &Load) -> anyhow::Result<()> {
    let enough = load.ask(Tally::len) + PAUSE_REQUESTS;
    load.until("more requests", CLIENTS_DEADLINE, |tally| {
        tally.len() >= enough
    })
    .await
}
