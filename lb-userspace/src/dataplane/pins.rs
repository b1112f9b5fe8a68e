//! What of an instance outlives its process: the pins in a BPF file system.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use lb_common::names::{self, ABI_VERSION};

/// What the names of directories of maps begin with; the ABI's version follows.
const MAPS: &str = "maps-v";

/// The type of a BPF file system, as statfs(2) gives it.
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// Where an instance has its pins in bpffs.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

impl Pins {
    /// The pins under `root`, a directory in a mounted bpffs; it is created with its parents.
    ///
    /// # Errors
    /// `root` is not in a bpffs, or cannot be created.
    pub fn at(root: &Path) -> Result<Self> {
        let existing = root
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or(Path::new("/"));
        let file_system = rustix::fs::statfs(existing)
            .with_context(|| format!("look at the file system of {}", existing.display()))?;
        if file_system.f_type & 0xffff_ffff != BPF_FS_MAGIC {
            bail!(
                "{} is not in a BPF file system: mount one (`mount -t bpf bpf /sys/fs/bpf`) or name another place with --bpffs",
                root.display()
            );
        }
        let pins = Self {
            root: root.to_owned(),
        };
        for directory in [pins.maps(), pins.links()] {
            fs::create_dir_all(&directory)
                .with_context(|| format!("create {}", directory.display()))?;
        }
        Ok(pins)
    }

    /// The instance's directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Maps of this ABI.
    #[must_use]
    pub fn maps(&self) -> PathBuf {
        self.maps_of(ABI_VERSION)
    }

    /// Maps of the ABI with this version.
    pub(super) fn maps_of(&self, version: u32) -> PathBuf {
        self.root.join(format!("{MAPS}{version}"))
    }

    /// Links, each named after the index of its interface.
    #[must_use]
    pub fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// The directories that there are of maps, those of other ABIs among them.
    fn maps_of_all(&self) -> Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("read {}", self.root.display()))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.with_context(|| format!("read {}", self.root.display()))?;
            if entry.file_name().to_string_lossy().starts_with(MAPS) {
                found.push(entry.path());
            }
        }
        Ok(found)
    }

    /// Takes the maps of other versions away: nothing uses them any more.
    ///
    /// # Errors
    /// A file or directory could not be removed.
    pub fn settle(&self) -> Result<()> {
        let own = self.maps();
        for directory in self.maps_of_all()? {
            if directory != own {
                // The first to go is the one without which the others are not taken for a data plane.
                remove_pin(&directory.join(names::BACKENDS))?;
                remove_directory(&directory)?;
            }
        }
        Ok(())
    }

    /// Takes the maps of this version away, and leaves links and the maps of others as they are.
    ///
    /// # Errors
    /// A file or directory could not be removed.
    pub fn discard(&self) -> Result<()> {
        remove_directory(&self.maps())
    }

    /// Whether an earlier process has left a link.
    pub(super) fn has_links(&self) -> bool {
        fs::read_dir(self.links()).is_ok_and(|mut links| links.next().is_some())
    }

    /// The versions of other ABIs whose maps are pinned here.
    pub(super) fn other_versions(&self) -> Result<BTreeSet<u32>> {
        let whole = |directory: PathBuf| {
            let name = directory.file_name()?.to_str()?;
            let version = name.strip_prefix(MAPS)?.parse().ok()?;
            let is_whole = directory.join(names::BACKENDS).exists();
            (is_whole && version != ABI_VERSION).then_some(version)
        };
        Ok(self.maps_of_all()?.into_iter().filter_map(whole).collect())
    }

    /// Takes everything away: programs whose links are pinned here are detached.
    ///
    /// # Errors
    /// A file or directory could not be removed.
    pub fn remove(&self) -> Result<()> {
        let maps = self.maps_of_all()?;
        for directory in [self.links()].into_iter().chain(maps) {
            remove_directory(&directory)?;
        }
        match fs::remove_dir(&self.root) {
            // The root may be where the file system is mounted, have been made by somebody else, or hold the
            // pins of `decap`.
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::ResourceBusy | io::ErrorKind::DirectoryNotEmpty
                ) =>
            {
                Err(error).with_context(|| format!("remove {}", self.root.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Removes a directory of pins, if it is there.
fn remove_directory(directory: &Path) -> Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("read {}", directory.display()))?,
    };
    for entry in entries {
        remove_pin(&entry?.path())?;
    }
    fs::remove_dir(directory).with_context(|| format!("remove {}", directory.display()))
}

/// Removes a pin, if it is there.
fn remove_pin(pin: &Path) -> Result<()> {
    match fs::remove_file(pin) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", pin.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
