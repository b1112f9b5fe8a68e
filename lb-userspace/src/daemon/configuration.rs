//! Configurations as a whole: checked, planned, compared, applied, kept and brought back.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::task::spawn_blocking;
use tracing::error;

use super::{
    answers::value,
    change::{self, DRAIN_TIMEOUT},
    commit::describe,
    core::Core,
    forecast::Forecast,
    host::{host, read_here},
    reading::{Reading, unreadable},
    report::milliseconds,
};
use crate::{
    config::{Config, Fault, Faults, Host, differences, spec::ConfigSpec, text, validate},
    control::{
        access::Peer,
        protocol::{
            Applied, Budget, Checked, ConfigApply, ConfigDiff, ConfigRollback, ConfigText, Diff,
            ErrorCode, History, HistoryEntry, HistoryOrigin, RpcError,
        },
    },
    dataplane::Dataplane,
    desired::{Change, Desired},
    model::{Scope, Service, Tracking},
    state,
};

/// A configuration that is to replace the running one.
pub(super) struct Whole {
    pub(super) desired: Desired,
    /// Digest of the file that it is; of none, if none.
    pub(super) digest: Option<String>,
    pub(super) origin: HistoryOrigin,
    /// Of a rollback: the one that it is.
    pub(super) of: Option<u32>,
    /// Who asked for it over the socket.
    pub(super) peer: Option<Peer>,
    /// How long those backends drain that it leaves out.
    pub(super) drain_timeout: Duration,
}

impl Core {
    /// Every fault of a configuration, modes among them that routes and interfaces cannot serve as they are now; for one
    /// that has none, what of it does not fit into the running maps.
    pub(super) async fn check(&self, config: &ConfigText) -> Result<Checked, RpcError> {
        let written = Written::of(config.toml.as_ref(), config.config.as_ref())?;
        let read = read_here(|host| written.read(host)).await;
        let fitting = read.and_then(|read| {
            self.fit_snat(&read.desired)?;
            Ok(read)
        });
        let faults = match fitting {
            Err(Faults(faults)) => faults,
            Ok(read) => {
                let shortages = self.shortages(&read.desired).into_iter();
                shortages.map(Fault::of_whole).collect()
            }
        };
        Ok(Checked {
            valid: faults.is_empty(),
            faults,
        })
    }

    /// What applying a configuration would do.
    pub(super) fn plan_config(&self, plan: &ConfigApply) -> Result<Reading, RpcError> {
        let written = Written::of(plan.toml.as_ref(), plan.config.as_ref())?;
        let config = written.read(&host()).map_err(invalid)?;
        self.fit_snat(&config.desired).map_err(invalid)?;
        let drain_timeout = change::drain_timeout(plan.drain_timeout.as_deref())?;
        let forecast = self.forecast(&config.desired, budget(plan.budget)?, drain_timeout)?;
        Ok(Box::new(move |tables| value(&forecast.count(tables)?)))
    }

    /// Replaces everything by a configuration.
    pub(super) async fn apply_config(
        &mut self,
        apply: &ConfigApply,
        peer: Peer,
    ) -> Result<Applied, RpcError> {
        let written = Written::of(apply.toml.as_ref(), apply.config.as_ref())?;
        let config = written.read(&host()).map_err(invalid)?;
        // The file itself, applied over the socket, is not to be applied once more at the next start.
        let digest = apply.toml.as_deref().map(state::digest);
        let digest = digest.filter(|digest| self.file_is(digest));
        let whole = Whole {
            desired: config.desired,
            digest: digest.or_else(|| self.digest()),
            origin: HistoryOrigin::Apply,
            of: None,
            peer: Some(peer),
            drain_timeout: change::drain_timeout(apply.drain_timeout.as_deref())?,
        };
        let mut warnings = self.replace(whole, budget(apply.budget)?).await?;
        if written.names_daemon() {
            warnings.extend(self.fixed(&config.daemon));
        }
        Ok(self.applied(&Scope::All).with(warnings))
    }

    /// Goes back to a configuration of the history.
    pub(super) async fn rollback(
        &mut self,
        rollback: &ConfigRollback,
        peer: Peer,
    ) -> Result<Applied, RpcError> {
        let number = match rollback.number {
            Some(number) => number,
            None => self.last_that_differs()?,
        };
        let config = self.configuration(Some(number))?;
        let config = validate::config(&config, &host()).map_err(invalid)?;
        let whole = Whole {
            desired: config.desired,
            digest: self.digest(),
            origin: HistoryOrigin::Rollback,
            of: Some(number),
            peer: Some(peer),
            drain_timeout: change::drain_timeout(rollback.drain_timeout.as_deref())?,
        };
        let warnings = self.replace(whole, budget(rollback.budget)?).await?;
        Ok(self.applied(&Scope::All).with(warnings))
    }

