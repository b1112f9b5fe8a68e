//! `lbd check`: every fault of a configuration file, without a daemon and without root.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{
    exit::{ExitCode, Failure},
    host,
};
use crate::config::{Config, Faults, Host, text};

/// Checks `file`, `-` for standard input, as `config.check` does; with `elsewhere` nothing of this host is held against
/// it.
pub(super) async fn check(file: PathBuf, elsewhere: bool) -> Result<(), Failure> {
    let text = text_of(&file)?;
    checked(&text, elsewhere)
        .await
        .map_err(|faults| Failure::new(ExitCode::InvalidConfig, faults.into()))?;
    Ok(())
}

async fn checked(text: &str, elsewhere: bool) -> Result<Config, Faults> {
    if elsewhere {
        text::load(text, &Host::default())
    } else {
        host::read_here(|host| text::load(text, host)).await
    }
}

fn text_of(file: &Path) -> anyhow::Result<String> {
    let text = if file == Path::new("-") {
        io::read_to_string(io::stdin())
    } else {
        fs::read_to_string(file)
    };
    text.with_context(|| format!("read the configuration {}", file.display()))
}
