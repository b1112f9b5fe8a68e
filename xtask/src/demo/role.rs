//! The hidden subcommands by which the demo starts this program again in other roles.

use std::{env, ffi::OsString};

use anyhow::{Context, ensure};
use clap::Subcommand;

use super::{
    addressing::{Link, SERVER_PORT},
    guard,
    lab::Lab,
    server,
};

/// The hidden subcommand of `xtask` that takes a [`Role`].
const SUBCOMMAND: &str = "demo";

/// What a process of the demo does. Only `take-down` is for people.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Answers HTTP requests with a name.
    Serve {
        /// The name.
        name: String,
        /// The TCP port.
        port: u16,
    },
    /// Waits for the end of standard input, then takes a demo down unless told to keep it.
    Guard {
        /// The demo's name.
        demo: String,
    },
    /// Takes a demo down that was kept.
    TakeDown {
        /// The demo's name, as it was printed.
        demo: String,
    },
}

impl Role {
    /// Plays the role until it is over.
    ///
    /// # Errors
    /// Those of the role.
    pub(crate) fn play(&self) -> anyhow::Result<()> {
        match self {
            Self::Serve { name, port } => tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("start tokio")?
                .block_on(server::serve(name, *port)),
            Self::Guard { demo } => guard::watch(&Lab::named(demo)?),
            Self::TakeDown { demo } => {
                let lab = Lab::named(demo)?;
                ensure!(
                    lab.exists(),
                    "there is no demo {demo}: nothing to take down"
                );
                guard::take_down(&lab)
            }
        }
    }
}

/// The command line, after the program, of a demo's guard.
pub(super) fn guard_arguments(lab: &Lab) -> [&str; 3] {
    [SUBCOMMAND, "guard", lab.name()]
}

/// The whole command line of a backend's server.
///
/// # Errors
/// This program's file cannot be found.
pub(super) fn server_command(backend: Link) -> anyhow::Result<Vec<OsString>> {
    let program = env::current_exe().context("find this program's file")?;
    let port = SERVER_PORT.to_string();
    let arguments = [SUBCOMMAND, "serve", backend.name, &port].map(OsString::from);
    Ok([program.into_os_string()]
        .into_iter()
        .chain(arguments)
        .collect())
}

/// What a person types to take a kept demo down.
pub(super) fn take_down_command(lab: &Lab) -> String {
    format!("cargo xtask {SUBCOMMAND} take-down {}", lab.name())
}
