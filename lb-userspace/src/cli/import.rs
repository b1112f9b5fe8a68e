//! `lbctl import`: configurations of other balancers as ours. Needs no daemon.

use std::{
    io::{self, Read},
    path::PathBuf,
};

use clap::Subcommand;

use super::{
    Terminal,
    config::text_of,
    failure::{Exit, Failure},
};
use crate::config::import::{Imported, keepalived};

#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Print the virtual servers of a keepalived.conf as a configuration file, and what could not be carried over to
    /// standard error
    Keepalived {
        /// The file, or - for standard input
        file: PathBuf,
    },
}

impl Import {
    pub(super) fn run(self, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
        let Self::Keepalived { file } = self;
        let input: &mut dyn Read = terminal.input;
        let text = text_of(file.clone(), input)?;
        let imported = keepalived(&text).map_err(|fault| Failure::Import { file, fault })?;
        // Only what could be typed in a file is in it.
        let written = toml::to_string(&imported.config).map_err(io::Error::other);
        let printed = written.and_then(|text| terminal.output.write_all(text.as_bytes()));
        printed.map_err(Failure::Print)?;
        Ok(report(&imported, terminal))
    }
}

/// Says what is missing and what has to be mended; the exit code tells whether anything has to be.
fn report(imported: &Imported, terminal: &mut Terminal<'_>) -> Exit {
    // Whoever closed standard error does not want to know.
    for left_out in &imported.left_out {
        drop(writeln!(
            terminal.errors,
            "lbctl: not carried over: {left_out}"
        ));
    }
    let faults = imported.faults();
    for fault in &faults {
        drop(writeln!(terminal.errors, "lbctl: to be mended: {fault}"));
    }
    if faults.is_empty() {
        Exit::Done
    } else {
        Exit::InvalidConfig
    }
}
