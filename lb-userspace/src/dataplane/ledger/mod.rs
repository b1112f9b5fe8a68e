//! The ledgers in the kernel, one for each interface that the program is attached to.

mod owners;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::{Array, MapData, PerCpuArray, PerCpuValues},
};
use lb_common::{interface::Interface, names, outcome::LEDGER_CELLS};

use super::source::take;
use owners::{Grant, Owners};

/// Packets by the number of their outcome, all CPUs summed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger(Vec<u64>);

impl Ledger {
    /// Packets with the outcome that has this number.
    #[must_use]
    pub fn packets(&self, outcome: u32) -> u64 {
        let cell = usize::try_from(outcome)
            .ok()
            .and_then(|cell| self.0.get(cell));
        cell.copied().unwrap_or_default()
    }
}

/// The ledgers of one instance.
pub(super) struct Ledgers {
    interfaces: Array<MapData, Interface>,
    cells: PerCpuArray<MapData, u64>,
    owners: Owners,
}

impl Ledgers {
    /// Takes the maps out of the loaded object and reads whose ledgers an earlier process has given out.
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self> {
        let mut ledgers = Self {
            interfaces: take(ebpf, names::INTERFACES)?,
            cells: take(ebpf, names::LEDGER)?,
            owners: Owners::default(),
        };
        for element in 0..Interface::ELEMENTS {
            let interface = ledgers.interfaces.get(&element, 0)?;
            if interface.index != 0 {
                let older = ledgers.owners.note(name(&interface), &interface);
                ledgers.vacate(older)?;
            }
        }
        // Of an interface whose element is another's by now, the name is not known any more.
        for ledger in ledgers.owners.free() {
            ledgers.close(ledger)?;
        }
        Ok(ledgers)
    }

    /// Gives an interface its ledger. To be called before the program is attached to it.
    ///
    /// # Errors
    /// [`AttachError::SharedElement`](super::attach::AttachError::SharedElement) and
    /// [`AttachError::NoLedger`](super::attach::AttachError::NoLedger), or the kernel refused.
    pub(super) fn grant(&mut self, name: &str, index: u32) -> Result<()> {
        let Grant {
            vacated,
            is_taken_over,
            ledger,
        } = self.owners.grant(name, index)?;
        self.vacate(vacated)?;
        if is_taken_over {
            self.close(ledger)?;
        }
        let mut interface = Interface {
            index,
            ledger,
            ..Interface::default()
        };
        for (byte, letter) in interface.name.iter_mut().zip(name.bytes()) {
            *byte = letter;
        }
        self.interfaces
            .set(Interface::element(index), interface, 0)
            .with_context(|| format!("give {name} a ledger"))
    }

    /// The program is not attached to the interface `name` any more; its ledger stays as it is.
    pub(super) fn release(&mut self, name: &str) {
        self.owners.release(name);
    }

    fn vacate(&mut self, elements: impl IntoIterator<Item = u32>) -> Result<()> {
        for element in elements {
            self.interfaces.set(element, Interface::default(), 0)?;
        }
        Ok(())
    }

    /// Moves what a ledger that nobody counts in holds to that of all others: no sum ever falls.
    fn close(&mut self, ledger: u32) -> Result<()> {
        for outcome in 0..LEDGER_CELLS {
            let (from, to) = (cell(ledger, outcome), cell(Interface::OTHER, outcome));
            let counts = self.cells.get(&from, 0)?;
            if counts.iter().any(|count| *count > 0) {
                let before = self.cells.get(&to, 0)?;
                let sums = before.iter().zip(counts.iter()).map(|(a, b)| a + b);
                let sums = sums.collect::<Vec<u64>>();
                let zeros = vec![0; sums.len()];
                self.cells.set(to, PerCpuValues::try_from(sums)?, 0)?;
                self.cells.set(from, PerCpuValues::try_from(zeros)?, 0)?;
            }
        }
        Ok(())
    }

    fn ledger(&self, ledger: u32) -> Result<Ledger> {
        let cells = (0..LEDGER_CELLS).map(|outcome| {
            let counts = self.cells.get(&cell(ledger, outcome), 0)?;
            Ok(counts.iter().sum())
        });
        cells.collect::<Result<_>>().map(Ledger)
    }

    /// Each interface's ledger, by name.
    pub(super) fn by_interface(&self) -> Result<BTreeMap<String, Ledger>> {
        let ledgers = self.owners.ledgers().into_iter();
        ledgers
            .map(|(name, ledger)| Ok((name.to_owned(), self.ledger(ledger)?)))
            .collect::<Result<_>>()
            .context("read the ledgers")
    }

    /// The ledger of interfaces without one of their own.
    pub(super) fn other(&self) -> Result<Ledger> {
        self.ledger(Interface::OTHER).context("read the ledgers")
    }
}

const fn cell(ledger: u32, outcome: u32) -> u32 {
    ledger * LEDGER_CELLS + outcome
}

fn name(interface: &Interface) -> String {
    let bytes = interface.name.iter().copied().take_while(|byte| *byte != 0);
    String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
}
