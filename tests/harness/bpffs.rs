//! A BPF file system of a test's own.

use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// A BPF file system, mounted in a temporary directory; unmounted, and its pins gone, when dropped.
#[derive(Debug)]
pub struct Bpffs {
    directory: TempDir,
}

impl Bpffs {
    /// Mounts one.
    #[must_use]
    pub fn mount() -> Self {
        let directory = TempDir::with_prefix("lbt-bpffs-").expect("a temporary directory");
        mount(
            "bpf",
            directory.path(),
            "bpf",
            MountFlags::empty(),
            None::<&std::ffi::CStr>,
        )
        .unwrap_or_else(|error| panic!("mounting a BPF file system: {error}"));
        Self { directory }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// All that is pinned in it, as paths from its root, sorted; without the two iterators that the kernel
    /// itself puts there.
    #[must_use]
    pub fn pins(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut directories = vec![self.path().to_owned()];
        while let Some(directory) = directories.pop() {
            let entries = std::fs::read_dir(&directory).expect("a readable directory");
            for entry in entries.filter_map(Result::ok) {
                if entry.path().is_dir() {
                    directories.push(entry.path());
                } else {
                    let path = entry.path();
                    let relative = path.strip_prefix(self.path()).expect("a path below");
                    if relative != Path::new("maps.debug") && relative != Path::new("progs.debug") {
                        found.push(relative.to_owned());
                    }
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        if let Err(error) = unmount(self.path(), UnmountFlags::DETACH) {
            eprintln!("left behind: mount {}: {error}", self.path().display());
        }
    }
}
