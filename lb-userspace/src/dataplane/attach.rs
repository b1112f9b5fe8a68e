//! Attaches the program to interfaces, by links that are pinned and outlive this process.

use std::{
    collections::BTreeMap,
    fs, io, mem,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    programs::{
        ProgramError, Xdp, XdpMode as KernelMode,
        links::{FdLink, PinnedLink},
        xdp::XdpLink,
    },
};
use lb_common::interface::Interface;
use rustix::io::Errno;
use tracing::warn;

use super::{
    ledger::{Ledger, Ledgers},
    pins::Pins,
};

/// How the program is to be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// By the driver: before the kernel has made a socket buffer of the packet.
    Native,
    /// By the stack: works on every interface, and is slower.
    Generic,
}

impl AttachMode {
    pub(super) const fn in_kernel(self) -> KernelMode {
        match self {
            Self::Native => KernelMode::Driver,
            Self::Generic => KernelMode::Skb,
        }
    }
}

/// Why the program could not be attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Another program is there.
    #[error(
        "another XDP program is attached to it: take that off first (`ip link set dev … xdp off`, or `lbd detach` if it is another lbd's)"
    )]
    Occupied,
    /// The driver has no native XDP.
    #[error("its driver has no native XDP: use xdp_mode = \"auto\" or \"generic\"")]
    NoNative,
    /// The kernel has no generic XDP for this program: before 5.15 it refuses one with a map of devices whose
    /// values have room for a program (8 bytes), which is what aya makes of every such map.
    #[error(
        "this kernel has no generic XDP for redirects, 5.15 and newer have: use xdp_mode = \"native\""
    )]
    NoGeneric,
    /// Packets are counted by the low bits of the interface's index, and another interface has the same.
    #[error(
        "its index and that of `{other}` differ by a multiple of {}, so that their packets could not be counted apart: make one of the two anew, which gives it another index",
        Interface::ELEMENTS
    )]
    SharedElement {
        /// The other interface.
        other: String,
    },
    /// As many interfaces as have ledgers are attached to.
    #[error("packets are counted for {} interfaces at most", Interface::LEDGERS - 1)]
    NoLedger,
    /// The driver needs a program for jumbo frames at this MTU, which kernels before 5.18 do not have, or cannot do it.
    #[error("its MTU is too large for XDP with this driver and kernel: lower it")]
    LargeMtu,
    /// There is no such interface any more.
    #[error("the interface is gone")]
    Gone,
    /// Anything else.
    #[error("the kernel refused")]
    Refused(#[source] ProgramError),
}

/// What came of attaching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// A link of an earlier process was found, and its program replaced in one step.
    Adopted,
    /// A new link.
    New,
}

/// The loaded program, its links, and what it has counted on each.
pub struct Attachments {
    ebpf: Ebpf,
    program: &'static str,
    links: PathBuf,
    /// By interface. A program stays where it is as long as its link is held or pinned.
    held: BTreeMap<u32, FdLink>,
    ledgers: Ledgers,
}

impl Attachments {
    /// `program`, which has been loaded.
    ///
    /// # Errors
    /// The ledgers could not be read.
    pub(super) fn new(mut ebpf: Ebpf, program: &'static str, pins: &Pins) -> Result<Self> {
        let ledgers = Ledgers::open(&mut ebpf).context("adopt the ledgers")?;
        Ok(Self {
            ebpf,
            program,
            links: pins.links(),
            held: BTreeMap::new(),
            ledgers,
        })
    }

    /// The loaded object, for the program's log lines.
    #[cfg(feature = "log")]
    pub(super) fn ebpf_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Interfaces with a pinned link, by index.
    ///
    /// # Errors
    /// The directory of pins could not be read.
    pub fn pinned(&self) -> Result<Vec<u32>> {
        let entries =
            fs::read_dir(&self.links).with_context(|| format!("read {}", self.links.display()))?;
        let mut indexes = Vec::new();
        for entry in entries {
            if let Some(index) = entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            {
                indexes.push(index);
            }
        }
        indexes.sort_unstable();
        Ok(indexes)
    }

    /// Attaches the program to the interface `name`, which has this index, and gives it a ledger first. A link that
    /// an earlier process left is taken over, so that no packet is missed.
    ///
    /// # Errors
    /// The driver cannot do it, another program is there, the interface is gone, or there is no ledger for it.
    pub fn attach(&mut self, name: &str, index: u32, mode: AttachMode) -> Result<Attached> {
        self.ledgers.grant(name, index)?;
        let attached = self.link(index, mode);
        if attached.is_err() {
            self.ledgers.release(name);
        }
        attached
    }

    fn link(&mut self, index: u32, mode: AttachMode) -> Result<Attached> {
        let pin = self.links.join(index.to_string());
        let program = program(&mut self.ebpf, self.program)?;
        if pin.exists() {
            if let Some(link) = adopt(program, &pin)? {
                self.held.insert(index, link);
                return Ok(Attached::Adopted);
            }
            // The interface that the link was for is gone, and its index was given out again.
            fs::remove_file(&pin).with_context(|| format!("remove {}", pin.display()))?;
        }
        let id = program
            .attach_to_if_index(index, mode.in_kernel())
            .map_err(|error| explain(mode, error))?;
        let link: FdLink = program
            .take_link(id)?
            .try_into()
            .context("this kernel has no links for XDP programs: 5.10 or newer is needed")?;
        let link = link
            .pin(&pin)
            .with_context(|| format!("pin the link at {}", pin.display()))?;
        self.held.insert(index, link.into());
        Ok(Attached::New)
    }

