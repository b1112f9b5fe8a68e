//! Packets under way, waited for beside the core, so that what was replaced is free again before it is needed: a grace
//! period takes the kernel tens of milliseconds, and a failed backend's slots are to move within a few.

use std::{future, io};

use tokio::task::{JoinHandle, spawn_blocking};
use tracing::warn;

use super::core::Core;
use crate::dataplane::kernel::grace;

/// The wait under way, if there is one.
#[derive(Debug, Default)]
pub(super) struct Wait(Option<JoinHandle<io::Result<()>>>);

impl Wait {
    /// How it ended, when it has; never, if there is none.
    pub(super) async fn over(&mut self) -> io::Result<()> {
        let Some(wait) = &mut self.0 else {
            return future::pending().await;
        };
        let ended = wait.await;
        self.0 = None;
        ended.unwrap_or_else(|error| Err(error.into()))
    }
}

impl Core {
    /// Begins to wait, if anything was replaced and nobody waits yet.
    pub(super) fn make_room(&mut self) {
        if self.wait.0.is_some() {
            return;
        }
        match self.reconciler.dataplane_mut().begin_wait() {
            Ok(true) => self.wait.0 = Some(spawn_blocking(grace)),
            Ok(false) => {}
            Err(error) => warn!(error = format!("{error:#}"), "{NO_ROOM}"),
        }
    }

    /// What had been replaced when the wait began is free; what was since, after the next one.
    pub(super) fn waited(&mut self, waited: io::Result<()>) {
        let freed = waited
            .map_err(anyhow::Error::from)
            .and_then(|()| self.reconciler.dataplane_mut().end_wait());
        match freed {
            Ok(()) => self.make_room(),
            Err(error) => warn!(error = format!("{error:#}"), "{NO_ROOM}"),
        }
    }
}

/// It costs the next publication that finds no free room a wait of its own, and nothing else.
const NO_ROOM: &str = "cannot wait for packets under way";
