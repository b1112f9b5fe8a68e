//! The daemon's state, and what each event does to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use super::{
    announce::{Announcer, SocketChange},
    answers::Answer,
    change::DRAIN_TIMEOUT,
    commit::{Failed, describe},
    event::Event,
    exit::Failure,
    interfaces::Interfaces,
    learning::Learning,
    notify::{self, Watchdog},
    paths::Paths,
    reading::Readings,
    restless::Restless,
    saved::Beginning,
    saving::Unsaved,
    wait::Wait,
    weights::Weights,
};
use crate::{
    config::{DaemonSettings, Faults},
    control::{protocol::HistoryOrigin, server::Request},
    dataplane::{Dataplane, kernel::Kernel, trial::Bench},
    desired::Desired,
    health::{Target, agent::Agents, book::Book, task::Prober},
    model::{ChosenSources, Health, Scope},
    neighbor::{self, Link, NextHopChanges, NextHops, ResolverHandle},
    plan::{self, Knowledge, Plan, World},
    reconcile::Reconciler,
    state::{self, Keeper, history::History},
};

/// A full pass reads everything from the kernel and heals what somebody else has changed.
const FULL_PASS: Duration = Duration::from_secs(30);

/// What the core reaches the world by.
pub(super) struct Edges {
    pub(super) announcer: Announcer,
    pub(super) interfaces: Interfaces,
    pub(super) paths: Paths,
    /// Where outer headers and the packets of full NAT come from, if the operator has chosen.
    pub(super) sources: ChosenSources,
    pub(super) prober: Prober,
    pub(super) agents: Agents,
    pub(super) resolver: ResolverHandle,
    /// What becomes of what the resolver finds.
    pub(super) next_hop_updates: mpsc::Receiver<NextHopChanges>,
    /// The configuration file, for a reload.
    pub(super) file: PathBuf,
    pub(super) state_dir: PathBuf,
}

impl Edges {
    /// What is known of the world, with this health and these next hops.
    pub(super) fn world<'a>(
        &'a self,
        health: &'a BTreeMap<Target, Health>,
        next_hops: &'a NextHops,
        interfaces: &'a BTreeSet<u32>,
        knowledge: &'a Knowledge,
    ) -> World<'a> {
        World {
            health,
            next_hops,
            interfaces,
            vlans: self.interfaces.vlans(),
            sources: self.sources,
            probes: self.paths.way(),
            knowledge,
        }
    }
}

/// Owns all state; nothing else changes it.
pub(super) struct Core {
    pub(super) edges: Edges,
    pub(super) reconciler: Reconciler<Kernel>,
    /// What is learnt of slots that move, and what of it the last plan knew.
    pub(super) learning: Learning,
    pub(super) knowledge_used: Knowledge,
    pub(super) desired: Desired,
    /// What was fixed at start.
    pub(super) settings: DaemonSettings,
    /// Digest of the file that `desired` goes back to.
    pub(super) digest: Option<String>,
    pub(super) book: Book,
    /// When the first of the probes was over that have changed a health since the last publication.
    pub(super) reacting_since: Option<std::time::Instant>,
    /// How much of their weights backends have, where weights are dynamic.
    pub(super) weights: Weights,
    pub(super) next_hops: NextHops,
    /// The last plan: what is in the kernel, and who serves.
    pub(super) plan: Plan,
    /// What could not be applied and is being tried again.
    pub(super) failed: Option<Failed>,
    /// What could not be saved and is being tried again.
    pub(super) unsaved: Option<Unsaved>,
    /// When everything is looked at anew.
    pub(super) next_full_pass: Instant,
    pub(super) started: Instant,
    /// Keeps what is wanted for the next start.
    pub(super) keeper: Keeper,
    /// The configurations that were applied.
    pub(super) history: History,
    pub(super) readings: Readings,
    pub(super) restless: Restless,
    pub(super) wait: Wait,
    watchdog: Watchdog,
    /// Why pins that are gone could not be put back.
    pub(super) unpinned: Option<String>,
    /// Whether everything has been taken out of the kernel.
    pub(super) is_detached: bool,
    /// Where packets are tried.
    pub(super) bench: Bench,
}

/// How the core has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was told to stop; the data plane goes on.
    Stopped,
    /// A client has had everything taken out of the kernel.
    Detached,
}

