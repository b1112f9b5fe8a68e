//! Saving what is wanted, and what becomes of it when the file system refuses.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    commit::{Failed, describe},
    core::Core,
};
use crate::{dataplane::Dataplane as _, state::StateError};

/// What could not be saved, and is tried again.
pub(super) struct Unsaved {
    meaning: Meaning,
    failed: Failed,
}

impl Unsaved {
    /// What is wrong, in words.
    pub(super) fn why(&self) -> &str {
        &self.failed.why
    }

    /// When it is tried again.
    pub(super) const fn retry(&self) -> Instant {
        self.failed.retry
    }
}

/// What it means that it could not be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// What is saved is what is wanted, but nothing can be added to it.
    AsFound,
    /// What is saved may be what was undone, or what somebody has made of it.
    Otherwise,
}

impl Meaning {
    const fn words(self) -> &'static str {
        match self {
            Self::AsFound => {
                "the saved state is as it should be, but cannot be written anew, and no change is taken until it can"
            }
            Self::Otherwise => {
                "what is wanted cannot be saved, and the next start may find something else saved"
            }
        }
    }
}

impl Core {
    /// Saves what is wanted. On return it is on the disk.
    pub(super) fn save(&mut self) -> Result<(), StateError> {
        let generation = self.reconciler.dataplane().actual().generation + 1;
        let digest = self.digest.as_deref();
        self.keeper.keep(generation, digest, &self.desired)?;
        if let Some(unsaved) = self.unsaved.take() {
            self.edges.announcer.saved(unsaved.why());
        }
        Ok(())
    }

    /// Saves what is wanted once more, if need be, after a change that was refused, before or after it was saved; what
    /// cannot be saved is tried again. Answers whether what is saved is as it was before the change.
    pub(super) fn save_undone(&mut self, was_saved: bool) -> bool {
        if self.keeper.has(self.digest.as_deref(), &self.desired) {
            return true;
        }
        let Err(error) = self.save() else {
            return true;
        };
        // A change that was not saved has left what is on the disk as it was, which may be known to be right.
        if was_saved || self.unsaved.is_none() {
            self.not_saved(Meaning::Otherwise, None, &error);
        }
        !was_saved
    }

    /// What was found at the start is what is wanted, but could not be written anew.
    pub(super) fn not_written_anew(&mut self, error: &StateError) {
        self.not_saved(Meaning::AsFound, None, error);
    }

    /// Tries again, if it is time, what could not be saved.
    pub(super) fn save_again(&mut self, now: Instant) {
        let Some(Unsaved { meaning, failed }) = &self.unsaved else {
            return;
        };
        let (meaning, pause) = (*meaning, failed.pause);
        if failed.retry <= now
            && let Err(error) = self.save()
        {
            self.not_saved(meaning, Some(pause), &error);
        }
    }

    fn not_saved(&mut self, meaning: Meaning, last: Option<Duration>, error: &StateError) {
        let failed = Failed::again(last, format!("{}: {}", meaning.words(), describe(error)));
        self.edges.announcer.not_saved(&failed.why, failed.pause);
        self.unsaved = Some(Unsaved { meaning, failed });
    }
}