    /// Puts the program of `ebpf`, which has been loaded, in the place of the one there is, on every pinned link: no
    /// packet is missed.
    ///
    /// # Errors
    /// The kernel refused; the program there was is back on every link that would have it.
    pub(super) fn replace(&mut self, ebpf: Ebpf) -> Result<()> {
        let before = mem::replace(&mut self.ebpf, ebpf);
        let replaced = self.take_over();
        if replaced.is_err() {
            self.ebpf = before;
            if let Err(error) = self.take_over() {
                warn!(error = format!("{error:#}"), "cannot put the program back");
            }
        }
        replaced
    }

    /// Puts the loaded program on every pinned link, whoever pinned it.
    ///
    /// # Errors
    /// The kernel refused.
    pub(super) fn take_over(&mut self) -> Result<()> {
        for index in self.pinned()? {
            let pin = self.links.join(index.to_string());
            // The interface of a link may be gone; who attaches next looks after that.
            if let Some(link) = adopt(program(&mut self.ebpf, self.program)?, &pin)? {
                self.held.insert(index, link);
            }
        }
        Ok(())
    }

    /// Pins links again whose pins somebody has taken away; the directory is there.
    ///
    /// # Errors
    /// The kernel refused; the program is off the interface then.
    pub(super) fn mend(&mut self) -> Result<()> {
        for (index, link) in mem::take(&mut self.held) {
            let pin = self.links.join(index.to_string());
            let link = if pin.exists() {
                link
            } else {
                let pinned = link.pin(&pin);
                pinned
                    .with_context(|| format!("pin the link at {}", pin.display()))?
                    .into()
            };
            self.held.insert(index, link);
        }
        Ok(())
    }

    /// Whether the pin of a link is gone.
    pub(super) fn lacks_pin(&self) -> bool {
        let is_pinned = |index: &u32| self.links.join(index.to_string()).exists();
        !self.held.keys().all(is_pinned)
    }

    /// Takes the program off interface `index`.
    ///
    /// # Errors
    /// The pin could not be removed.
    pub fn detach(&mut self, index: u32) -> Result<()> {
        self.held.remove(&index);
        let pin = self.links.join(index.to_string());
        match fs::remove_file(&pin) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", pin.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Gives the interface `name`, which has this index and another program, a ledger.
    ///
    /// # Errors
    /// There is none for it.
    pub fn count_for(&mut self, name: &str, index: u32) -> Result<()> {
        self.ledgers.grant(name, index)
    }

    /// Takes the program off all interfaces, as far as pins do not keep it there.
    pub fn let_go(&mut self) {
        self.held.clear();
    }

    /// Notes that the interface `name` is gone, which had this index. Its ledger waits for one of the same name.
    pub fn gone(&mut self, name: &str, index: u32) {
        self.ledgers.release(name);
        if let Err(error) = self.detach(index) {
            warn!(
                interface = name,
                error = format!("{error:#}"),
                "its link is left behind"
            );
        }
    }

    /// Each interface's ledger, by name: also of those that the program was attached to once.
    ///
    /// # Errors
    /// The map could not be read.
    pub fn ledgers(&self) -> Result<BTreeMap<String, Ledger>> {
        self.ledgers.by_interface()
    }

    /// What was counted on interfaces that have no ledger any more.
    ///
    /// # Errors
    /// The map could not be read.
    pub fn other_ledger(&self) -> Result<Ledger> {
        self.ledgers.other()
    }
}

/// The program called `name`.
pub(super) fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name);
    let program = program.with_context(|| format!("the eBPF object has no program `{name}`"))?;
    Ok(program.try_into()?)
}

/// Replaces the program of the link pinned at `pin`; none if the link's interface is gone.
fn adopt(program: &mut Xdp, pin: &Path) -> Result<Option<FdLink>> {
    let link: FdLink = PinnedLink::from_pin(pin)
        .with_context(|| format!("open the link pinned at {}", pin.display()))?
        .into();
    let link =
        XdpLink::try_from(link).with_context(|| format!("{} is not an XDP link", pin.display()))?;
    match program.attach_to_link(link) {
        Ok(id) => Ok(Some(program.take_link(id)?.try_into()?)),
        Err(error) if errno(&error) == Some(Errno::NOLINK) => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("replace the program of the link {}", pin.display()))
        }
    }
}

/// What the kernel said, if it was the kernel.
fn errno(error: &ProgramError) -> Option<Errno> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Errno::from_io_error(error);
        }
        source = error.source();
    }
    None
}

/// The refusal in an operator's words.
fn explain(mode: AttachMode, error: ProgramError) -> AttachError {
    match errno(&error) {
        Some(Errno::INVAL) if mode == AttachMode::Generic => AttachError::NoGeneric,
        Some(Errno::BUSY | Errno::EXIST) => AttachError::Occupied,
        Some(Errno::RANGE) => AttachError::LargeMtu,
        Some(Errno::OPNOTSUPP) => AttachError::NoNative,
        Some(Errno::NODEV) => AttachError::Gone,
        _ => AttachError::Refused(error),
    }
}
