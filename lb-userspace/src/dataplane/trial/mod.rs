//! A trial: the very program that is attached, run on one packet over maps that nobody else looks at.
//!
//! It is a second instance of the program with the same settings. What it only reads (VIPs, tables, backends and so on)
//! are the live maps; what it writes (flows, replies, budgets, counters) are maps of its own, into which the live
//! entries are copied that concern the packet. Reading an entry by a system call does not make it one that was used
//! lately: nothing that is live notices.

mod copies;
mod side;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use aya::{
    Ebpf, TestRun, TestRunOptions,
    maps::{Array, MapData, PerCpuArray, PerCpuValues},
    programs::Xdp,
};
use lb_common::{
    backend::BackendId,
    family::{V4, V6},
    interface::Interface,
    names,
    outcome::{LEDGER_CELLS, Outcome},
    settings::Settings,
    traffic::Traffic,
};

use super::{
    Capacity, Hashes, ServiceId, load,
    pins::Pins,
    source::{Pinned, open},
};
use copies::{Concern, Copies};
use side::Side;

/// Entries of the maps that the program of a trial remembers in: more than one packet can need.
pub(super) const ENTRIES: u32 = 1_024;
/// What a frame may grow by.
const HEADROOM: usize = 256;

/// The maps that the program writes: those of a trial are its own.
pub(super) const WRITTEN: [&str; 17] = [
    names::FRESH_V4,
    names::FRESH_V6,
    names::FLOWS_V4,
    names::FLOWS_V6,
    names::REPLIES_V4,
    names::REPLIES_V6,
    names::FRAGMENTS_V4,
    names::FRAGMENTS_V6,
    names::TURNS,
    names::TRAFFIC,
    names::LOADS,
    names::LEDGER,
    names::ERROR_BUDGET,
    names::TRANSLATIONS_V4,
    names::TRANSLATIONS_V6,
    names::SOURCES_V4,
    names::SOURCES_V6,
];

/// Both ends of a packet, and its transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple {
    /// Its source address.
    pub source: IpAddr,
    /// Its destination address, of the same IP version.
    pub destination: IpAddr,
    /// Source and destination port.
    pub ports: [u16; 2],
    /// IANA's number of the protocol.
    pub protocol: u8,
}

impl Tuple {
    /// The hashes that choose a slot; `None` for ends of two IP versions.
    #[must_use]
    pub fn hashes(&self, seed: u64) -> Option<Hashes> {
        V4::hashes(self, seed).or_else(|| V6::hashes(self, seed))
    }
}

/// What names the datagram that a later fragment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// As it stands in the packet, in host order.
    pub identification: u32,
    /// The protocol in the IPv4 header or the IPv6 fragment header.
    pub protocol: u8,
}

/// A packet, and what in the maps concerns it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The whole Ethernet frame.
    pub frame: Vec<u8>,
    /// Index of the interface that it comes in by.
    pub ingress: u32,
    /// Who sends it, and to whom, if it is IP.
    pub addresses: Option<[IpAddr; 2]>,
    /// Its flow, as a client's packet or a backend's reply shows it; of an ICMP error, that of the packet it is about.
    pub flow: Option<Tuple>,
    /// If it is a later fragment: its datagram. The ports are then those that the first fragment told.
    pub fragment: Option<Fragment>,
}

/// The instance whose program is tried.
#[derive(Clone, Debug)]
pub struct Subject {
    pub(super) pins: Pins,
    pub(super) settings: Settings,
    pub(super) capacity: Capacity,
    /// Backends that may have got the packet.
    pub(super) backends: Vec<BackendId>,
    /// Services that limit their sources.
    pub(super) limited: Vec<ServiceId>,
}

impl Subject {
    /// Seed of the flow hash.
    #[must_use]
    pub const fn hash_seed(&self) -> u64 {
        self.settings.hash_seed
    }

