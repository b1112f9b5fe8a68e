//! The configurations that were applied as a whole, each a file of two lines: what is told of it, and all of it.
//!
//! The newest [`KEPT`] are kept. A file that cannot be read costs nobody anything but itself.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, ErrorKind},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use tracing::warn;

use super::{StateError, file};
use crate::{config::spec::ConfigSpec, control::protocol::HistoryEntry};

/// The name of its directory in the state directory.
pub const DIRECTORY: &str = "history";

/// So many configurations are kept.
pub const KEPT: usize = 100;

/// What has been applied, by number.
#[derive(Debug)]
pub struct History {
    directory: PathBuf,
    entries: BTreeMap<u32, HistoryEntry>,
    /// The highest number that any file has, readable or not.
    last: u32,
}

impl History {
    /// Reads what there is below the directory `state`.
    #[must_use]
    pub fn open(state: &Path) -> Self {
        let mut history = Self {
            directory: state.join(DIRECTORY),
            entries: BTreeMap::new(),
            last: 0,
        };
        for number in numbers(&history.directory) {
            history.last = history.last.max(number);
            match read::<HistoryEntry>(&history.path(number), 0) {
                Ok(entry) if entry.number == number => {
                    history.entries.insert(number, entry);
                }
                Ok(_) => warn!(
                    number,
                    "a configuration of the history has another's number"
                ),
                Err(error) => {
                    warn!(error = %chain(&error), "a configuration of the history is lost");
                }
            }
        }
        history
    }

    /// All, the oldest first.
    #[must_use]
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &HistoryEntry> {
        self.entries.values()
    }

    /// The number that the next one gets.
    #[must_use]
    pub const fn next(&self) -> u32 {
        self.last + 1
    }

    /// The configuration with `number`, as it was applied; `None` if there is none.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub fn config(&self, number: u32) -> Result<Option<ConfigSpec>, StateError> {
        if !self.entries.contains_key(&number) {
            return Ok(None);
        }
        read(&self.path(number), 1).map(Some)
    }

    /// Adds the next one, and lets the oldest go. On return it is on the disk.
    ///
    /// # Errors
    /// The file system refused; nothing was added.
    pub fn append(&mut self, entry: HistoryEntry, config: &ConfigSpec) -> Result<(), StateError> {
        let text = lines(&entry, config).map_err(|error| StateError::Damaged {
            path: self.path(entry.number),
            reason: error.to_string(),
        })?;
        let _written = file::replace(&self.directory, &name(entry.number), text.as_bytes())?;
        self.last = self.last.max(entry.number);
        self.entries.insert(entry.number, entry);
        while self.entries.len() > KEPT
            && let Some((number, _)) = self.entries.pop_first()
        {
            if let Err(error) = std::fs::remove_file(self.path(number)) {
                warn!(number, %error, "cannot remove an old configuration from the history");
            }
        }
        Ok(())
    }

    fn path(&self, number: u32) -> PathBuf {
        self.directory.join(name(number))
    }
}

fn name(number: u32) -> String {
    format!("{number:06}.jsonl")
}

fn lines(entry: &HistoryEntry, config: &ConfigSpec) -> serde_json::Result<String> {
    let (entry, config) = (
        serde_json::to_string(entry)?,
        serde_json::to_string(config)?,
    );
    Ok(format!("{entry}\n{config}\n"))
}

/// The numbers that files in `directory` have.
fn numbers(directory: &Path) -> Vec<u32> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            warn!(directory = %directory.display(), %error, "the history cannot be read");
            return Vec::new();
        }
    };
    let files = entries.flatten().map(|entry| entry.file_name());
    files
        .filter_map(|file| file.to_str()?.strip_suffix(".jsonl")?.parse().ok())
        .collect()
}

