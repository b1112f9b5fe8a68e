//! What is done while the process has one thread: rights that are given up then are given up for all threads.

use std::{
    fs::{self, DirBuilder, File},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, Result};
use tokio::runtime::Runtime;
use tracing::error;

use super::{
    exit::Failure,
    options::RunOptions,
    preflight, priority,
    privileges::{self, Privileges, Role},
    sandbox::Sandbox,
    saved::{self, Beginning},
};
use crate::{control::access::Access, dataplane::Pins, state};

/// What the daemon starts from.
pub(super) struct Prepared {
    pub(super) beginning: Beginning,
    pub(super) access: Access,
    pub(super) pins: Pins,
    /// Keep a second daemon off the instance, and off its state.
    pub(super) locks: [File; 2],
    pub(super) privileges: Privileges,
}

impl Prepared {
    /// Reads the configuration, takes hold of the instance, and gives up all rights but those that are needed.
    ///
    /// # Errors
    /// What keeps the daemon from starting.
    pub(super) fn new(options: &RunOptions) -> Result<Self, Failure> {
        privileges::heed_file_modes()?;
        let (file, must_exist) = options.config_file();
        let read = saved::read(&file, must_exist)?;
        let own = directories(options)?;
        let pins = Pins::at(&options.bpffs)?;
        let locks = [
            preflight::lock(pins.root())?,
            preflight::lock_state(&options.state_dir)?,
        ];
        let beginning = saved::beginning(&file, read, &options.state_dir)?;
        let settings = &beginning.settings;
        let access = Access::new(
            Some(settings.group.as_deref().unwrap_or("lb")),
            settings.read_only_group.as_deref(),
        );
        priority::come_first();
        let commands = settings.exec_user.is_some();
        let privileges = Privileges::reduce(Role::Balancer { commands })?;
        Sandbox {
            own,
            pins: pins.root().to_owned(),
            commands,
        }
        .enter()?;
        Ok(Self {
            beginning,
            access,
            pins,
            locks,
            privileges,
        })
    }

    /// A runtime whose threads have no more rights than they need, and come after the core's.
    ///
    /// # Errors
    /// The system refused.
    pub(super) fn runtime(&self) -> Result<Runtime> {
        let privileges = self.privileges;
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .on_thread_start(move || {
                if let Err(error) = privileges.settle() {
                    error!(%error, "a thread cannot give up capabilities");
                    process::abort();
                }
                priority::come_after();
            })
            .build()
            .context("start the runtime")
    }
}

/// The directories to write in, but for that of the pins; they are made, so that there is something to allow.
fn directories(options: &RunOptions) -> Result<Vec<PathBuf>> {
    let make = |directory: &Path| format!("make the directory {}", directory.display());
    let state = options.state_dir.clone();
    DirBuilder::new()
        .recursive(true)
        .mode(state::DIRECTORY_MODE)
        .create(&state)
        .with_context(|| make(&state))?;
    let beside = options.socket.parent();
    let beside = beside.filter(|parent| !parent.as_os_str().is_empty());
    let socket = beside.unwrap_or(Path::new(".")).to_owned();
    fs::create_dir_all(&socket).with_context(|| make(&socket))?;
    Ok(vec![state, socket])
}
