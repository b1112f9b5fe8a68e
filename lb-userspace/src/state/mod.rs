//! What must survive a restart, on disk: a snapshot, which is a JSON file that is replaced whole; the [`journal`] of what
//! was changed since; and the [`history`] of configurations.
//!
//! A state that cannot be read is never overwritten: the daemon stops and says what to do with it.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::{info, warn};

pub(crate) use self::file::DIRECTORY_MODE;
use self::file::refused;
use crate::{desired::Desired, maglev::stable_hash};

mod file;
pub mod history;
pub mod journal;
mod keeper;

pub use keeper::Keeper;

/// The version of the layout of both files: raised when an older daemon could not read them rightly.
pub const VERSION: u32 = 3;

/// The snapshot's name in the state directory.
pub const FILE: &str = "state.json";

/// The journal's name in the state directory. It is there if anything was changed since the snapshot.
pub const JOURNAL: &str = "state.journal";

/// What survives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// [`VERSION`] of the daemon that wrote it.
    pub version: u32,
    /// Which snapshot it is: higher than those before in the same directory, in milliseconds since 1970 if the clock
    /// allows. 0 of versions that had no journal.
    #[serde(default)]
    pub snapshot: u64,
    /// The last publication.
    pub generation: u32,
    /// [`digest`] of the configuration file that was applied last, if one was: as long as the file is
    /// the same, changes made over the socket stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_digest: Option<String>,
    /// What the operator wants.
    pub desired: Desired,
}

impl Saved {
    /// What is to be saved, in the present layout.
    #[must_use]
    pub const fn new(generation: u32, file_digest: Option<String>, desired: Desired) -> Self {
        Self {
            version: VERSION,
            snapshot: 0,
            generation,
            file_digest,
            desired,
        }
    }
}

/// A state that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system refused; what was saved before is still there.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not one that this daemon wrote.
    #[error(
        "the saved state {} cannot be used: {reason}; move the file away, and {JOURNAL} if it is there, to start from the configuration file alone",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The journal is not one that this daemon wrote, or continues another snapshot.
    #[error(
        "the journal {} of the saved state cannot be used: {reason}; move the file away to start without the changes that were made since {FILE} was written, or both to start from the configuration file alone",
        path.display()
    )]
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the history is not one that this daemon wrote.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer daemon wrote the file.
    #[error(
        "the saved state {} has version {found}, this daemon knows versions up to {VERSION}: start the newer daemon, or move the file away, and {JOURNAL} if it is there, to start from the configuration file alone",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

/// A digest of a configuration's text, to tell whether it has changed: 16 hexadecimal digits. Not
/// cryptographic.
#[must_use]
pub fn digest(text: &str) -> String {
    format!("{:016x}", stable_hash(text.as_bytes(), 0))
}

/// Reads what was saved in `directory`; `None` if nothing was.
///
/// # Errors
/// A file cannot be read, is not of a saved state, or holds what cannot be wanted. All is left as it is.
pub fn load(directory: &Path) -> Result<Option<Saved>, StateError> {
    let path = directory.join(FILE);
    let snapshot = content(&path)?.map(|text| parse(&text));
    let snapshot = snapshot.transpose().map_err(|unusable| match unusable {
        Unusable::Corrupt(reason) => StateError::Corrupt { path, reason },
        Unusable::Newer(found) => StateError::Newer { path, found },
    })?;
    let path = directory.join(JOURNAL);
    let Some(text) = content(&path)? else {
        return Ok(snapshot);
    };
    let continued = continued(snapshot, &text).map_err(|unusable| match unusable {
        Unusable::Corrupt(reason) => StateError::Journal { path, reason },
        Unusable::Newer(found) => StateError::Newer { path, found },
    })?;
    Ok(Some(continued))
}

/// What stands in the file, if there is one.
fn content(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match std::fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(refused("read", path)(source)),
    }
}

/// The snapshot with what the journal, whose text is `text`, says of changes since.
fn continued(snapshot: Option<Saved>, text: &[u8]) -> Result<Saved, Unusable> {
    if let Some(saved) = snapshot.as_ref().filter(|saved| saved.snapshot == 0) {
        warn!(
            "the journal is left out, and removed with the next snapshot: an lbd that knows no journal has written {FILE} since, so that the changes in it belong to another state"
        );
        let number = journal::begin(text).map_or(0, |(number, _)| number);
        // The next snapshot must look younger than this journal, which a crash may leave beside it.
        return Ok(Saved {
            snapshot: number,
            ..saved.clone()
        });
    }
    let (number, lines) = journal::begin(text)?;
    let Some(mut saved) = snapshot else {
        let reason = format!("it continues a {FILE} that is not there");
        return Err(Unusable::Corrupt(reason));
    };
    if number < saved.snapshot {
        info!("what the journal has is in the snapshot: a crash has left both");
        return Ok(saved);
    }
    if number > saved.snapshot {
        let reason = format!("it does not continue the {FILE} beside it, but a later one");
        return Err(Unusable::Corrupt(reason));
    }
    let read = journal::read(lines, number)?;
    if read.torn > 0 {
        info!(
            bytes = read.torn,
            "the journal ends in a change that was not saved to its end: it is left out"
        );
    }
    let changes = read.differences.len();
    for difference in read.differences {
        difference.apply(&mut saved);
    }
    match saved.desired.check().first().filter(|_| changes > 0) {
        Some(refusal) => Err(Unusable::Corrupt(refusal.to_string())),
        None => Ok(saved),
    }
}

/// Why a text is no saved state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is not one that this daemon wrote, for this reason.
    Corrupt(String),
    /// It has this version, which is newer than [`VERSION`].
    Newer(u32),
}

/// Reads the text of a saved state, of this version or an earlier one.
///
/// # Errors
/// See [`Unusable`].
pub fn parse(text: &[u8]) -> Result<Saved, Unusable> {
    /// The one field that every version has.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }

    let corrupt = |error: serde_json::Error| Unusable::Corrupt(error.to_string());
    let Versioned { version: found } = serde_json::from_slice(text).map_err(corrupt)?;
    if found > VERSION {
        return Err(Unusable::Newer(found));
    }
    let mut saved: Value = serde_json::from_slice(text).map_err(corrupt)?;
    if found == 1 {
        upgrade_1(&mut saved);
    }
    let mut saved: Saved = serde_json::from_value(saved).map_err(corrupt)?;
    saved.version = VERSION;
    match saved.desired.check().first() {
        Some(refusal) => Err(Unusable::Corrupt(refusal.to_string())),
        None => Ok(saved),
    }
}

/// From version 1, in which services alone were wanted, to the present one.
fn upgrade_1(saved: &mut Value) {
    if let Some(services) = saved.get_mut("desired").map(Value::take) {
        saved["desired"] = json!({ "services": services });
    }
}

#[cfg(test)]
mod tests;
