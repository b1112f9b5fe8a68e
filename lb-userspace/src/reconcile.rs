//! Plans and applies: brings the data plane to what is wanted, whole or not at all.

use tracing::debug;

use crate::{
    dataplane::{Actual, Dataplane, DataplaneError, Step},
    desired::Desired,
    model::Scope,
    plan::{Index, Input, Plan, Tables, World, plan, plan_all, plan_services},
};

/// Why a publication failed.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Something wanted does not fit into the maps; nothing was done.
    #[error("{}", .0.join("; "))]
    Shortage(Vec<String>),
    /// The kernel refused a step. Some steps before it may have been done: publish what was there before.
    #[error("the kernel refused to {action}")]
    Step {
        /// The step, in words.
        action: String,
        /// What the kernel said.
        #[source]
        source: anyhow::Error,
    },
}

impl From<DataplaneError> for PublishError {
    fn from(DataplaneError { action, source }: DataplaneError) -> Self {
        Self::Step { action, source }
    }
}

/// Owns the data plane and keeps it as it should be.
#[derive(Debug)]
pub struct Reconciler<D> {
    dataplane: D,
    tables: Tables,
    /// In step with the data plane since all was planned the last time; `None` if not all fitted, a step has failed since,
    /// or others have had their hands on the maps.
    index: Option<Index>,
}

impl<D: Dataplane> Reconciler<D> {
    /// Takes over `dataplane` as it is.
    #[must_use]
    pub fn new(dataplane: D) -> Self {
        Self {
            dataplane,
            tables: Tables::default(),
            index: None,
        }
    }

    /// The data plane, to ask.
    pub const fn dataplane(&self) -> &D {
        &self.dataplane
    }

    /// The data plane, for what is done to it as a whole.
    pub const fn dataplane_mut(&mut self) -> &mut D {
        &mut self.dataplane
    }

    /// Reads again what the kernel holds, so that the next plan heals what somebody else has changed.
    ///
    /// # Errors
    /// A map could not be read.
    pub fn refresh(&mut self) -> Result<(), DataplaneError> {
        self.index = None;
        self.dataplane.refresh()
    }

    /// The way from what is to what is wanted, for `scope`, or for all if it concerns more.
    fn plan(&mut self, desired: &Desired, world: World<'_>, scope: &Scope) -> Plan {
        let mut tables = std::mem::take(&mut self.tables);
        let mut index = self.index.take();
        let input = self.input(desired, world);
        let of_services = match (&mut index, scope) {
            (Some(index), Scope::Services(services)) => {
                plan_services(input, services, index, &mut tables)
            }
            (None, _) | (_, Scope::All) => None,
        };
        let plan = of_services.unwrap_or_else(|| {
            let (plan, made) = plan_all(input, &mut tables);
            // Whoever has found no room is planned for as soon as anybody makes some.
            index = plan.shortages.is_empty().then_some(made);
            plan
        });
        self.tables = tables;
        self.index = index;
        plan
    }

    fn input<'a>(&'a self, desired: &'a Desired, world: World<'a>) -> Input<'a> {
        Input {
            desired,
            world,
            actual: self.dataplane.actual(),
            capacity: self.dataplane.capacity(),
        }
    }

    /// The way to what may be wanted one day, and what the kernel would then hold. Nothing changes, and nothing is
    /// forgotten that was computed.
    #[must_use]
    pub fn foresee(&self, desired: &Desired, world: World<'_>) -> (Plan, Actual) {
        let plan = plan(self.input(desired, world), &mut self.tables.clone());
        let mut actual = self.dataplane.actual().clone();
        for step in plan.publish.iter().chain(&plan.clean) {
            actual.record(step);
        }
        (plan, actual)
    }

    /// Plans for `scope` and publishes; what is no longer used is left for [`clean`](Self::clean). Returns the plan that
    /// is now in the kernel; it is for all, if `scope` turns out to concern them.
    ///
    /// # Errors
    /// [`PublishError::Shortage`] before anything is done; [`PublishError::Step`] on the way.
    pub fn publish(
        &mut self,
        desired: &Desired,
        world: World<'_>,
        scope: &Scope,
    ) -> Result<Plan, PublishError> {
        let plan = self.plan_that_fits(desired, world, scope)?;
        self.apply(&plan)?;
        Ok(plan)
    }

    /// The first half of [`publish`](Self::publish), which changes nothing in the kernel: what is then
    /// [applied](Self::apply) can fail by the kernel alone.
    ///
    /// # Errors
    /// [`PublishError::Shortage`].
    pub fn plan_that_fits(
        &mut self,
        desired: &Desired,
        world: World<'_>,
        scope: &Scope,
    ) -> Result<Plan, PublishError> {
        let plan = self.plan(desired, world, scope);
        if !plan.shortages.is_empty() {
            let shortages = plan.shortages.iter().map(ToString::to_string);
            return Err(PublishError::Shortage(shortages.collect()));
        }
        Ok(plan)
    }

    /// As [`publish`](Self::publish), but does what fits and leaves the rest: for changes of health and next
    /// hops, which nobody can refuse.
    ///
    /// # Errors
    /// [`PublishError::Step`].
    pub fn publish_what_fits(
        &mut self,
        desired: &Desired,
        world: World<'_>,
        scope: &Scope,
    ) -> Result<Plan, PublishError> {
        let plan = self.plan(desired, world, scope);
        self.apply(&plan)?;
        Ok(plan)
    }

    /// Publishes what was planned last, since when nothing else was done.
    ///
    /// # Errors
    /// [`PublishError::Step`].
    pub fn apply(&mut self, plan: &Plan) -> Result<(), PublishError> {
        for step in &plan.publish {
            debug!(generation = plan.generation, %step, "step");
            self.take(step)?;
        }
        if !plan.publish.is_empty() {
            self.dataplane.published(plan.generation);
        }
        Ok(())
    }

    fn take(&mut self, step: &Step) -> Result<(), DataplaneError> {
        // If the step fails, there is no telling what is there.
        let index = self.index.take().map(|mut index| {
            index.follow(step, self.dataplane.actual());
            index
        });
        self.dataplane.apply(step)?;
        self.index = index;
        Ok(())
    }

    /// Takes away what `plan` leaves unused, after a grace period.
    ///
    /// # Errors
    /// [`PublishError::Step`]; the next plan has what is left.
    pub fn clean(&mut self, plan: &Plan) -> Result<(), PublishError> {
        for step in &plan.clean {
            debug!(generation = plan.generation, %step, "clean-up");
            self.take(step)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
