//! Answers as text for people: lines and plain tables that can be piped.

mod configuration;
mod flows;
mod services;
mod stats;
mod table;

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Error, Value};

use super::{explain, script::script};
use crate::{
    config::spec::{ConfigSpec, ServiceSpec},
    control::protocol::{API_VERSION, Applied, Blocklist, Call, Checked, Detached, Version},
};

/// How an answer is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// Outcomes that no packet had, too.
    pub(super) all_outcomes: bool,
    /// What ages are counted to.
    pub(super) now: SystemTime,
}

/// An answer in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    /// For standard output; whole lines.
    pub(super) answer: String,
    /// For standard error: what the operator should know beside.
    pub(super) remarks: Vec<String>,
}

/// `answer`, which is that of `call`, in words.
///
/// # Errors
/// The answer is not what the method answers.
pub(super) fn text(call: &Call, answer: Value, view: View) -> Result<Text, Error> {
    fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Error> {
        serde_json::from_value(answer)
    }
    Ok(match call {
        Call::ServiceAdd(_)
        | Call::ServiceUpdate(_)
        | Call::ServiceRemove(_)
        | Call::BackendAdd(_)
        | Call::BackendUpdate(_)
        | Call::BackendRemove(_)
        | Call::BackendDrain(_)
        | Call::BackendUndrain(_)
        | Call::BackendEnable(_)
        | Call::BackendDisable(_)
        | Call::BlocklistAdd(_)
        | Call::BlocklistRemove(_)
        | Call::ConfigApply(_)
        | Call::ConfigRollback(_) => applied(read(answer)?),
        Call::ConfigCheck(_) => checked(&read(answer)?),
        Call::ConfigPlan(_) => configuration::planned(&read(answer)?),
        Call::ConfigDiff(_) => configuration::diff(&read(answer)?).into(),
        Call::ConfigHistory(_) => configuration::history(&read(answer)?, view),
        Call::FlowsList(_) => flows::list(&read(answer)?),
        Call::FlowsCount(_) => flows::count(&read(answer)?).into(),
        Call::Version(_) => version(&read(answer)?).into(),
        Call::ServiceGet(_) => toml(&ConfigSpec {
            services: vec![read::<ServiceSpec>(answer)?],
            ..ConfigSpec::default()
        })?
        .into(),
        Call::ConfigGet(_) => toml(&read(answer)?)?.into(),
        Call::ServiceList(_) => services::list(&read(answer)?).into(),
        Call::BlocklistList(_) => blocklist(&read(answer)?).into(),
        Call::BackendList(_) => services::backends(&read(answer)?, view).into(),
        Call::BackendSetup(_) => script(&read(answer)?).into(),
        Call::Status(_) => services::status(&read(answer)?, view).into(),
        Call::Stats(_) => stats::text(&read(answer)?, view).into(),
        // Watched, not asked for.
        Call::EventsSubscribe(_) | Call::EventsUnsubscribe(_) => format!("{answer}\n").into(),
        Call::Explain(_) => explain::text(&read(answer)?).into(),
        Call::Detach(_) => detached(&read(answer)?).into(),
    })
}

impl From<String> for Text {
    fn from(answer: String) -> Self {
        Self {
            answer,
            remarks: Vec::new(),
        }
    }
}

/// So many warnings of one change are shown: more would drive the first ones off the screen.
const MAX_WARNINGS: usize = 20;

fn applied(applied: Applied) -> Text {
    let Applied {
        generation,
        warnings,
        ..
    } = applied;
    let more = warnings.len().saturating_sub(MAX_WARNINGS);
    let shown = warnings.into_iter().take(MAX_WARNINGS);
    let mut remarks: Vec<String> = shown.map(|it| format!("warning: {it}")).collect();
    if more > 0 {
        remarks.push(format!("and {more} more"));
    }
    Text {
        answer: format!("generation {generation}\n"),
        remarks,
    }
}

fn detached(detached: &Detached) -> String {
    let from = match detached.interfaces.as_slice() {
        [] => "no interface".to_owned(),
        names => names.join(", "),
    };
    format!("taken off {from}; lbd has ended, and its next start puts everything back\n")
}

fn checked(checked: &Checked) -> Text {
    if checked.valid {
        return Text::from("valid\n".to_owned());
    }
    Text {
        answer: String::new(),
        remarks: checked.faults.iter().map(ToString::to_string).collect(),
    }
}

fn version(version: &Version) -> String {
    format!(
        "lbctl {} (API {API_VERSION})\nlbd {} (API {}, ABI {}), kernel {}\n",
        env!("CARGO_PKG_VERSION"),
        version.daemon,
        version.api,
        version.abi,
        version.kernel
    )
}

fn toml(config: &ConfigSpec) -> Result<String, Error> {
    toml::to_string(config).map_err(Error::custom)
}

fn blocklist(blocklist: &Blocklist) -> String {
    let lines = blocklist
        .prefixes
        .iter()
        .map(|prefix| format!("{prefix}\n"));
    lines.collect()
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{words}");
}

/// How long ago, in the two largest units: `12s`, `3m4s`, `2h5m`, `3d4h`.
fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if days > 0 {
        format!("{days}d{}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h{}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m{}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

#[cfg(test)]
mod tests;
