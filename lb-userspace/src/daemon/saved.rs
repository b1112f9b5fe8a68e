//! What is wanted at start: the file, or what was saved of it and of changes over the socket.

use std::{fs, io, path::Path};

use anyhow::{Context, anyhow};
use tracing::{info, warn};

use super::{
    exit::{ExitCode, Failure},
    host,
};
use crate::{
    config::{Config, DaemonSettings, text},
    desired::Desired,
    state::{self, FILE, JOURNAL, Keeper},
};

/// What to start with.
pub(super) struct Beginning {
    /// Where what is wanted is kept.
    pub(super) keeper: Keeper,
    pub(super) settings: DaemonSettings,
    pub(super) desired: Desired,
    /// The last generation that was saved.
    pub(super) generation: u32,
    /// Digest of the file that `desired` goes back to.
    pub(super) digest: Option<String>,
    /// If the file is applied now: what was wanted before.
    pub(super) replaces: Option<Desired>,
}

/// The file's text and what it says.
type FileRead = (String, Config);

/// Puts the file, which was read if it is there, and the saved state together. Changes over the socket survive a
/// restart; a file that was edited since it was applied is applied instead, as a reload would.
pub(super) fn beginning(
    config: &Path,
    file: Option<FileRead>,
    state_dir: &Path,
) -> Result<Beginning, Failure> {
    let (keeper, saved) = Keeper::open(state_dir).map_err(|error| Failure::from(anyhow!(error)))?;
    let goes_back = saved.as_ref().is_some_and(|it| it.file_digest.is_some());
    if file.is_none() && goes_back {
        // Not an invalid one, after which nobody tries again: it may be on its way.
        return Err(Failure::from(anyhow!(
            "the configuration {config} is not there, but the state saved in {state} goes back to it, and its [daemon] is known from nowhere else: put it back, or move {FILE}, and {JOURNAL} if it is there, away to start without both, and without the changes made over the socket",
            config = config.display(),
            state = state_dir.display(),
        )));
    }
    let digest = file.as_ref().map(|(text, _)| state::digest(text));
    let (settings, from_file) = match file {
        Some((_, config)) => (config.daemon, Some(config.desired)),
        None => (DaemonSettings::default(), None),
    };
    let generation = saved.as_ref().map_or(0, |saved| saved.generation);
    let (desired, replaces) = match (saved, from_file) {
        (Some(saved), None) => (saved.desired, None),
        (Some(saved), Some(_)) if saved.file_digest == digest => (saved.desired, None),
        (Some(saved), Some(desired)) => {
            warn!(file = %config.display(), "the file was edited since it was last applied: applying it, in place of the saved state");
            (desired, Some(saved.desired))
        }
        (None, Some(desired)) => {
            info!(file = %config.display(), "applying the file");
            (desired, Some(Desired::default()))
        }
        (None, None) => (Desired::default(), None),
    };
    Ok(Beginning {
        keeper,
        settings,
        desired,
        generation,
        digest,
        replaces,
    })
}

/// The file's text and what it says; `None` if it is absent and may be.
pub(super) fn read(path: &Path, must_exist: bool) -> Result<Option<FileRead>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => return Ok(None),
        Err(error) => {
            // Whoever is root at a shell expects that root may read everything.
            let hint = if error.kind() == io::ErrorKind::PermissionDenied {
                " (lbd has given up the right to read what its user has no permission for: see the modes of the file and of its directories)"
            } else {
                ""
            };
            let attempt = format!("read the configuration {}{hint}", path.display());
            let error = anyhow!(error).context(attempt);
            return Err(Failure::new(ExitCode::InvalidConfig, error));
        }
    };
    let config = text::load(&text, &host::host())
        .with_context(|| format!("the configuration {} has faults", path.display()))
        .map_err(|error| Failure::new(ExitCode::InvalidConfig, error))?;
    Ok(Some((text, config)))
}

#[cfg(test)]
mod tests;