impl Core {
    pub(super) fn new(edges: Edges, reconciler: Reconciler<Kernel>) -> Self {
        let now = Instant::now();
        let history = History::open(&edges.state_dir);
        let keeper = Keeper::new(&edges.state_dir);
        Self {
            edges,
            reconciler,
            learning: Learning::new(now),
            knowledge_used: Knowledge::default(),
            desired: Desired::default(),
            settings: DaemonSettings::default(),
            digest: None,
            book: Book::default(),
            reacting_since: None,
            weights: Weights::default(),
            next_hops: NextHops::new(),
            plan: Plan::default(),
            failed: None,
            unsaved: None,
            next_full_pass: now + FULL_PASS,
            started: now,
            keeper,
            history,
            readings: Readings::default(),
            restless: Restless::default(),
            wait: Wait::default(),
            watchdog: Watchdog::new(now),
            unpinned: None,
            is_detached: false,
            bench: Bench::default(),
        }
    }

    /// Publishes what is wanted, then attaches: no packet meets a program without its tables.
    pub(super) async fn begin(
        &mut self,
        beginning: Beginning,
        links: &[Link],
    ) -> Result<(), Failure> {
        self.desired = match &beginning.replaces {
            Some(before) => self.and_those_left_out(beginning.desired, before, DRAIN_TIMEOUT),
            None => beginning.desired,
        };
        self.keeper = beginning.keeper;
        self.settings = beginning.settings;
        self.digest = beginning.digest;
        let adopted = self.adopted();
        self.watch(&Scope::All, &Desired::default(), &adopted);
        self.weights.begin(&self.desired, &adopted);
        self.await_next_hops(&BTreeSet::new()).await;
        self.open_paths().await?;
        self.edges.interfaces.look_at_vlans(links);
        let (present, knowledge) = (self.edges.interfaces.present(links), self.knowledge());
        let world = self
            .edges
            .world(self.book.concluded(), &self.next_hops, &present, &knowledge);
        let plan = self
            .reconciler
            .plan_that_fits(&self.desired, world, &Scope::All)
            .map_err(anyhow::Error::from)?;
        if beginning.replaces.is_some() {
            // As any change: what cannot be saved is not published.
            self.save().map_err(anyhow::Error::from)?;
        }
        self.reconciler.apply(&plan).map_err(anyhow::Error::from)?;
        info!(
            generation = plan.generation,
            steps = plan.publish.len(),
            services = self.desired.services.len(),
            "data plane is as wanted"
        );
        // What is published may yet be what was wanted before, while slots learn for what is wanted now.
        let features = plan::features(&self.desired, &Scope::All);
        let published = self.reconciler.dataplane().actual().features();
        self.reconciler
            .dataplane_mut()
            .provide(
                features.with(published),
                self.edges.interfaces.attachments_mut(),
            )
            .context("take a program for what is published")?;
        self.edges.interfaces.attach_all(links)?;
        self.reconciler.clean(&plan).map_err(anyhow::Error::from)?;
        self.follow(plan);
        if let Some(before) = beginning.replaces {
            self.keep(&before, HistoryOrigin::Start, None, None);
        } else if let Err(error) = self.save() {
            // Nothing is lost: what was found there is what is wanted. A full disk must not keep lbd from starting.
            self.not_written_anew(&error);
        }
        Ok(())
    }

    /// Takes events until one says stop.
    pub(super) async fn run(&mut self, mut queue: mpsc::Receiver<Event>) -> End {
        let mut next = None;
        loop {
            self.watchdog.look(Instant::now());
            let event = if let Some(event) = next.take() {
                event
            } else {
                // Every backend is looked at for this: not once for each of the events that come together.
                let wake = self.wake();
                tokio::select! {
                    Some(event) = queue.recv() => event,
                    Some(changes) = self.edges.next_hop_updates.recv() => Event::NextHops(changes),
                    findings = self.learning.look.findings() => Event::Looked(findings),
                    waited = self.wait.over() => Event::Waited(waited),
                    () = sleep_until(wake) => Event::Tick,
                }
            };
            match event {
                Event::Call(request) => {
                    let Request { call, peer, answer } = *request;
                    let change = SocketChange::of(&call, peer);
                    let answered = self.answer(call, peer).await;
                    if let (Some(change), Ok(_)) = (change, &answered) {
                        self.edges.announcer.changed(&change, self.generation());
                    }
                    // The client may have given up; the change stands all the same.
                    match answered {
                        Ok(Answer::Now(value)) => drop(answer.send(Ok(value))),
                        Ok(Answer::Beside(reading)) => self.read(reading, answer),
                        Err(error) => drop(answer.send(Err(error))),
                    }
                    if self.is_detached {
                        return End::Detached;
                    }
                }
                heard @ (Event::Observed(_) | Event::Asked(..)) => {
                    next = self.hear(heard, &mut queue);
                }
                Event::NextHops(changes) => {
                    self.edges.resolver.take_over(changes, &mut self.next_hops);
                    self.reconcile(Scope::All);
                }
                Event::Interfaces(links) => {
                    let is_missing = self.edges.paths.is_missing(&links);
                    if is_missing {
                        // What was told may be older than the interface.
                        self.heal_paths().await;
                    }
                    if self.edges.interfaces.follow(&links) || is_missing {
                        self.reconcile(Scope::All);
                    }
                }
                Event::Looked(findings) => self.looked(findings),
                Event::Waited(waited) => self.waited(waited),
                Event::Tick => self.tick().await,
                Event::Reload => self.reload().await,
                Event::Stop => {
                    info!("stopping");
                    return End::Stopped;
                }
            }
        }
    }

