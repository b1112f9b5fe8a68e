//! The daemon's state, and what each event does to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout_at},
};
use tracing::{error, info, warn};

use super::{
    event::Event,
    exit::Failure,
    interfaces::Interfaces,
    saved::{self, Beginning},
};
use crate::{
    config::text,
    control::protocol::{ErrorCode, RpcError},
    dataplane::{Dataplane, kernel::Kernel},
    desired::{Change, Desired},
    health::{Observation, Target, book::Book, machine::Machine, task::Prober},
    model::{Health, Probe},
    neighbor::{Link, NextHops, ResolverHandle, Unresolved},
    plan::Plan,
    reconcile::{PublishError, Reconciler, World},
};

/// A full pass reads everything from the kernel and heals what somebody else has changed.
const FULL_PASS: Duration = Duration::from_secs(30);
/// The first and the longest pause before a failed publication is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How long a change waits for the next hops of new backends to be found.
const NEXT_HOP_PATIENCE: Duration = Duration::from_millis(500);

/// What the core is made of.
pub(super) struct Parts {
    pub(super) reconciler: Reconciler<Kernel>,
    pub(super) interfaces: Interfaces,
    pub(super) prober: Prober,
    pub(super) resolver: ResolverHandle,
    /// What the resolver finds.
    pub(super) next_hop_updates: mpsc::Receiver<NextHops>,
    /// The configuration file, for a reload.
    pub(super) file: PathBuf,
    pub(super) state_dir: PathBuf,
}

/// Owns all state; nothing else changes it.
pub(super) struct Core {
    pub(super) reconciler: Reconciler<Kernel>,
    pub(super) interfaces: Interfaces,
    prober: Prober,
    resolver: ResolverHandle,
    next_hop_updates: mpsc::Receiver<NextHops>,
    file: PathBuf,
    state_dir: PathBuf,
    pub(super) desired: Desired,
    /// Digest of the file that `desired` goes back to.
    digest: Option<String>,
    pub(super) book: Book,
    next_hops: NextHops,
    /// The last plan: what is in the kernel, and who serves.
    pub(super) plan: Plan,
    /// What could not be applied and is being tried again.
    failed: Option<Failed>,
    full_pass: Instant,
    pub(super) started: Instant,
}

/// A publication that failed.
struct Failed {
    why: String,
    pause: Duration,
    retry: Instant,
}

impl Core {
    pub(super) fn new(parts: Parts) -> Self {
        let now = Instant::now();
        Self {
            reconciler: parts.reconciler,
            interfaces: parts.interfaces,
            prober: parts.prober,
            resolver: parts.resolver,
            next_hop_updates: parts.next_hop_updates,
            file: parts.file,
            state_dir: parts.state_dir,
            desired: Desired::default(),
            digest: None,
            book: Book::default(),
            next_hops: NextHops::new(),
            plan: Plan::default(),
            failed: None,
            full_pass: now + FULL_PASS,
            started: now,
        }
    }

    /// Publishes what is wanted, then attaches: no packet meets a program without its tables.
    pub(super) async fn begin(
        &mut self,
        beginning: Beginning,
        links: &[Link],
    ) -> Result<(), Failure> {
        self.desired = beginning.desired;
        self.digest = beginning.digest;
        let adopted = self.adopted();
        self.watch(&adopted);
        self.await_next_hops().await;
        let health = self.health();
        let world = World {
            health: &health,
            next_hops: &self.next_hops,
            interfaces: &self.interfaces.present(links),
        };
        let plan = self
            .reconciler
            .publish(&self.desired, world)
            .map_err(anyhow::Error::from)?;
        info!(
            generation = plan.generation,
            steps = plan.publish.len(),
            services = self.desired.services.len(),
            "data plane is as wanted"
        );
        self.interfaces.attach_all(links)?;
        self.reconciler.clean(&plan).map_err(anyhow::Error::from)?;
        self.plan = plan;
        self.save().map_err(anyhow::Error::from)?;
        Ok(())
    }

    /// Takes events until one says stop.
    pub(super) async fn run(&mut self, mut queue: mpsc::Receiver<Event>) {
        loop {
            let wake = self.wake();
            let event = tokio::select! {
                Some(event) = queue.recv() => event,
                Some(next_hops) = self.next_hop_updates.recv() => Event::NextHops(next_hops),
                () = sleep_until(wake) => Event::Tick,
            };
            match event {
                Event::Call(request) => {
                    let answer = self.answer(request.call).await;
                    // The client may have given up; the change stands all the same.
                    let _ = request.answer.send(answer);
                }
                Event::Observed(observation) => self.observed(&observation),
                Event::NextHops(next_hops) => {
                    self.next_hops = next_hops;
                    self.reconcile();
                }
                Event::Interfaces(links) => {
                    if self.interfaces.follow(&links) {
                        self.reconcile();
                    }
                }
                Event::Tick => self.tick().await,
                Event::Reload => self.reload().await,
                Event::Stop => {
                    info!("stopping; the data plane goes on");
                    return;
                }
            }
        }
    }

