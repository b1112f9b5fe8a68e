//! Saves what is wanted: what has changed by a line of the journal, now and then everything by a snapshot.
//!
//! The journal names the snapshot that it continues. Between a new snapshot and the end of the old journal a crash leaves
//! both: then the number in the journal is lower, and its lines, which are in the snapshot, are not read again.

use std::{
    io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use tracing::{info, warn};

use super::{
    FILE, JOURNAL, Saved, StateError, VERSION,
    file::{self, Appendable, Identity, refused},
    journal::{self, Difference},
    load,
};
use crate::desired::Desired;

/// A journal of so many bytes is no burden to any start. It may be longer: half as long as the snapshot.
const ROOM: u64 = 1 << 20;

/// Saves in one directory what changes, and knows what it has saved.
#[derive(Debug)]
pub struct Keeper {
    directory: PathBuf,
    /// The highest number that a snapshot in the directory may have.
    last: u64,
    /// What is on the disk; `None` if that is not known for certain: then the next save is a snapshot.
    kept: Option<Kept>,
    /// See [`ROOM`].
    room: u64,
}

/// What is on the disk.
#[derive(Debug)]
struct Kept {
    saved: Saved,
    snapshot: Identity,
    snapshot_bytes: u64,
    /// How many lines follow the first of the journal.
    changes: u64,
    journal: Option<Appendable>,
}

impl Keeper {
    /// For a directory in which nothing was saved. It is made when it is needed.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            last: 0,
            kept: None,
            room: ROOM,
        }
    }

    /// For a directory in which something may have been saved, and that. Nothing is written yet; what is kept first is a
    /// snapshot, whatever a crash has left there.
    ///
    /// # Errors
    /// See [`load`].
    pub fn open(directory: &Path) -> Result<(Self, Option<Saved>), StateError> {
        let saved = load(directory)?;
        let keeper = Self {
            last: saved.as_ref().map_or(0, |saved| saved.snapshot),
            ..Self::new(directory)
        };
        Ok((keeper, saved))
    }

    /// Saves what is wanted now. On return it is on the disk.
    ///
    /// It costs what has changed since the last time, and a look at each service whether it is the same; a snapshot once
    /// in a thousand changes or so.
    ///
    /// # Errors
    /// The file system refused; what was saved before is still there.
    pub fn keep(
        &mut self,
        generation: u32,
        file_digest: Option<&str>,
        desired: &Desired,
    ) -> Result<(), StateError> {
        if self.append(generation, file_digest, desired)? {
            return Ok(());
        }
        self.replace(Saved {
            version: VERSION,
            snapshot: self.last,
            generation,
            file_digest: file_digest.map(str::to_owned),
            desired: desired.clone(),
        })
    }

    /// Whether it is known that this is saved, whatever the last publication was.
    #[must_use]
    pub fn has(&self, file_digest: Option<&str>, desired: &Desired) -> bool {
        self.kept.as_ref().is_some_and(|kept| {
            let generation = kept.saved.generation;
            Difference::since(&kept.saved, 0, generation, file_digest, desired).is_none()
                && kept.changed_by_others(&self.directory).is_none()
        })
    }

    /// Saves by the journal, if that is possible and the shorter way.
    fn append(
        &mut self,
        generation: u32,
        file_digest: Option<&str>,
        desired: &Desired,
    ) -> Result<bool, StateError> {
        let Some(kept) = &mut self.kept else {
            return Ok(false);
        };
        if let Some(file) = kept.changed_by_others(&self.directory) {
            warn!(
                directory = %self.directory.display(),
                "somebody else has changed, replaced or removed {file} while lbd runs: the saved state is written anew, as lbd has it"
            );
            return Ok(false);
        }
        let sequence = kept.changes + 1;
        let difference = Difference::since(&kept.saved, sequence, generation, file_digest, desired);
        let Some(difference) = difference else {
            return Ok(true);
        };
        let path = self.directory.join(JOURNAL);
        let line = journal::line(&difference, kept.saved.snapshot);
        let line = line
            .map_err(io::Error::from)
            .map_err(refused("write", &path))?;
        let length = kept.journal.as_ref().map_or(0, Appendable::length);
        if length + line.len() as u64 > self.room.max(kept.snapshot_bytes / 2) {
            return Ok(false);
        }
        if let Some(journal) = &mut kept.journal {
            if let Err(source) = journal.append(&line) {
                if let Err(error) = journal.take_back() {
                    warn!(file = %path.display(), %error, "cannot take back what could not be saved; the next save writes all anew");
                    self.kept = None;
                }
                return Err(refused("write", &path)(source));
            }
        } else {
            let first = journal::first_line(kept.saved.snapshot);
            let first = first
                .map_err(io::Error::from)
                .map_err(refused("write", &path))?;
            let text = [first, line].concat();
            let file = file::replace(&self.directory, JOURNAL, &text)?;
            let journal = Appendable::new(file, text.len() as u64);
            kept.journal = Some(journal.map_err(refused("look at", &path))?);
        }
        kept.changes = sequence;
        difference.apply(&mut kept.saved);
        Ok(true)
    }

    /// Saves by a snapshot, which ends the journal.
    fn replace(&mut self, mut saved: Saved) -> Result<(), StateError> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = since_epoch.map_or(0, |it| u64::try_from(it.as_millis()).unwrap_or(0));
        // A clock that goes back must not make it look older than the journal that it ends.
        self.last = now.max(self.last + 1);
        saved.snapshot = self.last;
        let path = self.directory.join(FILE);
        let text = serde_json::to_vec(&saved).map_err(io::Error::from);
        let mut text = text.map_err(refused("write", &path))?;
        text.push(b'\n');
        let before = self.kept.take();
        let file = match file::replace(&self.directory, FILE, &text) {
            Ok(file) => file,
            Err(error) => {
                self.kept = before.filter(|kept| kept.changed_by_others(&self.directory).is_none());
                return Err(error);
            }
        };
        if before.is_some_and(|kept| kept.journal.is_some()) {
            info!(
                bytes = text.len(),
                "the saved state was written anew, and its journal begins anew"
            );
        }
        let journal = self.directory.join(JOURNAL);
        match std::fs::remove_file(&journal) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn!(file = %journal.display(), %error, "cannot remove a journal that has ended");
            }
            Ok(()) | Err(_) => {}
        }
        self.kept = Some(Kept {
            snapshot: Identity::of(&file).map_err(refused("look at", &path))?,
            snapshot_bytes: text.len() as u64,
            saved,
            changes: 0,
            journal: None,
        });
        Ok(())
    }
}

impl Kept {
    /// The first of both files that is not what was written here: somebody may have taken it away or edited it, and a
    /// save that was refused at its very end may have put one there.
    fn changed_by_others(&self, directory: &Path) -> Option<&'static str> {
        let journal = self.journal.as_ref().map(Appendable::identity);
        let files = [(FILE, Some(self.snapshot)), (JOURNAL, journal)];
        let changed = files.into_iter().find(|(name, written)| {
            !Identity::at(&directory.join(name)).is_ok_and(|found| found == *written)
        });
        changed.map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests;
