//! The end of the data plane, by a client's call.

use tracing::warn;

use super::core::Core;
use crate::{
    control::protocol::{Detached, ErrorCode, RpcError},
    dataplane::Dataplane as _,
};

impl Core {
    /// Takes everything out of the kernel; the daemon is to end thereafter. What is wanted stays saved.
    ///
    /// # Errors
    /// A pin could not be removed; the daemon goes on, and puts back what is gone already.
    pub(super) fn detach(&mut self) -> Result<Detached, RpcError> {
        let attached = self.edges.interfaces.indexes();
        let rows = self.edges.interfaces.status().into_iter();
        let interfaces = rows
            .filter(|row| attached.contains(&row.index))
            .map(|row| row.name)
            .collect();
        let generation = self.reconciler.dataplane().actual().generation;
        self.reconciler
            .dataplane()
            .detach(self.edges.interfaces.attachments_mut())
            .map_err(|error| {
                let message = format!("not everything could be taken off: {error:#}");
                RpcError::new(ErrorCode::Kernel, message)
            })?;
        warn!(
            generation,
            "taking the data plane off, as a client has asked"
        );
        self.is_detached = true;
        Ok(Detached { interfaces })
    }
}
