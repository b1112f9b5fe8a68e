//! An array of the kernel's, mapped into this process: words that are read and written by plain loads and stores.
#![expect(unsafe_code, reason = "memory shared with the kernel")]

use std::{
    io,
    ops::Range,
    os::fd::AsRawFd,
    slice,
    sync::atomic::{AtomicU32, AtomicU64},
};

use memmap2::{MmapOptions, MmapRaw};

/// A mapped array, whose words are shared with the kernel only.
pub(super) struct Mapped {
    map: MmapRaw,
}

impl Mapped {
    /// Maps the first `bytes` bytes of the `BPF_F_MMAPABLE` array behind `fd`.
    pub(super) fn new(fd: &impl AsRawFd, bytes: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(bytes).map_raw(fd.as_raw_fd())?;
        Ok(Self { map })
    }

    /// Its words of 4 bytes with these numbers; `None` if some lie outside.
    pub(super) fn words(&self, range: Range<usize>) -> Option<&[AtomicU32]> {
        self.cells(range)
    }

    /// Its words of 8 bytes with these numbers; `None` if some lie outside.
    pub(super) fn long_words(&self, range: Range<usize>) -> Option<&[AtomicU64]> {
        self.cells(range)
    }

    fn cells<T: Cell>(&self, range: Range<usize>) -> Option<&[T]> {
        let length = range.end.checked_sub(range.start)?;
        if range.end > self.map.len() / size_of::<T>() {
            return None;
        }
        let first = self.map.as_mut_ptr().cast::<T>();
        // SAFETY: the mapping is page-aligned, lives as long as `self`, and is shared with the kernel only, which reads
        // whole words: atomic integers have that layout and allow others to read and write at any time. The range was
        // checked to lie within, and every bit pattern is a number.
        Some(unsafe { slice::from_raw_parts(first.add(range.start), length) })
    }
}

/// An atomic integer.
trait Cell {}

impl Cell for AtomicU32 {}

impl Cell for AtomicU64 {}