    /// When something is due next.
    fn wake(&self) -> Instant {
        let removal = self.desired.next_due().map(|at| {
            let left = at.duration_since(SystemTime::now()).unwrap_or_default();
            Instant::now() + left
        });
        let retry = self.failed.as_ref().map(|failed| failed.retry);
        [removal, retry]
            .into_iter()
            .flatten()
            .fold(self.full_pass, Instant::min)
    }

    async fn tick(&mut self) {
        let due = self.desired.due(SystemTime::now());
        if !due.is_empty() {
            let mut desired = self.desired.clone();
            for change in due {
                if let Err(refusal) = desired.apply(change) {
                    warn!(%refusal, "a removal that was due is no longer possible");
                }
            }
            if let Err(error) = self.commit(desired, self.digest.clone()).await {
                error!(%error, "a removal that was due failed");
            }
        }
        let now = Instant::now();
        let retry = self
            .failed
            .as_ref()
            .is_some_and(|failed| failed.retry <= now);
        if retry || self.full_pass <= now {
            self.full_pass = now + FULL_PASS;
            match self.reconciler.refresh() {
                Ok(()) => self.reconcile(),
                Err(error) => self.fail(format!("{error:#}")),
            }
        }
    }

    fn observed(&mut self, observation: &Observation) {
        let transition = self.book.observe(observation);
        let target = &observation.target;
        let machine = self.book.entry(target);
        self.prober
            .hurry(target, machine.is_some_and(Machine::pending));
        if let Some(transition) = transition {
            let reason = machine.map(Machine::reason).unwrap_or_default();
            info!(service = %target.service, backend = %target.address, from = %transition.from, to = %transition.to, reason, "health");
            self.reconcile();
        }
    }

    /// Applies the file as a whole; a file with faults changes nothing.
    async fn reload(&mut self) {
        let read = std::fs::read_to_string(&self.file);
        let text = match read {
            Ok(text) => text,
            Err(error) => {
                error!(file = %self.file.display(), %error, "reload: cannot read the file; nothing has changed");
                return;
            }
        };
        match text::load(&text) {
            Ok(config) => match self
                .change(
                    Change::Replace(config.desired),
                    Some(crate::state::digest(&text)),
                )
                .await
            {
                Ok(()) => {
                    info!(file = %self.file.display(), generation = self.plan.generation, "reloaded")
                }
                Err(error) => {
                    error!(file = %self.file.display(), %error, "reload failed; nothing has changed")
                }
            },
            Err(faults) => {
                for fault in &faults.0 {
                    error!(file = %self.file.display(), %fault, "reload: the file has a fault; nothing has changed");
                }
            }
        }
    }

    /// Makes a change: wanted, saved, in the kernel; or an error and nothing has changed.
    pub(super) async fn change(
        &mut self,
        change: Change,
        digest: Option<String>,
    ) -> Result<(), RpcError> {
        let mut desired = self.desired.clone();
        desired.apply(change).map_err(super::answers::refused)?;
        self.commit(desired, digest).await
    }

    /// The digest of the file that what is wanted goes back to.
    pub(super) fn digest(&self) -> Option<String> {
        self.digest.clone()
    }

    /// Whether the configuration file is the text with `digest`.
    pub(super) fn file_is(&self, digest: &str) -> bool {
        std::fs::read_to_string(&self.file).is_ok_and(|text| crate::state::digest(&text) == digest)
    }

    async fn commit(&mut self, desired: Desired, digest: Option<String>) -> Result<(), RpcError> {
        let before = (
            std::mem::replace(&mut self.desired, desired),
            std::mem::replace(&mut self.digest, digest),
        );
        self.watch(&BTreeSet::new());
        self.await_next_hops().await;
        let published = match self.save() {
            Ok(()) => self
                .publish()
                .map_err(|error| (ErrorCode::Kernel, describe(&error))),
            Err(error) => Err((ErrorCode::Internal, describe(&error))),
        };
        match published {
            Ok(plan) => {
                self.plan = plan;
                self.clean();
                Ok(())
            }
            Err((code, why)) => {
                (self.desired, self.digest) = before;
                self.watch(&BTreeSet::new());
                if let Err(error) = self.save() {
                    error!(error = describe(&error), "cannot save the state");
                }
                self.reconcile();
                Err(RpcError::new(code, format!("nothing has changed: {why}")))
            }
        }
    }

    fn publish(&mut self) -> Result<Plan, PublishError> {
        let health = self.health();
        let world = World {
            health: &health,
            next_hops: &self.next_hops,
            interfaces: &self.interfaces.indexes(),
        };
        self.reconciler.publish(&self.desired, world)
    }