    /// When to look next whether something is due.
    fn wake(&self) -> Instant {
        let due = self.due();
        self.watchdog.next().map_or(due, |next| next.min(due))
    }

    /// When something is due next. While something fails, only its retry.
    fn due(&self) -> Instant {
        let unsaved = self.unsaved.as_ref().map(Unsaved::retry);
        let first = unsaved.map_or(self.next_full_pass, |it| it.min(self.next_full_pass));
        if let Some(failed) = &self.failed {
            return failed.retry.min(first);
        }
        let removal = self.next_removal().map(|at| {
            let left = at.duration_since(SystemTime::now()).unwrap_or_default();
            Instant::now() + left
        });
        let learning = self.next_lesson();
        let dues = removal
            .into_iter()
            .chain(learning)
            .chain(self.weights.next());
        dues.fold(first, Instant::min)
    }

    async fn tick(&mut self) {
        self.save_again(Instant::now());
        self.remove_due().await;
        let now = Instant::now();
        self.weigh(now);
        if self.failed.is_none() {
            self.learn(now);
        }
        let is_retry = self
            .failed
            .as_ref()
            .is_some_and(|failed| failed.retry <= now);
        if is_retry || self.next_full_pass <= now {
            self.next_full_pass = now + FULL_PASS;
            self.full_pass().await;
        }
    }

    /// Looks at everything anew: interfaces, those among them that could not be attached to, and the maps.
    async fn full_pass(&mut self) {
        self.edges.interfaces.forget_failures();
        self.look_at_interfaces().await;
        self.heal_paths().await;
        match self.reconciler.refresh() {
            Ok(()) => self.reconcile(Scope::All),
            Err(error) => self.fail(describe(&error)),
        }
    }

    /// Follows the interfaces as they are now, and sees to the pins. Attaching does not make the kernel tell of a change, so the
    /// mode of those just attached to is asked for once more.
    pub(super) async fn look_at_interfaces(&mut self) {
        let attachments = self.edges.interfaces.attachments_mut();
        let mended = self.reconciler.dataplane().mend(attachments);
        self.unpinned = mended.err().map(|error| format!("{error:#}"));
        for _ in 0..2 {
            match neighbor::links().await {
                Ok(links) => {
                    if self.edges.interfaces.follow(&links) {
                        self.reconcile(Scope::All);
                    }
                }
                Err(error) => warn!(%error, "cannot list the interfaces"),
            }
            if !self.edges.interfaces.is_mode_unknown() {
                return;
            }
        }
    }

    async fn reload(&mut self) {
        notify::reloading();
        let file = self.edges.file.display().to_string();
        match self.apply_file().await {
            Ok(warnings) => {
                self.edges.announcer.reloaded(&file, self.generation());
                for warning in warnings {
                    warn!(file, "{warning}");
                }
            }
            Err(error) => {
                let faults = match error.downcast::<Faults>() {
                    Ok(Faults(faults)) => faults.iter().map(ToString::to_string).collect(),
                    Err(error) => vec![format!("{error:#}")],
                };
                self.edges.announcer.not_reloaded(&file, &faults);
            }
        }
        notify::ready();
    }

    /// A warning, if `settings` differ from what was fixed at start.
    pub(super) fn fixed(&self, settings: &DaemonSettings) -> Option<String> {
        (*settings != self.settings)
            .then(|| "[daemon] differs from what lbd was started with: it takes effect with the next start, sizes (max_*) after `lbd detach`".to_owned())
    }

    /// The last publication.
    pub(super) fn generation(&self) -> u32 {
        self.reconciler.dataplane().actual().generation
    }

    /// The digest of the file that what is wanted goes back to.
    pub(super) fn digest(&self) -> Option<String> {
        self.digest.clone()
    }

    /// Whether the configuration file is the text with `digest`.
    pub(super) fn file_is(&self, digest: &str) -> bool {
        fs::read_to_string(&self.edges.file).is_ok_and(|text| state::digest(&text) == digest)
    }
}
