//! The program on the interface of probes.

use anyhow::{Context, Result};
use aya::Ebpf;
use lb_common::names;

use super::{
    attach::{AttachMode, program},
    load,
};

/// The program, attached for as long as this lives: its interface lives no longer than the process either.
pub struct ProbeProgram {
    /// Owns the link.
    _ebpf: Ebpf,
}

impl ProbeProgram {
    /// Attaches the program that was loaded with `loaded`, over the maps of the balancer, to the interface with this
    /// index.
    ///
    /// # Errors
    /// The kernel refused.
    pub(super) fn attach(loaded: load::Loaded, index: u32, mode: AttachMode) -> Result<Self> {
        let load::Loaded {
            mut ebpf,
            program: name,
            ..
        } = loaded;
        // The program holds its maps, and they are open elsewhere already.
        for name in names::MAPS {
            drop(ebpf.take_map(name));
        }
        program(&mut ebpf, name)?
            .attach_to_if_index(index, mode.in_kernel())
            .context("attach the program for probes")?;
        Ok(Self { _ebpf: ebpf })
    }
}
