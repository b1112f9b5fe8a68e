//! `lbd decap`: takes tunnels off on a backend, in the foreground, until told to stop.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write as _},
    net::IpAddr,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, Result, anyhow};
use lb_common::decap::DecapOutcome;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use super::{
    announce::Announcer,
    exit::Failure,
    interfaces::{self, Interfaces},
    options::DecapOptions,
    preflight,
    start::explain_load,
};
use crate::{
    control::feed::Feed,
    dataplane::{
        Pins,
        decap::{Decap, DecapRules},
        ledger::Ledger,
    },
    neighbor::{self, InterfaceEvents, Link},
};

/// Where the pins stand below the directory in bpffs.
const DIRECTORY: &str = "decap";

/// Runs until SIGTERM or SIGINT, then detaches. A process that is killed leaves the program where it is; the next
/// one replaces it in one step.
pub(super) async fn serve(options: DecapOptions) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let mut events = InterfaceEvents::listen_with_addresses().map_err(|error| anyhow!(error))?;
    let links = neighbor::links().await.map_err(|error| anyhow!(error))?;
    interfaces::check(&options.interfaces, &links)?;
    let pins = Pins::at(&options.bpffs.join(DIRECTORY))?;
    let _lock = preflight::lock(pins.root())?;
    let (mut decap, mut interfaces) = begin(&options, &pins, &links).await?;
    let pid_file = options.pid_file.as_deref();
    let _pid_file = pid_file.map(PidFile::write).transpose()?;
    info!("ready");
    loop {
        tokio::select! {
            () = stop.told() => break,
            changed = events.changed() => {
                let links = changed.map_err(|error| anyhow!(error)).context("follow interfaces")?;
                interfaces.follow(&links);
                follow_addresses(&mut decap, &options.to).await?;
            }
        }
    }
    pins.remove()?;
    info!("stopped; tunnels are left to the host's own stack");
    Ok(print(&interfaces)?)
}

/// Loads, fills and attaches. If that fails, pins that were made for it go again.
async fn begin(
    options: &DecapOptions,
    pins: &Pins,
    links: &[Link],
) -> Result<(Decap, Interfaces), Failure> {
    let begun = attach(options, pins, links).await;
    if begun.is_err() && is_empty(pins) {
        pins.remove()?;
    }
    begun
}

async fn attach(
    options: &DecapOptions,
    pins: &Pins,
    links: &[Link],
) -> Result<(Decap, Interfaces), Failure> {
    if let Some(all) = options.from.iter().find(|prefix| prefix.bits() == 0) {
        warn!("{all} allows everybody to tunnel packets to this host");
    }
    let rules = DecapRules {
        sources: options.from.clone(),
        vips: options.vips.clone(),
        gue_port: options.gue_port,
    };
    let (mut decap, attachments) = Decap::load(pins, &rules).map_err(explain_load)?;
    // Before the program takes over from another one, whose lists are full.
    follow_addresses(&mut decap, &options.to).await?;
    let names = options.interfaces.iter().cloned();
    let mut interfaces = Interfaces::new(
        Announcer::new(Feed::default()),
        attachments,
        options.xdp_mode.into(),
        names,
    );
    interfaces.attach_all(links)?;
    Ok((decap, interfaces))
}

/// Whether no link is pinned.
fn is_empty(pins: &Pins) -> bool {
    let mut entries = fs::read_dir(pins.links()).into_iter().flatten();
    entries.next().is_none()
}

/// Lets tunnels end at `to`, or at all addresses of this host.
async fn follow_addresses(decap: &mut Decap, to: &[IpAddr]) -> Result<()> {
    let wanted: BTreeSet<IpAddr> = if to.is_empty() {
        neighbor::addresses()
            .await
            .map_err(|error| anyhow!(error))?
    } else {
        to.iter().copied().collect()
    };
    let number = wanted.len();
    if decap.set_destinations(wanted)? {
        info!(addresses = number, "tunnels may end here");
    }
    Ok(())
}

/// The ledgers' sums, a line for each outcome; of several interfaces, also their own.
fn print(interfaces: &Interfaces) -> Result<()> {
    let ledgers = interfaces.ledgers()?;
    let names = ledgers.iter().filter_map(|(name, _)| name.as_deref());
    let names: Vec<&str> = names.collect();
    let mut out = io::stdout().lock();
    let mut line = |outcome: &str, counts: &[String]| {
        let counts = counts.iter().map(|count| format!(" {count:>12}"));
        // Nobody may be reading any more.
        let _ = writeln!(out, "{outcome:<20}{}", counts.collect::<String>());
    };
    let several = names.len() > 1;
    if several {
        let heads = ["all"].into_iter().chain(names).map(str::to_owned);
        line("", &heads.collect::<Vec<_>>());
    }
    for outcome in DecapOutcome::ALL {
        let packets = |ledger: &Ledger| ledger.packets(*outcome as u32);
        let all: u64 = ledgers.iter().map(|(_, ledger)| packets(ledger)).sum();
        let own = ledgers.iter().filter(|(name, _)| several && name.is_some());
        let own = own.map(|(_, ledger)| packets(ledger));
        let counts = [all].into_iter().chain(own).map(|count| count.to_string());
        line(outcome.label(), &counts.collect::<Vec<_>>());
    }
    Ok(())
}

/// A file that holds the process id while the process does its work.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &Path) -> Result<Self> {
        fs::write(path, format!("{}\n", process::id()))
            .with_context(|| format!("write {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Whoever reads it looks whether the process lives.
        let _ = fs::remove_file(&self.0);
    }
}

/// The signals that end it.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
