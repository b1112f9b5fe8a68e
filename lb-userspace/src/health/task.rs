//! The tasks that probe, one for each target: none waits for another.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};
use tracing::warn;

use super::{
    Endpoint, Interest, Observation, Target, chance,
    lateness::{Counts, Outcome, Tally},
    probe::{self, ExecUser, Failure},
    schedule,
};
use crate::model::{Probe, Scope, Via};

/// Probes a set of targets for as long as it lives, and sends the results that matter. When this host itself could
/// not probe there is none, only a line in the log.
#[derive(Debug)]
pub struct Prober {
    edge: Edge,
    watched: BTreeMap<Target, Watched>,
    paths: watch::Sender<Paths>,
    /// Owns the tasks: dropping it stops them all.
    tasks: JoinSet<()>,
}

/// Where targets that are probed by their VIP are reached; those that are not there are not probed.
pub type Paths = BTreeMap<Target, Endpoint>;

/// What every task needs.
#[derive(Clone, Debug)]
struct Edge {
    results: mpsc::Sender<Observation>,
    tally: Arc<Tally>,
    /// Who runs commands; without, nobody does.
    exec_user: Option<ExecUser>,
}

#[derive(Debug)]
struct Watched {
    probe: Probe,
    interest: watch::Sender<Interest>,
    task: AbortHandle,
}

impl Prober {
    /// A prober without targets, which runs commands as `exec_user`, or none. When `results` is full its tasks wait:
    /// nothing is lost, nothing piles up.
    #[must_use]
    pub fn new(results: mpsc::Sender<Observation>, exec_user: Option<ExecUser>) -> Self {
        Self {
            edge: Edge {
                results,
                tally: Arc::default(),
                exec_user,
            },
            watched: BTreeMap::new(),
            paths: watch::Sender::new(Paths::new()),
            tasks: JoinSet::new(),
        }
    }

    /// Of those that are concerned, probes `targets` from now on, and nothing else. Targets whose probe is the same go on
    /// undisturbed; the first probe of the others follows within a second. Must be called within a Tokio runtime.
    pub fn watch(&mut self, scope: &Scope, targets: &BTreeMap<Target, Probe>) {
        let mut before = scope.take_part(&mut self.watched);
        for (target, probe) in targets {
            let same = before.remove_entry(target);
            let same = match same {
                Some((_, watched)) if watched.probe == *probe => Some(watched),
                Some((_, other)) => {
                    other.task.abort();
                    None
                }
                None => None,
            };
            let watched = same.unwrap_or_else(|| self.start(target.clone(), probe.clone()));
            self.watched.insert(target.clone(), watched);
        }
        for gone in before.into_values() {
            gone.task.abort();
        }
        // Without this the set would keep a trace of every task there ever was.
        while self.tasks.try_join_next().is_some() {}
    }

    /// Has targets that are probed by their VIP reached there from their next probe on.
    pub fn lead(&self, paths: &Paths) {
        self.paths.send_if_modified(|current| {
            let changed = current != paths;
            if changed {
                current.clone_from(paths);
            }
            changed
        });
    }

    /// Which results of `target` matter from now on; see [`schedule::next_delay`]. Cheap, and without effect if nothing
    /// changes.
    pub fn attend(&mut self, target: &Target, interest: Interest) {
        if let Some(watched) = self.watched.get(target) {
            watched
                .interest
                .send_if_modified(|current| std::mem::replace(current, interest) != interest);
        }
    }

    /// What has come of all probes so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.edge.tally.counts()
    }

    fn start(&mut self, target: Target, probe: Probe) -> Watched {
        let (interest, wanted) = watch::channel(Interest::default());
        let task = probe_forever(
            target,
            probe.clone(),
            self.paths.subscribe(),
            wanted,
            self.edge.clone(),
        );
        Watched {
            probe,
            interest,
            task: self.tasks.spawn(task),
        }
    }
}

async fn probe_forever(
    target: Target,
    probe: Probe,
    mut paths: watch::Receiver<Paths>,
    mut wanted: watch::Receiver<Interest>,
    edge: Edge,
) {
    let mut due = Instant::now() + schedule::first_delay(&target, probe.interval);
    sleep_until(due).await;
    let mut warned = false;
    // Whether the result before was a failure: then the success after it matters, whatever was said before it.
    let mut failed = true;
    loop {
        // To wait until the way is known is not to be late.
        let late = Instant::now() - due;
        let Some(endpoint) = reached(&target, &probe, &mut paths).await else {
            return;
        };
        let begin = Instant::now();
        edge.tally.began(late);
        let attempt = probe::attempt(&probe, &target, endpoint, edge.exec_user).await;
        edge.tally.ended(match &attempt {
            Ok(_) => Outcome::Succeeded,
            Err(Failure::Local(_)) => Outcome::Impossible,
            Err(_) => Outcome::Failed,
        });
        if let Err(failure @ Failure::Local(_)) = attempt {
            // No result: a balancer that runs out of descriptors must not take its backends down.
            if !warned {
                warn!("the health of {target} is not known: {failure}");
            }
            warned = true;
        } else {
            warned = false;
            let failed_before = std::mem::replace(&mut failed, attempt.is_err());
            if failed || failed_before || *wanted.borrow() != Interest::Failures {
                let observation = Observation {
                    target: target.clone(),
                    attempt: attempt.map_err(|failure| failure.to_string()),
                    at: SystemTime::now(),
                    over: Instant::now().into_std(),
                };
                if edge.results.send(observation).await.is_err() {
                    return;
                }
            }
        }
        due = next(begin, &probe, &mut wanted).await;
    }
}

/// Where `target` is reached, once it can be; `None` if nobody will tell any more.
async fn reached(
    target: &Target,
    probe: &Probe,
    paths: &mut watch::Receiver<Paths>,
) -> Option<Endpoint> {
    match probe.via {
        Via::Direct => Some(target.address.into()),
        Via::Vip => {
            let paths = paths.wait_for(|paths| paths.contains_key(target)).await;
            paths.ok()?.get(target).copied()
        }
    }
}

/// Waits for the next probe after the one that began at `last`; answers when it was due. The answer to a result, that a
/// change is being confirmed, comes while this waits: the time is worked out anew then.
async fn next(last: Instant, probe: &Probe, wanted: &mut watch::Receiver<Interest>) -> Instant {
    let chance = schedule::fraction(chance::bits());
    loop {
        let called = Instant::now();
        let is_pending = *wanted.borrow_and_update() == Interest::Soon;
        let due = last + schedule::next_delay(probe, is_pending, chance);
        tokio::select! {
            // What is due at once because of new interest is not late.
            () = sleep_until(due) => return due.max(called),
            Ok(()) = wanted.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests;
