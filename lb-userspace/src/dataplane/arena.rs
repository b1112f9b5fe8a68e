//! The arena of lookup tables, mapped into this process: slots are written with plain stores.

use std::{
    io,
    os::fd::AsRawFd,
    sync::atomic::{AtomicU32, Ordering},
};

use lb_common::table::{SLOTS_PER_ELEMENT, Slot};

use super::{Region, mapped::Mapped};

/// The mapped arena.
pub(super) struct Arena(Mapped);

impl Arena {
    /// Maps the `BPF_F_MMAPABLE` array behind `fd`, of `elements` elements.
    pub(super) fn new(fd: &impl AsRawFd, elements: u32) -> io::Result<Self> {
        let slots = elements * SLOTS_PER_ELEMENT;
        Mapped::new(fd, slots as usize * size_of::<Slot>()).map(Self)
    }

    /// The slots of `region`, as the kernel shares them; `None` if it lies outside the arena.
    fn cells(&self, region: Region) -> Option<&[AtomicU32]> {
        let end = region.offset.checked_add(region.slots)?;
        self.0.words(region.offset as usize..end as usize)
    }

    /// Writes a table. Whoever publishes `region` afterwards makes it visible: a VIP's bucket is stored with release
    /// ordering, and a packet reads the table at an offset that depends on its load of the bucket. VIPs that are
    /// prefixes are published by a system call, whose write is ordered after these stores.
    pub(super) fn write(&self, region: Region, table: &[Slot]) -> io::Result<()> {
        let cells = self
            .cells(region)
            .filter(|cells| cells.len() == table.len());
        let cells = cells.ok_or_else(|| outside(region))?;
        for (cell, slot) in cells.iter().zip(table) {
            cell.store(slot.raw(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether `region` holds `table` to the last slot.
    pub(super) fn holds(&self, region: Region, table: &[Slot]) -> bool {
        self.cells(region).is_some_and(|cells| {
            cells.len() == table.len()
                && cells
                    .iter()
                    .zip(table)
                    .all(|(cell, slot)| cell.load(Ordering::Relaxed) == slot.raw())
        })
    }

    /// Reads a table.
    pub(super) fn read(&self, region: Region) -> io::Result<Vec<Slot>> {
        let cells = self.cells(region).ok_or_else(|| outside(region))?;
        Ok(cells
            .iter()
            .map(|cell| Slot::from_raw(cell.load(Ordering::Relaxed)))
            .collect())
    }
}

fn outside(region: Region) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!(
            "a table of {} slots at {} does not fit the arena",
            region.slots, region.offset
        ),
    )
}
