//! `lbctl config`: the configuration as a whole.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};

use super::{argument, failure::Failure};
use crate::control::protocol::{
    Budget, Call, ConfigApply, ConfigDiff, ConfigGet, ConfigRollback, ConfigText, NoParams,
};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// List every fault of a configuration, without applying it
    Check {
        /// A TOML file, or - for standard input
        file: PathBuf,
    },
    /// Show what applying a configuration would do: differences, steps, and what would move
    Plan {
        /// A TOML file, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        limits: Limits,
        #[command(flatten)]
        drain: Drain,
    },
    /// Replace everything by a configuration; if it has a fault, nothing changes
    Apply {
        /// A TOML file, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        limits: Limits,
        #[command(flatten)]
        drain: Drain,
    },
    /// Show how a configuration differs from the running one
    Diff {
        /// A TOML file, or - for standard input; if absent, the file that lbd was started with
        #[arg(conflicts_with = "number")]
        file: Option<PathBuf>,
        /// One that was applied before, by its number in the history
        #[arg(long, value_name = "NUMBER")]
        number: Option<u32>,
    },
    /// The running configuration, as it stands in a file
    Get {
        /// One that was applied before, by its number in the history
        #[arg(long, value_name = "NUMBER")]
        number: Option<u32>,
    },
    /// The configurations that were applied: when, how, by whom, and what each changed
    History,
    /// Go back to a configuration that was applied before
    Rollback {
        /// Its number in the history; if absent, the last one that differs from the running one
        number: Option<u32>,
        #[command(flatten)]
        limits: Limits,
        #[command(flatten)]
        drain: Drain,
    },
}

/// What becomes of backends that are left out.
#[derive(Debug, Args)]
pub(super) struct Drain {
    /// How long backends drain that are left out; with 0s they go at once [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = argument::duration)]
    drain_timeout: Option<String>,
}

/// How much may move.
#[derive(Debug, Args)]
pub(super) struct Limits {
    /// Refuse to move more than so many per cent of any service's slots
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(..=100))]
    max_moved_slots: Option<u32>,
    /// Refuse to move more than so many remembered flows
    #[arg(long, value_name = "FLOWS")]
    max_moved_flows: Option<u64>,
}

impl Limits {
    fn budget(&self) -> Option<Budget> {
        let budget = Budget {
            moved_slots_percent: self.max_moved_slots,
            moved_flows: self.max_moved_flows,
        };
        (budget != Budget::default()).then_some(budget)
    }
}

impl ConfigCommand {
    pub(super) fn call(self, input: &mut dyn Read) -> Result<Call, Failure> {
        let mut apply = |file, limits: &Limits, drain: Drain| -> Result<ConfigApply, Failure> {
            Ok(ConfigApply {
                toml: Some(text_of(file, input)?),
                budget: limits.budget(),
                drain_timeout: drain.drain_timeout,
                ..ConfigApply::default()
            })
        };
        Ok(match self {
            Self::Plan {
                file,
                limits,
                drain,
            } => Call::ConfigPlan(apply(file, &limits, drain)?),
            Self::Apply {
                file,
                limits,
                drain,
            } => Call::ConfigApply(apply(file, &limits, drain)?),
            Self::Check { file } => Call::ConfigCheck(ConfigText {
                toml: Some(text_of(file, input)?),
                ..ConfigText::default()
            }),
            Self::Diff { file, number } => Call::ConfigDiff(ConfigDiff {
                toml: file.map(|file| text_of(file, input)).transpose()?,
                number,
                ..ConfigDiff::default()
            }),
            Self::Get { number } => Call::ConfigGet(ConfigGet { number }),
            Self::History => Call::ConfigHistory(NoParams {}),
            Self::Rollback {
                number,
                limits,
                drain,
            } => Call::ConfigRollback(ConfigRollback {
                number,
                budget: limits.budget(),
                drain_timeout: drain.drain_timeout,
            }),
        })
    }
}

pub(super) fn text_of(path: PathBuf, input: &mut dyn Read) -> Result<String, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        input.read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(&path)
    };
    text.map_err(|source| Failure::Read { path, source })
}