    /// Replaces what is wanted by `whole`, if that is within the budget, and keeps it in the history. Answers what the
    /// operator should know.
    pub(super) async fn replace(
        &mut self,
        whole: Whole,
        budget: Budget,
    ) -> Result<Vec<String>, RpcError> {
        self.fit_snat(&whole.desired).map_err(invalid)?;
        if budget != Budget::default() {
            let forecast = self.forecast(&whole.desired, budget, whole.drain_timeout)?;
            self.refuse_excess(forecast, budget).await?;
        }
        let before = self.desired.clone();
        let Whole {
            desired,
            digest,
            origin,
            of,
            peer,
            drain_timeout,
        } = whole;
        let desired = self.and_those_left_out(desired, &before, drain_timeout);
        self.change(Change::Replace(desired), digest).await?;
        Ok(self.keep(&before, origin, of, peer).into_iter().collect())
    }

    /// `desired`, and with it the backends of `before` that it leaves out: they drain.
    pub(super) fn and_those_left_out(
        &self,
        desired: Desired,
        before: &Desired,
        drain_timeout: Duration,
    ) -> Desired {
        let until = |service: &Service| {
            let learn_for = match service.moves.tracking {
                Tracking::OnDemand => service.moves.learn_for,
                Tracking::Always | Tracking::Off => Duration::ZERO,
            };
            let drains = !drain_timeout.is_zero();
            drains.then(|| SystemTime::now() + learn_for + drain_timeout)
        };
        // Number 0 is nobody's.
        let room = self.reconciler.dataplane().capacity().backends - 1;
        desired.after(before, until, room as usize)
    }

    async fn refuse_excess(&self, forecast: Forecast, budget: Budget) -> Result<(), RpcError> {
        let planned = if budget.moved_flows.is_some() {
            let tables = self.reconciler.dataplane().flows();
            let tables = tables.map_err(unreadable)?;
            let counted = spawn_blocking(move || forecast.count(&tables)).await;
            let failed =
                |error| RpcError::new(ErrorCode::Internal, format!("count flows: {error}"));
            counted.map_err(failed)??
        } else {
            forecast.judge()
        };
        if planned.over_budget.is_empty() {
            return Ok(());
        }
        let message = format!(
            "over budget, nothing has changed: {}",
            planned.over_budget.join("; ")
        );
        Err(RpcError {
            data: serde_json::to_value(&planned).ok(),
            ..RpcError::new(ErrorCode::OverBudget, message)
        })
    }

    /// Puts what is wanted now into the history, and first what was wanted `before` if that is not there. The change
    /// stands, whatever becomes of the history: a failure is answered in words.
    pub(super) fn keep(
        &mut self,
        before: &Desired,
        origin: HistoryOrigin,
        of: Option<u32>,
        peer: Option<Peer>,
    ) -> Option<String> {
        let entry = HistoryEntry {
            number: self.history.next(),
            at_ms: milliseconds(SystemTime::now()),
            origin,
            of,
            uid: peer.map(|peer| peer.uid),
            pid: peer.and_then(|peer| peer.pid),
            generation: self.reconciler.dataplane().actual().generation,
            differences: differences(before, &self.desired),
        };
        let kept = self.try_keep(before, entry);
        let error = kept.err()?;
        let why = format!("the history lacks this configuration: {}", describe(&error));
        error!("{why}");
        Some(why)
    }

    fn try_keep(&mut self, before: &Desired, entry: HistoryEntry) -> Result<(), state::StateError> {
        if *before == self.desired {
            return Ok(());
        }
        let newest = self.newest()?;
        let [spec_before, spec] = [before, &self.desired].map(validate::config_spec_of);
        if *before != Desired::default() && newest.as_ref() != Some(&spec_before) {
            let last = newest.and_then(|newest| validate::config(&newest, &Host::default()).ok());
            let changes = HistoryEntry {
                origin: HistoryOrigin::Changes,
                of: None,
                uid: None,
                pid: None,
                differences: differences(&last.unwrap_or_default().desired, before),
                ..entry.clone()
            };
            self.history.append(changes, &spec_before)?;
        }
        let entry = HistoryEntry {
            number: self.history.next(),
            ..entry
        };
        self.history.append(entry, &spec)
    }

    /// The configuration that was applied last.
    fn newest(&self) -> Result<Option<ConfigSpec>, state::StateError> {
        match self.history.entries().next_back() {
            Some(newest) => self.history.config(newest.number),
            None => Ok(None),
        }
    }

