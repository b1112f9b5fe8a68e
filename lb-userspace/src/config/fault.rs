//! What is wrong with a configuration, and where.

use std::{collections::BTreeSet, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One fault of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// Where, as a path through keys and indexes: `service[1].backend[0].address`; empty for the text as a whole.
    pub place: String,
    /// The line in the text, from 1, if it was a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column in that line, in characters from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Fault {
    /// A fault of a configuration as a whole.
    #[must_use]
    pub const fn of_whole(message: String) -> Self {
        Self {
            place: String::new(),
            line: None,
            column: None,
            message,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)
    }
}

/// All faults of one configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", list(.0))]
pub struct Faults(pub Vec<Fault>);

fn list(faults: &[Fault]) -> String {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// The faults found so far, at most one for each place and none below a place that has one: what stands
/// there could not be read, so more words about it would only mislead.
#[derive(Debug, Default)]
pub(super) struct Found {
    faults: Vec<Fault>,
    places: BTreeSet<String>,
}

impl Found {
    /// Adds a fault at `place`.
    pub(super) fn add(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.add_at(place, None, message);
    }

    /// Adds a fault at `place`, which stands at `position` (line and column).
    pub(super) fn add_at(
        &mut self,
        place: impl Into<String>,
        position: Option<(u32, u32)>,
        message: impl Into<String>,
    ) {
        let place = place.into();
        if self.knows(&place) {
            return;
        }
        self.places.insert(place.clone());
        self.faults.push(Fault {
            place,
            line: position.map(|(line, _)| line),
            column: position.map(|(_, column)| column),
            message: message.into(),
        });
    }

    /// The value, or a fault at `place`.
    pub(super) fn keep<T, E: fmt::Display>(
        &mut self,
        place: impl Into<String>,
        result: Result<T, E>,
    ) -> Option<T> {
        result
            .map_err(|error| self.add(place, error.to_string()))
            .ok()
    }

    /// Whether there is a fault at `place`, or at something that it is a part of.
    pub(super) fn knows(&self, place: &str) -> bool {
        let ends = place.match_indices(['.', '[']).map(|(end, _)| end);
        ends.chain([place.len()])
            .filter_map(|end| place.get(..end))
            .any(|whole| self.places.contains(whole))
    }

    /// The faults, if there are any.
    pub(super) fn faults(self) -> Result<(), Faults> {
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(Faults(self.faults))
        }
    }
}

/// The place of `part` within `whole`.
pub(super) fn part(whole: &str, part: &str) -> String {
    match whole {
        "" => part.to_owned(),
        _ => format!("{whole}.{part}"),
    }
}
