//! `lbctl config`: the configuration as a whole.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use clap::Subcommand;

use super::failure::Failure;
use crate::control::protocol::{Call, ConfigText, NoParams};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// List every fault of a configuration, without applying it
    Check {
        /// A TOML file, or - for standard input
        file: PathBuf,
    },
    /// Replace everything by a configuration; if it has a fault, nothing changes
    Apply {
        /// A TOML file, or - for standard input
        file: PathBuf,
    },
    /// The running configuration, as it stands in a file
    Get,
}

impl ConfigCommand {
    pub(super) fn call(self, input: &mut dyn Read) -> Result<Call, Failure> {
        Ok(match self {
            Self::Check { file } => Call::ConfigCheck(text_of(file, input)?),
            Self::Apply { file } => Call::ConfigApply(text_of(file, input)?),
            Self::Get => Call::ConfigGet(NoParams {}),
        })
    }
}

fn text_of(path: PathBuf, input: &mut dyn Read) -> Result<ConfigText, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        input.read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(&path)
    };
    match text {
        Ok(text) => Ok(ConfigText {
            toml: Some(text),
            config: None,
        }),
        Err(source) => Err(Failure::Read { path, source }),
    }
}
