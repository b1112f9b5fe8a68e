//! The arena of lookup tables, mapped into this process: slots are written with plain stores.
#![expect(unsafe_code, reason = "memory shared with the kernel")]

use std::{
    io,
    os::fd::AsRawFd,
    sync::atomic::{AtomicU32, Ordering},
};

use lb_common::table::{SLOTS_PER_ELEMENT, Slot};
use memmap2::{MmapOptions, MmapRaw};

use super::Region;

/// The mapped arena.
pub(super) struct Arena {
    map: MmapRaw,
    slots: u32,
}

impl Arena {
    /// Maps the `BPF_F_MMAPABLE` array behind `fd`, of `elements` elements.
    pub(super) fn new(fd: &impl AsRawFd, elements: u32) -> io::Result<Self> {
        let slots = elements * SLOTS_PER_ELEMENT;
        let map = MmapOptions::new()
            .len(slots as usize * size_of::<Slot>())
            .map_raw(fd.as_raw_fd())?;
        Ok(Self { map, slots })
    }

    /// The slots of `region`, as the kernel shares them; `None` if it lies outside the arena.
    fn cells(&self, region: Region) -> Option<&[AtomicU32]> {
        let end = region.offset.checked_add(region.slots)?;
        if end > self.slots {
            return None;
        }
        #[expect(clippy::cast_ptr_alignment, reason = "a mapping begins at a page")]
        let first = self.map.as_mut_ptr().cast::<AtomicU32>();
        // SAFETY: the mapping is `slots` words long (`new`), page-aligned, lives as long as `self`, and is
        // shared with the kernel only, which reads whole words: `AtomicU32` has that layout and allows
        // others to read and write at any time. `region` was checked to lie within.
        Some(unsafe {
            std::slice::from_raw_parts(first.add(region.offset as usize), region.slots as usize)
        })
    }

    /// Writes a table. Whoever publishes `region` afterwards makes it visible: the map update is a
    /// system call, and the kernel's write of the element is ordered after these stores.
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
