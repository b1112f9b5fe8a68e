//! What the daemon knows that a backend's host has to be told.

use super::{
    answers::refused,
    change::{backend_address, bad},
    core::Core,
};
use crate::{
    control::protocol::{BackendSetup, ErrorCode, RpcError},
    desired::Refusal,
    model::Prefix,
    setup::{Choice, Setup, Site, setup},
};

impl Core {
    /// What the host of a backend needs.
    pub(super) fn backend_setup(&self, asked: &BackendSetup) -> Result<Setup, RpcError> {
        let service = self.service(&asked.service)?;
        let address = backend_address(&asked.address)?;
        let backend = service.backends.get(&address).ok_or_else(|| {
            refused(Refusal::NoBackend {
                service: service.name.clone(),
                backend: address,
            })
        })?;
        let from = asked.from.iter().map(|text| text.parse::<Prefix>());
        let choice = Choice {
            receiver: asked.with.unwrap_or_default(),
            from: from.collect::<Result<_, _>>().map_err(bad)?,
            undo: asked.undo,
        };
        let site = Site {
            desired: &self.desired,
            next_hops: &self.next_hops,
            sources: self.edges.sources,
            gue_port: self.settings.gue_port,
        };
        setup(site, service, backend, &choice)
            .map_err(|unknown| RpcError::new(ErrorCode::Conflict, unknown.to_string()))
    }
}
