//! What host and guest tell each other: the steps to take, and what became of them.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// What a guest does, one step after another. Stands in its initial file system.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    /// The steps.
    pub(super) steps: Vec<Step>,
    /// What every step finds in its environment.
    pub(super) environment: BTreeMap<String, String>,
}

/// A program to run. Its output goes to the host as it comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Step {
    /// The suite that it runs.
    pub(super) suite: String,
    /// The program, by its path on the host.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) arguments: Vec<String>,
    /// Where it runs.
    pub(super) directory: PathBuf,
    /// A JSON file that it writes, for the host.
    pub(super) figures: Option<PathBuf>,
}

/// What a guest says besides the output of its steps: a line that begins with [`MARK`].
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Event {
    /// The guest is up, with this kernel release.
    Up(String),
    /// The next step begins.
    Begun,
    /// It has ended.
    Ended(Ending),
    /// The guest cannot go on.
    Broken(String),
}

/// How a step ended.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ending {
    /// Whether its program succeeded.
    pub(super) succeeded: bool,
    /// What it wrote in its file of figures.
    pub(super) figures: Option<serde_json::Value>,
}

/// "Record separator" (ASCII): no program under test prints it.
const MARK: char = '\u{1e}';

impl Event {
    /// The event as a line, its end included. A step's last line may lack its end, so one comes before.
    pub(super) fn line(&self) -> serde_json::Result<String> {
        Ok(format!("\n{MARK}{}\n", serde_json::to_string(self)?))
    }

    /// The event that a line tells of; `None`: the line is output of a step.
    pub(super) fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line.strip_prefix(MARK)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_from_their_lines_and_output_is_none() {
        let ending = Ending {
            succeeded: true,
            figures: Some(serde_json::json!({"kernel": "5.10"})),
        };
        for event in [
            Event::Up("5.10.0".to_owned()),
            Event::Begun,
            Event::Ended(ending),
        ] {
            let line = event.line().unwrap();
            assert_eq!(Event::read(line.trim()), Some(event));
        }
        assert_eq!(Event::read("test a ... ok"), None);
    }
}