    /// Brings the kernel to what is wanted, as far as it goes; what fails is tried again.
    pub(super) fn reconcile(&mut self) {
        let health = self.health();
        let world = World {
            health: &health,
            next_hops: &self.next_hops,
            interfaces: &self.interfaces.indexes(),
        };
        match self.reconciler.publish_what_fits(&self.desired, world) {
            Ok(plan) => {
                self.plan = plan;
                self.failed = None;
                self.clean();
            }
            Err(error) => self.fail(describe(&error)),
        }
    }

    fn clean(&mut self) {
        if let Err(error) = self.reconciler.clean(&self.plan) {
            self.fail(describe(&error));
        }
    }

    fn fail(&mut self, why: String) {
        let (first, longest) = RETRY;
        let pause = self
            .failed
            .as_ref()
            .map_or(first, |failed| (failed.pause * 2).min(longest));
        error!(
            why,
            ?pause,
            "not everything that is wanted is in the kernel; trying again"
        );
        self.failed = Some(Failed {
            why,
            pause,
            retry: Instant::now() + pause,
        });
    }

    /// What is wrong now, in words.
    pub(super) fn problems(&self) -> Vec<String> {
        let failed = self.failed.iter().map(|failed| failed.why.clone());
        let shortages = self.plan.shortages.iter().map(ToString::to_string);
        failed
            .chain(shortages)
            .chain(self.interfaces.problems())
            .collect()
    }

    fn save(&self) -> Result<(), crate::state::StateError> {
        let generation = self.reconciler.dataplane().actual().generation + 1;
        saved::keep(
            &self.state_dir,
            generation,
            self.digest.as_deref(),
            &self.desired,
        )
    }

    /// Backends that the data plane sends new flows to already: an earlier process found them healthy.
    fn adopted(&self) -> BTreeSet<Target> {
        let actual = self.reconciler.dataplane().actual();
        let in_tables: BTreeSet<_> = actual
            .tables
            .values()
            .flat_map(|table| table.iter())
            .map(|slot| slot.backend())
            .collect();
        let serving = actual
            .backends
            .iter()
            .filter(|(id, _)| in_tables.contains(id))
            .map(|(_, entry)| entry);
        let serving: BTreeSet<_> = serving
            .map(|entry| (entry.service, entry.address))
            .collect();
        let mut adopted = BTreeSet::new();
        for service in self.desired.services.values() {
            let number = service
                .vips
                .iter()
                .find_map(|vip| actual.vips.get(vip))
                .map(|entry| entry.service);
            let Some(number) = number else {
                continue;
            };
            let addresses = service
                .backends
                .keys()
                .filter(|address| serving.contains(&(number, **address)));
            adopted.extend(addresses.map(|address| Target {
                service: service.name.clone(),
                address: *address,
            }));
        }
        adopted
    }

    /// Has the probes and next hops of all wanted backends followed.
    fn watch(&mut self, adopted: &BTreeSet<Target>) {
        let mut probes: BTreeMap<Target, Probe> = BTreeMap::new();
        let mut addresses = BTreeSet::new();
        for service in self.desired.services.values() {
            for backend in service.backends.keys() {
                addresses.insert(backend.ip());
                if let Some(probe) = &service.probe {
                    let target = Target {
                        service: service.name.clone(),
                        address: *backend,
                    };
                    probes.insert(target, probe.clone());
                }
            }
        }
        self.book.set_targets(&probes, adopted);
        self.prober.watch(&probes);
        self.resolver.watch(addresses);
    }

    /// Waits until the resolver has an answer for every wanted backend, but not for long: those that do not
    /// answer are left out of the tables until they do.
    async fn await_next_hops(&mut self) {
        let deadline = Instant::now() + NEXT_HOP_PATIENCE;
        let known: BTreeSet<IpAddr> = self.next_hops.keys().copied().collect();
        let is_open = |address: &IpAddr, next_hops: &NextHops| match next_hops.get(address) {
            None => true,
            Some(Err(Unresolved::NoNeighbor { .. })) => !known.contains(address),
            Some(Ok(_) | Err(_)) => false,
        };
        let backends = self
            .desired
            .services
            .values()
            .flat_map(|service| service.backends.keys());
        let addresses: BTreeSet<IpAddr> = backends.map(std::net::SocketAddr::ip).collect();
        while addresses
            .iter()
            .any(|address| is_open(address, &self.next_hops))
        {
            match timeout_at(deadline, self.next_hop_updates.recv()).await {
                Ok(Some(next_hops)) => self.next_hops = next_hops,
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn health(&self) -> BTreeMap<Target, Health> {
        let mut health = BTreeMap::new();
        for service in self
            .desired
            .services
            .values()
            .filter(|service| service.probe.is_some())
        {
            for address in service.backends.keys() {
                let target = Target {
                    service: service.name.clone(),
                    address: *address,
                };
                let concluded = self.book.health(&target);
                health.insert(target, concluded);
            }
        }
        health
    }
}

/// An error with its causes, in one line.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
