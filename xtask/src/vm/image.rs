//! A kernel that has been fetched: its image and its modules, unpacked from Debian's packages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// What the guest needs before it sees the host's files: the bus, the file system, and what makes it writable.
const BOOT_MODULES: [&str; 4] = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];

/// An unpacked kernel.
#[derive(Debug)]
pub(super) struct Image {
    /// Its release, such as `5.10.0-46-amd64`.
    release: String,
    /// Where `lib/modules` is.
    base: PathBuf,
    /// The compressed image.
    vmlinuz: PathBuf,
}

impl Image {
    /// The kernel in a directory into which its packages have been unpacked.
    ///
    /// # Errors
    /// It is not there, or not whole.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        // Since 2024 Debian's packages have everything under /usr.
        let bases = [directory.join("usr"), directory.to_owned()];
        let base = bases
            .into_iter()
            .find(|base| base.join("lib/modules").is_dir())
            .with_context(|| format!("no kernel modules under {}", directory.display()))?;
        let modules = base.join("lib/modules");
        let entry = fs::read_dir(&modules)
            .with_context(|| format!("listing {}", modules.display()))?
            .next()
            .with_context(|| format!("{} is empty", modules.display()))?
            .with_context(|| format!("listing {}", modules.display()))?;
        let release = entry.file_name().to_string_lossy().into_owned();
        let places = [
            directory.join(format!("boot/vmlinuz-{release}")),
            entry.path().join("vmlinuz"),
        ];
        let vmlinuz = places
            .into_iter()
            .find(|place| place.is_file())
            .with_context(|| format!("no kernel image under {}", directory.display()))?;
        Ok(Self {
            release,
            base,
            vmlinuz,
        })
    }

    /// Its release.
    pub(super) fn release(&self) -> &str {
        &self.release
    }

    /// The compressed image.
    pub(super) fn vmlinuz(&self) -> &Path {
        &self.vmlinuz
    }

    /// The directory that is `/lib/modules` in the guest.
    pub(super) fn modules(&self) -> PathBuf {
        self.base.join("lib/modules")
    }

    /// Writes what `modprobe` looks modules up in; Debian's packages leave that to their installation.
    ///
    /// # Errors
    /// depmod failed.
    pub(super) fn index_modules(&self) -> Result<()> {
        let mut depmod = Command::new("depmod");
        depmod.arg("-b").arg(&self.base).arg(&self.release);
        shell::run("indexing kernel modules", &mut depmod)
    }

    /// The modules to load at boot, in order, decompressed.
    ///
    /// # Errors
    /// A module is missing or cannot be decompressed.
    pub(super) fn boot_modules(&self) -> Result<Vec<Vec<u8>>> {
        let mut paths: Vec<PathBuf> = Vec::new();
        for module in BOOT_MODULES {
            let mut modprobe = Command::new("modprobe");
            modprobe.arg("-d").arg(&self.base).args([
                "-S",
                &self.release,
                "--show-depends",
                module,
            ]);
            let shown = shell::output(&mut modprobe)
                .with_context(|| format!("kernel {} has no module {module}", self.release))?;
            for path in shown
                .lines()
                .filter_map(|line| line.strip_prefix("insmod "))
            {
                // Parameters may follow.
                let path = PathBuf::from(path.split(' ').next().unwrap_or_default());
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
        paths.iter().map(|path| module(path)).collect()
    }
}

fn module(path: &Path) -> Result<Vec<u8>> {
    let extension = path.extension().map(|it| it.to_string_lossy().into_owned());
    let program = match extension.as_deref() {
        Some("ko") => return fs::read(path).with_context(|| format!("reading {}", path.display())),
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => bail!("{}: not a kernel module", path.display()),
    };
    let output = Command::new(program)
        .arg("-dc")
        .arg(path)
        .output()
        .with_context(|| {
            format!(
                "decompressing {}: could not start {program}",
                path.display()
            )
        })?;
    if !output.status.success() {
        bail!(
            "decompressing {} failed ({})",
            path.display(),
            output.status
        );
    }
    Ok(output.stdout)
}
