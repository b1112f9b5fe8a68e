//! The tasks that probe, one for each target: none waits for another.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    time::SystemTime,
};

use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};
use tracing::warn;

use super::{
    Endpoint, Observation, Target,
    probe::{self, Failure},
    schedule,
};
use crate::model::{Probe, Via};

/// Probes a set of targets for as long as it lives, and sends every result. When this host itself could
/// not probe there is none, only a line in the log.
#[derive(Debug)]
pub struct Prober {
    results: mpsc::Sender<Observation>,
    watched: BTreeMap<Target, Watched>,
    paths: watch::Sender<Paths>,
    /// Owns the tasks: dropping it stops them all.
    tasks: JoinSet<()>,
}

/// Where targets that are probed by their VIP are reached; those that are not there are not probed.
pub type Paths = BTreeMap<Target, Endpoint>;

#[derive(Debug)]
struct Watched {
    probe: Probe,
    /// Whether a change of its health is being confirmed.
    pending: watch::Sender<bool>,
    task: AbortHandle,
}

impl Prober {
    /// A prober without targets. When `results` is full its tasks wait: nothing is lost, nothing piles up.
    #[must_use]
    pub fn new(results: mpsc::Sender<Observation>) -> Self {
        Self {
            results,
            watched: BTreeMap::new(),
            paths: watch::Sender::new(Paths::new()),
            tasks: JoinSet::new(),
        }
    }

    /// Probes `targets` from now on, and nothing else. Targets whose probe is the same go on undisturbed;
    /// the first probe of the others follows within a second. Must be called within a Tokio runtime.
    pub fn watch(&mut self, targets: &BTreeMap<Target, Probe>) {
        self.watched.retain(|target, watched| {
            let stays = targets.get(target) == Some(&watched.probe);
            if !stays {
                watched.task.abort();
            }
            stays
        });
        for (target, probe) in targets {
            if !self.watched.contains_key(target) {
                let watched = self.start(target.clone(), probe.clone());
                self.watched.insert(target.clone(), watched);
            }
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

    /// Probes `target` faster while a change of its health is `pending`; see
    /// [`schedule::next_delay`]. Cheap, and without effect if nothing changes.
    pub fn hurry(&mut self, target: &Target, pending: bool) {
        if let Some(watched) = self.watched.get(target) {
            watched
                .pending
                .send_if_modified(|current| std::mem::replace(current, pending) != pending);
        }
    }

    fn start(&mut self, target: Target, probe: Probe) -> Watched {
        let (pending, confirming) = watch::channel(false);
        let task = probe_forever(
            target,
            probe.clone(),
            self.paths.subscribe(),
            confirming,
            self.results.clone(),
        );
        Watched {
            probe,
            pending,
            task: self.tasks.spawn(task),
        }
    }
}

async fn probe_forever(
    target: Target,
    probe: Probe,
    mut paths: watch::Receiver<Paths>,
    mut confirming: watch::Receiver<bool>,
    results: mpsc::Sender<Observation>,
) {
    let mut begin = Instant::now() + schedule::first_delay(&target, probe.interval);
    sleep_until(begin).await;
    let mut warned = false;
    loop {
        let Some(endpoint) = reached(&target, &probe, &mut paths).await else {
            return;
        };
        let attempt = probe::attempt(&probe, endpoint).await;
        if let Err(failure @ Failure::Local(_)) = attempt {
            // No result: a balancer that runs out of descriptors must not take its backends down.
            if !warned {
                warn!("the health of {target} is not known: {failure}");
            }
            warned = true;
        } else {
            warned = false;
            let observation = Observation {
                target: target.clone(),
                attempt: attempt.map_err(|failure| failure.to_string()),
                at: SystemTime::now(),
            };
            if results.send(observation).await.is_err() {
                return;
            }
        }
        begin = next(begin, &probe, &mut confirming).await;
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

/// Waits for the next probe after the one that began at `last`; answers when it begins. The answer to a
/// result, that a change is being confirmed, comes while this waits: the time is worked out anew then.
async fn next(last: Instant, probe: &Probe, confirming: &mut watch::Receiver<bool>) -> Instant {
    let chance = chance();
    loop {
        let pending = *confirming.borrow_and_update();
        let begin = last + schedule::next_delay(probe, pending, chance);
        tokio::select! {
            () = sleep_until(begin) => return Instant::now(),
            Ok(()) = confirming.changed() => {}
        }
    }
}

/// A random number in [0, 1): the standard library seeds each `RandomState` differently, which is random
/// enough to keep probes apart.
fn chance() -> f64 {
    schedule::fraction(RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests;