/// What stands in a line of a file, counted from 0.
fn read<T: DeserializeOwned>(path: &Path, line: usize) -> Result<T, StateError> {
    let file = File::open(path).map_err(file::refused("read", path))?;
    let line = BufReader::new(file).lines().nth(line);
    let text = line.transpose().map_err(file::refused("read", path))?;
    serde_json::from_str(&text.unwrap_or_default()).map_err(|error| StateError::Damaged {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn chain(error: &StateError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::control::protocol::HistoryOrigin;

    fn entry(number: u32) -> HistoryEntry {
        HistoryEntry {
            number,
            at_ms: 1_000 + u64::from(number),
            origin: HistoryOrigin::Apply,
            of: None,
            uid: Some(0),
            pid: Some(42),
            generation: number * 2,
            differences: Vec::new(),
        }
    }

    fn config(prefix: &str) -> ConfigSpec {
        ConfigSpec {
            blocklist: vec![prefix.to_owned()],
            ..ConfigSpec::default()
        }
    }

    fn numbers_of(history: &History) -> Vec<u32> {
        history.entries().map(|entry| entry.number).collect()
    }

    #[test]
    fn what_was_appended_is_there_after_a_restart() {
        let state = tempfile::tempdir().unwrap();
        let mut history = History::open(state.path());
        assert_eq!((history.next(), history.entries().count()), (1, 0));
        for (number, prefix) in [(1, "10.0.0.0/8"), (2, "10.1.0.0/16")] {
            history.append(entry(number), &config(prefix)).unwrap();
            assert_eq!(history.next(), number + 1);
        }
        let history = History::open(state.path());
        assert_eq!(
            history.entries().cloned().collect::<Vec<_>>(),
            [entry(1), entry(2)]
        );
        assert_eq!(history.config(2).unwrap(), Some(config("10.1.0.0/16")));
        assert_eq!(history.config(3).unwrap(), None);
        assert_eq!(history.next(), 3);
    }

    #[test]
    fn the_oldest_go_and_numbers_are_never_used_again() {
        let state = tempfile::tempdir().unwrap();
        let mut history = History::open(state.path());
        for number in 1..=102 {
            history
                .append(entry(number), &config("10.0.0.0/8"))
                .unwrap();
        }
        assert_eq!(numbers_of(&history), (3..=102).collect::<Vec<_>>());
        let files = fs::read_dir(state.path().join(DIRECTORY)).unwrap();
        assert_eq!(files.count(), KEPT);
        assert_eq!(History::open(state.path()).next(), 103);
    }

    #[test]
    fn a_damaged_file_costs_only_itself() {
        let state = tempfile::tempdir().unwrap();
        let mut history = History::open(state.path());
        for number in 1..=3 {
            history
                .append(entry(number), &config("10.0.0.0/8"))
                .unwrap();
        }
        let path = |number: u32| state.path().join(DIRECTORY).join(name(number));
        fs::write(path(3), "{\"number\": 3, \"at").unwrap();
        fs::write(path(2), fs::read(path(1)).unwrap()).unwrap();
        let history = History::open(state.path());
        assert_eq!(numbers_of(&history), [1]);
        assert_eq!(history.next(), 4);
    }

    #[test]
    fn a_disk_that_refuses_leaves_the_history_as_it_was() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join(DIRECTORY), "a file in its place").unwrap();
        let mut history = History::open(state.path());
        history.append(entry(1), &config("10.0.0.0/8")).unwrap_err();
        assert_eq!((history.next(), history.entries().count()), (1, 0));
    }

    #[test]
    fn a_file_has_two_lines_and_a_name_that_stays() {
        let state = tempfile::tempdir().unwrap();
        let mut history = History::open(state.path());
        history.append(entry(1), &config("10.0.0.0/8")).unwrap();
        let directory = state.path().join(DIRECTORY);
        let text = fs::read_to_string(directory.join("000001.jsonl")).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.ends_with('\n'), "{text}");
        // What others leave there is none of it.
        for stranger in ["000009.tmp", "000009", "notes.jsonl"] {
            fs::write(directory.join(stranger), &text).unwrap();
        }
        let history = History::open(state.path());
        assert_eq!((numbers_of(&history), history.next()), (vec![1], 2));
    }

    #[test]
    fn a_configuration_that_was_not_written_whole_is_an_error_and_not_an_empty_one() {
        let state = tempfile::tempdir().unwrap();
        let mut history = History::open(state.path());
        history.append(entry(1), &config("10.0.0.0/8")).unwrap();
        let file = state.path().join(DIRECTORY).join(name(1));
        let text = fs::read_to_string(&file).unwrap();
        let (first, _) = text.split_once('\n').unwrap();
        fs::write(&file, format!("{first}\n")).unwrap();
        let history = History::open(state.path());
        assert_eq!(numbers_of(&history), [1]);
        let error = history.config(1).unwrap_err();
        assert!(matches!(error, StateError::Damaged { .. }), "{error}");
    }
}
