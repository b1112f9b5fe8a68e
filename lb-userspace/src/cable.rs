//! The interface of probes: a tap whose frames are led back into it, as by a cable.
//!
//! A probe whose packets are to go the way of clients' packets must come in where XDP programs run. What the host's
//! stack sends by the tap is read from its file, where it has become a frame with whole checksums, and written to the
//! same file: so it comes in by the tap, and the program there sends it to a backend. The backend's answer is sent to
//! the tap by the balancer's program, goes round in the same way, and comes in for the stack.
//!
//! A pair of veth devices would do without a copy through this process, but outlive it, and hand over frames whose
//! checksums are not complete unless the operator or ethtool says so. The tap goes with the process, whatever
//! ends it, and its routes with it.

use std::io;

use anyhow::{Context, Result};
use lb_common::path;
use tokio::task::JoinHandle;
use tokio_tun::{Tun, TunBuilder};
use tracing::{debug, error};

use crate::{
    model::Aliases,
    neighbor::{self, TapSettings},
};

/// What every link carries that IPv6 packets go over, in bytes (RFC 8200 section 5): whatever the tunnel, a probe's
/// packets fit.
const MTU: u32 = 1_280;
/// Room for a frame, tags included.
const FRAME: usize = 2_048;
/// The name; the kernel puts a number in the place of `%d`, so that every instance has its own.
const NAME: &str = "lbp%d";

/// The interface; gone when this is dropped.
#[derive(Debug)]
pub struct Cable {
    name: String,
    index: u32,
    task: JoinHandle<()>,
}

impl Cable {
    /// Makes the interface and leads packets for `aliases` to it. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// The kernel has no such interfaces, or one of this host has an address among the aliases.
    pub async fn open(aliases: Aliases) -> Result<Self> {
        let taps = TunBuilder::new().name(NAME).tap().build();
        let tap = taps
            .and_then(|taps| {
                taps.into_iter()
                    .next()
                    .ok_or_else(|| io::Error::other("no tap").into())
            })
            .context(
                "make the interface of probes (a tap: the kernel's module `tun`, and /dev/net/tun)",
            )?;
        let (name, index) = (tap.name().to_owned(), tap.index()?);
        let settings = TapSettings {
            mac: path::MAC,
            mtu: MTU,
            addresses: [aliases.v4, aliases.v6].map(|aliases| (aliases.own(), aliases.prefix())),
        };
        neighbor::set_up_tap(index, settings)
            .await
            .with_context(|| format!("set up {name}, the interface of probes"))?;
        let shown = name.clone();
        let task = tokio::spawn(async move {
            let why = lead_back(&tap).await;
            error!(interface = shown, %why, "the interface of probes is gone");
        });
        Ok(Self { name, index, task })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its index.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Whether somebody has taken it away.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // Closes the tap's file, which nothing else holds.
        self.task.abort();
    }
}

/// Writes what it reads, until there is nothing to read from any more.
async fn lead_back(tap: &Tun) -> io::Error {
    let mut frame = vec![0; FRAME];
    loop {
        let length = match tap.recv(&mut frame).await {
            Ok(length) => length,
            Err(error) => return error,
        };
        let sent = tap.send(frame.get(..length).unwrap_or_default()).await;
        if let Err(error) = sent {
            // As on any cable: who waits for it sends it again.
            debug!(%error, length, "a frame was lost on the interface of probes");
        }
    }
}