    /// UDP port of GUE.
    #[must_use]
    pub fn gue_port(&self) -> u16 {
        u16::try_from(self.settings.gue_port).unwrap_or_default()
    }
}

/// What the program answers (`enum xdp_action`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `XDP_ABORTED`, or a number that is none: the program has a fault.
    Aborted,
    /// `XDP_DROP`.
    Drop,
    /// `XDP_PASS`: on to the host's stack.
    Pass,
    /// `XDP_TX`: out of the interface that it came in by.
    Transmit,
    /// `XDP_REDIRECT`: out of another one.
    Redirect,
}

impl From<u32> for Action {
    fn from(number: u32) -> Self {
        match number {
            1 => Self::Drop,
            2 => Self::Pass,
            3 => Self::Transmit,
            4 => Self::Redirect,
            _ => Self::Aborted,
        }
    }
}

/// What is remembered of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Where it went.
    pub backend: BackendId,
    /// Names the use of that number.
    pub generation: u32,
    /// In mode `snat` the port that the backend sees; else 0.
    pub source_port: u16,
}

/// What came of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The XDP action.
    pub action: Action,
    /// The cell of the ledger.
    pub outcome: Outcome,
    /// The frame as the program left it.
    pub frame: Vec<u8>,
    /// The backend that it was counted for, if it was for one.
    pub backend: Option<BackendId>,
    /// What was remembered of its flow before.
    pub known: Option<Remembered>,
    /// What is remembered of it now.
    pub remembered: Option<Remembered>,
    /// If it is a reply of a `nat` or `snat` backend: the packet that the client must see.
    pub reply: Option<Tuple>,
    /// Its flow, of a later fragment too.
    pub flow: Option<Tuple>,
}

/// Where trials are made, one at a time: to load the program takes the verifier a second or more, so it is kept.
#[derive(Clone, Debug, Default)]
pub struct Bench(Arc<Mutex<Option<Loaded>>>);

impl Bench {
    /// Runs the program of `subject` on `packet`. Blocks, for seconds the first time and after a change of features.
    ///
    /// # Errors
    /// The program could not be loaded beside the one that is attached, or the kernel did not run it.
    pub fn run(&self, subject: &Subject, packet: &Packet) -> Result<Trial> {
        // What a trial that panicked has left is emptied before the next one.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut loaded = match kept.take() {
            Some(loaded) if loaded.settings == subject.settings => loaded,
            Some(_) | None => Loaded::load(subject)?,
        };
        let trial = loaded.run(subject, packet)?;
        *kept = Some(loaded);
        Ok(trial)
    }
}

/// The second instance of the program.
struct Loaded {
    ebpf: Ebpf,
    program: &'static str,
    settings: Settings,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    fn load(subject: &Subject) -> Result<Self> {
        let load::Loaded { ebpf, program, .. } =
            load::load_beside(&subject.pins, subject.settings, subject.capacity)?;
        Ok(Self {
            ebpf,
            program,
            settings: subject.settings,
        })
    }

    fn run(&mut self, subject: &Subject, packet: &Packet) -> Result<Trial> {
        match packet.addresses {
            Some([_, IpAddr::V6(_)]) => self.run_in::<V6>(subject, packet),
            Some([_, IpAddr::V4(_)]) | None => self.run_in::<V4>(subject, packet),
        }
    }

