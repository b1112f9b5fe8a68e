//! Changes, whole or not at all; and what is tried again until it works.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;
use tracing::error;

use super::{
    answers::refused,
    core::{Core, Failed},
    saved,
};
use crate::{
    control::protocol::{ErrorCode, RpcError},
    dataplane::Dataplane,
    desired::{Change, Desired},
    plan::{self, Plan},
    reconcile::{PublishError, World},
    state::StateError,
};

/// The first and the longest pause before a failed publication is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

impl Core {
    /// Makes a change: wanted, saved, in the kernel; or an error and nothing has changed.
    pub(super) async fn change(
        &mut self,
        change: Change,
        digest: Option<String>,
    ) -> Result<(), RpcError> {
        let mut desired = self.desired.clone();
        desired.apply(change).map_err(refused)?;
        self.commit(desired, digest).await
    }

    pub(super) async fn commit(
        &mut self,
        desired: Desired,
        digest: Option<String>,
    ) -> Result<(), RpcError> {
        let before = (
            std::mem::replace(&mut self.desired, desired),
            std::mem::replace(&mut self.digest, digest),
            self.book.clone(),
        );
        self.watch(&self.serving());
        self.await_next_hops().await;
        let opened = self.open_paths().await;
        let published = match (opened, self.save()) {
            (Ok(()), Ok(())) => self
                .publish()
                .map_err(|error| (ErrorCode::Kernel, describe(&error))),
            (Err(error), _) => Err((ErrorCode::Kernel, format!("{error:#}"))),
            (_, Err(error)) => Err((ErrorCode::Internal, describe(&error))),
        };
        match published {
            Ok(plan) => {
                self.adopt(plan);
                self.clean();
                Ok(())
            }
            Err((code, why)) => {
                (self.desired, self.digest, self.book) = before;
                self.watch(&BTreeSet::new());
                if let Err(error) = self.save() {
                    error!(error = describe(&error), "cannot save the state");
                }
                self.reconcile();
                Err(RpcError::new(code, format!("nothing has changed: {why}")))
            }
        }
    }

    /// Publishes what is wanted, with a program that does what that needs.
    pub(super) fn publish(&mut self) -> Result<Plan, PublishError> {
        let edges = &mut self.edges;
        let features = plan::features(&self.desired);
        edges
            .reconciler
            .dataplane_mut()
            .provide(features, edges.interfaces.attachments_mut())
            .map_err(|source| PublishError::Step {
                action: format!("take a program for {features}"),
                source,
            })?;
        let health = self.health();
        let world = World {
            health: &health,
            next_hops: &self.next_hops,
            interfaces: &self.edges.interfaces.indexes(),
            vlans: self.edges.interfaces.vlans(),
            sources: self.edges.sources,
            probes: self.edges.paths.way(),
        };
        self.edges.reconciler.publish(&self.desired, world)
    }

    /// What of `desired` does not fit into the maps.
    pub(super) fn shortages(&mut self, desired: &Desired) -> Vec<String> {
        let world = World {
            health: &BTreeMap::new(),
            next_hops: &self.next_hops,
            interfaces: &self.edges.interfaces.indexes(),
            vlans: self.edges.interfaces.vlans(),
            sources: self.edges.sources,
            probes: self.edges.paths.way(),
        };
        let plan = self.edges.reconciler.plan(desired, world);
        plan.shortages.iter().map(ToString::to_string).collect()
    }

    /// Brings the kernel to what is wanted, as far as it goes; what fails is tried again.
    pub(super) fn reconcile(&mut self) {
        let health = self.health();
        let world = World {
            health: &health,
            next_hops: &self.next_hops,
            interfaces: &self.edges.interfaces.indexes(),
            vlans: self.edges.interfaces.vlans(),
            sources: self.edges.sources,
            probes: self.edges.paths.way(),
        };
        match self
            .edges
            .reconciler
            .publish_what_fits(&self.desired, world)
        {
            Ok(plan) => {
                self.adopt(plan);
                self.failed = None;
                self.clean();
            }
            Err(error) => self.fail(describe(&error)),
        }
    }

    pub(super) fn clean(&mut self) {
        if let Err(error) = self.edges.reconciler.clean(&self.plan) {
            self.fail(describe(&error));
        }
    }

    pub(super) fn fail(&mut self, why: String) {
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
            .chain(self.edges.interfaces.problems())
            .chain(self.path_problems())
            .collect()
    }

    pub(super) fn save(&self) -> Result<(), StateError> {
        let generation = self.edges.reconciler.dataplane().actual().generation + 1;
        saved::keep(
            &self.edges.state_dir,
            generation,
            self.digest.as_deref(),
            &self.desired,
        )
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