    /// The running configuration, or the one with `number` in the history.
    pub(super) fn configuration(&self, number: Option<u32>) -> Result<ConfigSpec, RpcError> {
        let Some(number) = number else {
            return Ok(validate::config_spec_of(&self.desired));
        };
        let kept = self
            .history
            .config(number)
            .map_err(|error| RpcError::new(ErrorCode::Internal, describe(&error)))?;
        kept.ok_or_else(|| {
            let message = format!("the history has no configuration {number}: see config.history");
            RpcError::new(ErrorCode::NotFound, message)
        })
    }

    fn last_that_differs(&self) -> Result<u32, RpcError> {
        let running = validate::config_spec_of(&self.desired);
        for entry in self.history.entries().rev() {
            if self.configuration(Some(entry.number))? != running {
                return Ok(entry.number);
            }
        }
        let message = "the history has no configuration that differs from the running one";
        Err(RpcError::new(ErrorCode::NotFound, message))
    }

    /// How the running configuration differs from another one.
    pub(super) fn diff(&self, diff: &ConfigDiff) -> Result<Diff, RpcError> {
        let other = match (&diff.toml, &diff.config, diff.number) {
            (None, None, None) => self.file()?.desired,
            (None, None, number) => {
                let spec = self.configuration(number)?;
                validate::config(&spec, &Host::default())
                    .map_err(invalid)?
                    .desired
            }
            (toml, config, None) => {
                let written = Written::of(toml.as_ref(), config.as_ref())?;
                written.read(&Host::default()).map_err(invalid)?.desired
            }
            _ => {
                return Err(change::bad(
                    "give one of `toml`, `config` and `number`, or none",
                ));
            }
        };
        Ok(Diff {
            differences: differences(&self.desired, &other),
        })
    }

    fn file(&self) -> Result<Config, RpcError> {
        let path = self.edges.file.display();
        let text = fs::read_to_string(&self.edges.file).map_err(|error| {
            RpcError::new(ErrorCode::NotFound, format!("cannot read {path}: {error}"))
        })?;
        text::load(&text, &Host::default()).map_err(invalid)
    }

    /// The configurations that were applied.
    pub(super) fn history(&self) -> History {
        let running = validate::config_spec_of(&self.desired);
        let newest = self.newest().unwrap_or_default();
        History {
            entries: self.history.entries().rev().cloned().collect(),
            changed_since: newest.is_some_and(|newest| newest != running),
        }
    }

    /// Applies the file as a whole; a file with faults changes nothing. Answers what the operator should know.
    pub(super) async fn apply_file(&mut self) -> Result<Vec<String>> {
        let text = fs::read_to_string(&self.edges.file).context("read the file")?;
        let config = text::load(&text, &host())?;
        let whole = Whole {
            desired: config.desired,
            digest: Some(state::digest(&text)),
            origin: HistoryOrigin::Reload,
            of: None,
            peer: None,
            drain_timeout: DRAIN_TIMEOUT,
        };
        let mut warnings = self.replace(whole, Budget::default()).await?;
        warnings.extend(self.fixed(&config.daemon));
        Ok(warnings)
    }
}

/// A configuration as a caller gave it.
enum Written<'a> {
    Toml(&'a str),
    Object(&'a ConfigSpec),
}

impl<'a> Written<'a> {
    fn of(toml: Option<&'a String>, config: Option<&'a ConfigSpec>) -> Result<Self, RpcError> {
        match (toml, config) {
            (Some(toml), None) => Ok(Self::Toml(toml)),
            (None, Some(spec)) => Ok(Self::Object(spec)),
            (Some(_), Some(_)) | (None, None) => Err(change::bad(
                "give either `toml`, a text, or `config`, an object",
            )),
        }
    }

    fn read(&self, host: &Host) -> Result<Config, Faults> {
        match self {
            Self::Toml(toml) => text::load(toml, host),
            Self::Object(spec) => validate::config(spec, host),
        }
    }

    /// Whether it says anything about what is fixed at start.
    fn names_daemon(&self) -> bool {
        match self {
            Self::Toml(toml) => text::read(toml).is_ok_and(|spec| spec.daemon.is_some()),
            Self::Object(spec) => spec.daemon.is_some(),
        }
    }
}

/// Limits that can be kept; none at all if none are given.
fn budget(given: Option<Budget>) -> Result<Budget, RpcError> {
    let budget = given.unwrap_or_default();
    match budget.moved_slots_percent {
        Some(percent) if percent > 100 => {
            let message = format!("moved_slots_percent {percent}: write a number from 0 to 100");
            Err(change::bad(message))
        }
        Some(_) | None => Ok(budget),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn invalid(faults: Faults) -> RpcError {
    let count = faults.0.len();
    RpcError {
        data: Some(json!({ "faults": faults.0 })),
        ..RpcError::new(
            ErrorCode::InvalidConfig,
            format!("the configuration has faults ({count}), nothing has changed: see data.faults"),
        )
    }
}
