//! The demo.

use std::path::PathBuf;

/// How to run the demo.
pub(crate) struct Options {
    /// Leave it up.
    pub(crate) keep: bool,
    /// Where the figures go.
    pub(crate) json: Option<PathBuf>,
}

/// A part of the demo.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Role {
    /// There is none yet.
    None,
}

impl Role {
    /// Plays the part.
    ///
    /// # Errors
    /// There is none yet.
    pub(crate) fn play(&self) -> anyhow::Result<()> {
        anyhow::bail!("the demo is not part of this build ({self:?})")
    }
}

/// Runs the demo.
///
/// # Errors
/// There is none yet.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    anyhow::bail!(
        "the demo is not part of this build (keep: {}, json: {:?})",
        options.keep,
        options.json
    );
}
