//! Changes, whole or not at all; and what is tried again until it works.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    answers::{faulty, refused},
    core::Core,
};
use crate::{
    config::validate::EXEC_NOT_ALLOWED,
    control::protocol::{ErrorCode, RpcError},
    desired::{Change, Desired},
    model::{ProbeKind, Scope, Service},
    plan::{self, Knowledge, Plan},
    reconcile::PublishError,
};

/// The first and the longest pause before what has failed is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What is to be published, and can be as far as the daemon can tell.
struct Ready {
    plan: Plan,
    /// What the plan knows of slots that move.
    knowledge: Knowledge,
}

impl Core {
    /// Makes a change: wanted, found possible, saved, in the kernel; or an error and nothing has changed.
    pub(super) async fn change(
        &mut self,
        change: Change,
        digest: Option<String>,
    ) -> Result<(), RpcError> {
        let mut desired = self.desired.clone();
        desired.apply(change).map_err(refused)?;
        self.fit_snat(&desired).map_err(faulty)?;
        self.refuse_exec(&desired)?;
        self.commit(desired, digest).await
    }

    /// Commands are run only if the file said so when the daemon started, whoever asks for them.
    fn refuse_exec(&self, desired: &Desired) -> Result<(), RpcError> {
        let is_exec = |service: &&Arc<Service>| {
            let kind = service.probe.as_ref().map(|probe| &probe.kind);
            matches!(kind, Some(ProbeKind::Exec(_)))
        };
        let changed = desired.changed_services(&self.desired);
        match changed.filter_map(|(_, is)| is).find(is_exec) {
            Some(service) if self.settings.exec_user.is_none() => {
                let message = format!("service `{}`: {EXEC_NOT_ALLOWED}", service.name);
                Err(RpcError::new(ErrorCode::NotAllowed, message))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) async fn commit(
        &mut self,
        desired: Desired,
        digest: Option<String>,
    ) -> Result<(), RpcError> {
        let scope = desired.scope_since(&self.desired);
        let page = self.book.page(&scope);
        let before = (
            std::mem::replace(&mut self.desired, desired),
            std::mem::replace(&mut self.digest, digest),
            self.weights.clone(),
        );
        let open = self.edges.resolver.unanswered().clone();
        self.watch(&scope, &before.0, &self.serving(&scope));
        let concerns_others = self.await_next_hops(&open).await;
        let way = self.edges.paths.way();
        let opened = self.open_paths().await;
        let concerned = if concerns_others || self.edges.paths.way() != way {
            Scope::All
        } else {
            scope.clone()
        };
        let opened = opened.map_err(|error| (ErrorCode::Kernel, format!("{error:#}")));
        let ready = opened.and_then(|()| {
            let ready = self.make_ready(&concerned);
            ready.map_err(|error| (ErrorCode::Kernel, describe(&error)))
        });
        let saved = ready.and_then(|ready| match self.save() {
            Ok(()) => Ok(ready),
            Err(error) => Err((ErrorCode::Internal, describe(&error))),
        });
        let was_saved = saved.is_ok();
        let published = saved.and_then(|ready| {
            let published = self.publish(ready);
            published.map_err(|error| (ErrorCode::Kernel, describe(&error)))
        });
        match published {
            Ok(plan) => {
                self.follow(plan);
                self.clean();
                Ok(())
            }
            Err((code, why)) => {
                let refused = std::mem::replace(&mut self.desired, before.0);
                self.digest = before.1;
                self.book.turn_back(&scope, page);
                // The weights know yet of whom agents were asked for.
                self.watch(&scope, &refused, &BTreeSet::new());
                self.weights = before.2;
                let is_undone = self.save_undone(was_saved);
                self.reconcile(Scope::All);
                let message = if self.failed.is_none() && is_undone {
                    format!("nothing has changed: {why}")
                } else {
                    format!(
                        "{why}; what was done before could not be undone yet, and is being tried again: see status"
                    )
                };
                Err(RpcError::new(code, message))
            }
        }
    }

    /// Sees to all that publishing what is wanted of those that are concerned could fail by, but for the steps themselves:
    /// room in the maps, and a program that does what is needed.
    fn make_ready(&mut self, concerned: &Scope) -> Result<Ready, PublishError> {
        let (interfaces, knowledge) = (self.edges.interfaces.indexes(), self.knowledge());
        let scope = concerned.clone().and(self.news(&knowledge));
        let world = self.edges.world(
            self.book.concluded(),
            &self.next_hops,
            &interfaces,
            &knowledge,
        );
        let plan = self
            .reconciler
            .plan_that_fits(&self.desired, world, &scope)?;
        let features = plan::features(&self.desired, concerned);
        self.reconciler
            .dataplane_mut()
            .provide(features, self.edges.interfaces.attachments_mut())
            .map_err(|source| PublishError::Step {
                action: format!("take a program for {features}"),
                source,
            })?;
        Ok(Ready { plan, knowledge })
    }

    fn publish(&mut self, Ready { plan, knowledge }: Ready) -> Result<Plan, PublishError> {
        self.reconciler.apply(&plan)?;
        self.knowledge_used = knowledge;
        self.tell_published(&plan);
        Ok(plan)
    }

    fn tell_published(&mut self, plan: &Plan) {
        let reaction = self.reacting_since.take().map(|since| since.elapsed());
        self.edges.announcer.published(plan, reaction);
    }

    /// What of `desired` does not fit into the maps.
    pub(super) fn shortages(&self, desired: &Desired) -> Vec<String> {
        let (health, interfaces) = (BTreeMap::new(), self.edges.interfaces.indexes());
        let knowledge = self.knowledge();
        let world = self
            .edges
            .world(&health, &self.next_hops, &interfaces, &knowledge);
        let (plan, _) = self.reconciler.foresee(desired, world);
        plan.shortages.iter().map(ToString::to_string).collect()
    }

    /// Brings the kernel to what is wanted of those that are concerned, as far as it goes; what fails is tried again, for
    /// all.
    pub(super) fn reconcile(&mut self, scope: Scope) {
        let (interfaces, knowledge) = (self.edges.interfaces.indexes(), self.knowledge());
        let scope = if self.failed.is_some() {
            Scope::All
        } else {
            scope.and(self.news(&knowledge))
        };
        let world = self.edges.world(
            self.book.concluded(),
            &self.next_hops,
            &interfaces,
            &knowledge,
        );
        match self
            .reconciler
            .publish_what_fits(&self.desired, world, &scope)
        {
            Ok(plan) => {
                self.knowledge_used = knowledge;
                self.tell_published(&plan);
                self.follow(plan);
                let had_failed = self.failed.take();
                self.clean();
                if let (Some(had_failed), None) = (had_failed, &self.failed) {
                    self.edges.announcer.recovered(&had_failed.why);
                }
            }
            Err(error) => self.fail(describe(&error)),
        }
    }

    /// Takes over a plan that has been published: has probes go its ways, and slots learn; logs what it means for
    /// services in an emergency, and for those that are no longer.
    pub(super) fn follow(&mut self, plan: Plan) {
        // Who is probed by its VIP concerns all.
        if plan.scope == Scope::All {
            self.edges.prober.lead(&plan.paths);
        }
        let before = self.plan.emergencies.clone();
        self.plan.absorb(plan);
        self.follow_moves();
        self.make_room();
        for (service, emergency) in &self.plan.emergencies {
            if before.get(service) != Some(emergency) {
                warn!(%service, "{emergency}");
            }
        }
        for service in before.keys() {
            if !self.plan.emergencies.contains_key(service) {
                info!(%service, "enough backends can serve again");
            }
        }
    }

    pub(super) fn clean(&mut self) {
        if let Err(error) = self.reconciler.clean(&self.plan) {
            self.fail(describe(&error));
        }
    }

    pub(super) fn fail(&mut self, why: String) {
        self.fail_after(self.retry_pause(), why);
    }

    /// The pause before what has failed is tried again, if something has.
    pub(super) fn retry_pause(&self) -> Option<Duration> {
        self.failed.as_ref().map(|failed| failed.pause)
    }

    /// Something has failed that was tried after this pause, if it had failed before.
    pub(super) fn fail_after(&mut self, last: Option<Duration>, why: String) {
        let failed = Failed::again(last, why);
        self.edges.announcer.failed(&failed.why, failed.pause);
        self.failed = Some(failed);
    }

    /// What is wrong now, in words.
    pub(super) fn problems(&self) -> Vec<String> {
        let failed = self.failed.iter().map(|failed| failed.why.clone());
        let shortages = self.plan.shortages.iter().map(ToString::to_string);
        let unsaved = self.unsaved.iter().map(|unsaved| unsaved.why().to_owned());
        failed
            .chain(unsaved)
            .chain(self.unpinned.clone())
            .chain(shortages)
            .chain(self.edges.interfaces.problems())
            .chain(self.path_problems())
            .collect()
    }
}

/// What has failed, and is to be tried again.
pub(super) struct Failed {
    pub(super) why: String,
    pub(super) pause: Duration,
    pub(super) retry: Instant,
}

impl Failed {
    /// It was tried after this pause, if it had failed before.
    pub(super) fn again(last: Option<Duration>, why: String) -> Self {
        let (first, longest) = RETRY;
        let pause = last.map_or(first, |pause| (pause * 2).min(longest));
        Self {
            why,
            pause,
            retry: Instant::now() + pause,
        }
    }
}

/// An error with its causes, in one line.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
