//! What must survive a restart, on disk: one JSON file that is replaced whole, and the [`history`] of configurations.
//!
//! A state that cannot be read is never overwritten: the daemon stops and says what to do with it.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::file::refused;
use crate::{desired::Desired, maglev::stable_hash};

mod file;
pub mod history;

/// The version of the file's layout: raised when an older daemon could not read it rightly.
pub const VERSION: u32 = 2;

/// The file's name in the state directory.
pub const FILE: &str = "state.json";

/// What survives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// [`VERSION`] of the daemon that wrote it.
    pub version: u32,
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
        "the saved state {} cannot be used: {reason}; move the file away to start from the configuration file alone",
        path.display()
    )]
    Corrupt {
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
        "the saved state {} has version {found}, this daemon knows versions up to {VERSION}: start the newer daemon, or move the file away to start from the configuration file alone",
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
/// The file cannot be read, is not a saved state, or holds what cannot be wanted. It is left as it is.
pub fn load(directory: &Path) -> Result<Option<Saved>, StateError> {
    let path = directory.join(FILE);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(refused("read", &path)(source)),
    };
    match parse(&text) {
        Ok(saved) => Ok(Some(saved)),
        Err(Unusable::Corrupt(reason)) => Err(StateError::Corrupt { path, reason }),
        Err(Unusable::Newer(found)) => Err(StateError::Newer { path, found }),
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
    let saved: Saved = serde_json::from_value(saved).map_err(corrupt)?;
    match saved.desired.check().first() {
        Some(refusal) => Err(Unusable::Corrupt(refusal.to_string())),
        None => Ok(saved),
    }
}

/// From version 1, in which services alone were wanted, to the present one.
fn upgrade_1(saved: &mut Value) {
    if let Some(services) = saved.get_mut("desired").map(Value::take) {
        saved["desired"] = json!({ "services": services });
        saved["version"] = VERSION.into();
    }
}

/// Saves in `directory`, which is made if it is not there. On return the state is on the disk.
///
/// # Errors
/// The file system refused; what was saved before is still there.
pub fn save(directory: &Path, saved: &Saved) -> Result<(), StateError> {
    let text = serde_json::to_vec_pretty(saved).map_err(io::Error::from);
    let mut text = text.map_err(refused("write", &directory.join(FILE)))?;
    text.push(b'\n');
    file::replace(directory, FILE, &text)
}

#[cfg(test)]
mod tests;