    /// In mode `snat` a new flow takes the first port that is free: of those that it would take, the live entries are
    /// copied too, until it takes one that is free in the live maps.
    fn run_in<S: Side>(&mut self, subject: &Subject, packet: &Packet) -> Result<Trial> {
        let mut live = Pinned(subject.pins.maps());
        let mut concern = Concern::<S>::of(packet, &mut live, subject)?;
        loop {
            let mut copies = self.copies(&mut live);
            copies.begin(&concern)?;
            if subject.settings.features & Settings::LOADS != 0 {
                copies.copy_loads(&subject.backends)?;
            }
            let (action, frame) = self.execute(packet)?;
            let outcome = self.outcome(packet.ingress)?;
            let backend = self.counted(&subject.backends)?;
            let mut copies = self.copies(&mut live);
            let remembered = copies.remembered(&concern)?;
            match copies.taken_elsewhere(&concern, remembered)? {
                Some(reply) => concern.add_reply(reply),
                None => {
                    return Ok(Trial {
                        action,
                        outcome,
                        frame,
                        backend,
                        known: concern.known(),
                        remembered,
                        reply: concern.reply(),
                        flow: concern.tuple(),
                    });
                }
            }
        }
    }

    const fn copies<'a>(&'a mut self, live: &'a mut Pinned) -> Copies<'a> {
        Copies {
            ebpf: &mut self.ebpf,
            live,
        }
    }

    /// Has the kernel run the program, as if the frame had come in by its interface.
    fn execute(&self, packet: &Packet) -> Result<(Action, Vec<u8>)> {
        let length = u32::try_from(packet.frame.len())?;
        // `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex. In the byte order of
        // this machine, which is that of the object.
        let context = [0, length, 0, packet.ingress, 0, 0]
            .map(u32::to_le_bytes)
            .concat();
        let mut out = vec![0; packet.frame.len() + HEADROOM];
        let program: &Xdp = self
            .ebpf
            .program(self.program)
            .with_context(|| format!("the eBPF object has no program `{}`", self.program))?
            .try_into()?;
        let ran = program
            .test_run(TestRunOptions {
                data_in: Some(&packet.frame),
                data_out: Some(&mut out),
                ctx_in: Some(&context),
                ..TestRunOptions::new()
            })
            .with_context(|| {
                let (bytes, index) = (packet.frame.len(), packet.ingress);
                format!(
                    "run the program on a packet of {bytes} bytes that comes in by interface number {index} (this takes \
                     kernel 5.15 or newer)"
                )
            })?;
        out.truncate(usize::try_from(ran.data_size_out)?);
        Ok((Action::from(ran.return_value), out))
    }

    /// The outcome that was counted for an interface; its cell is 0 again.
    fn outcome(&mut self, ingress: u32) -> Result<Outcome> {
        let interfaces: Array<&mut MapData, Interface> = open(&mut self.ebpf, names::INTERFACES)?;
        let interface = interfaces.get(&Interface::element(ingress), 0)?;
        let ledger = if interface.index == ingress {
            interface.ledger
        } else {
            Interface::OTHER
        };
        let mut cells: PerCpuArray<&mut MapData, u64> = open(&mut self.ebpf, names::LEDGER)?;
        for outcome in Outcome::ALL {
            let cell = ledger * LEDGER_CELLS + *outcome as u32;
            let counts = cells
                .get(&cell, 0)
                .context("read the ledger of the trial")?;
            if counts.iter().any(|count| *count > 0) {
                let zero = PerCpuValues::try_from(vec![0; counts.len()])?;
                cells
                    .set(cell, zero, 0)
                    .context("clear the ledger of the trial")?;
                return Ok(*outcome);
            }
        }
        anyhow::bail!("the program has counted the packet nowhere")
    }

    /// The backend among these that was counted for; its counters are 0 again.
    fn counted(&mut self, backends: &[BackendId]) -> Result<Option<BackendId>> {
        let mut traffic: PerCpuArray<&mut MapData, Traffic> = open(&mut self.ebpf, names::TRAFFIC)?;
        for id in backends {
            let counts = traffic
                .get(&id.0, 0)
                .context("read the counters of the trial")?;
            if counts.iter().any(|count| count.packets > 0) {
                let zero = PerCpuValues::try_from(vec![Traffic::default(); counts.len()])?;
                traffic
                    .set(id.0, zero, 0)
                    .context("clear the counters of the trial")?;
                return Ok(Some(*id));
            }
        }
        Ok(None)
    }
}
