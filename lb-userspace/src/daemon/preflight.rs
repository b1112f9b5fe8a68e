//! What must hold before anything is touched: privileges, kernel, no second daemon.

use std::{
    env,
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::fs::{major, minor};
use tracing::warn;

use super::exit::{ExitCode, Failure};

/// The oldest kernel: links for XDP programs, hash maps of devices, BPF ring buffers.
const OLDEST_KERNEL: (u32, u32) = (5, 10);

/// Capabilities (capabilities(7)) by their bit in `CapEff`.
/// Without `CAP_PERFMON` the verifier forbids arithmetic between pointers, such as a frame's length.
const CAPABILITIES: [(&str, u64); 3] = [
    ("CAP_NET_ADMIN", 1 << 12),
    ("CAP_BPF", 1 << 39),
    ("CAP_PERFMON", 1 << 38),
];
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// Checks that this process may do its work on this kernel.
///
/// # Errors
/// Exit code 5, with what is missing.
pub(super) fn check() -> Result<(), Failure> {
    kernel(&kernel_release())
        .and_then(|()| privileges())
        .map_err(|error| Failure::new(ExitCode::NotAllowed, error))
}

/// The running kernel's release (or what `LB_KERNEL_RELEASE` says instead, for tests), like `6.1.0-13-amd64`.
pub(super) fn kernel_release() -> String {
    env::var("LB_KERNEL_RELEASE").unwrap_or_else(|_| {
        rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned()
    })
}

fn kernel(release: &str) -> Result<()> {
    let (major, minor) = OLDEST_KERNEL;
    let version = parse_release(release)
        .with_context(|| format!("kernel release `{release}` is not understood"))?;
    if version < OLDEST_KERNEL {
        bail!("this kernel is {release}, and lbd needs {major}.{minor} or newer");
    }
    Ok(())
}

fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn privileges() -> Result<()> {
    let status = fs::read_to_string("/proc/self/status").context("read /proc/self/status")?;
    let effective = effective_capabilities(&status).context("find CapEff in /proc/self/status")?;
    let missing = missing_capabilities(effective);
    if !missing.is_empty() {
        bail!(
            "lbd lacks {}: start it as root, or give it these capabilities",
            missing.join(" and ")
        );
    }
    Ok(())
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing_capabilities(effective: u64) -> Vec<&'static str> {
    let lacks = |bit: u64| effective & bit == 0;
    let missing = CAPABILITIES.into_iter().filter(|(name, bit)| {
        // CAP_BPF and CAP_PERFMON were split off CAP_SYS_ADMIN in 5.8.
        lacks(*bit) && (*name == "CAP_NET_ADMIN" || lacks(CAP_SYS_ADMIN))
    });
    missing.map(|(name, _)| name).collect()
}

/// Makes this process the only daemon of the instance with pins under `root`: the lock ends with it.
///
/// # Errors
/// Another daemon has it.
pub(super) fn lock(root: &Path) -> Result<File> {
    let directory = File::open(root).with_context(|| format!("open {}", root.display()))?;
    match directory.try_lock() {
        Ok(()) => Ok(directory),
        Err(TryLockError::WouldBlock) => Err(anyhow!(
            "another lbd{} runs on the instance at {}: stop it first, or name another place with --bpffs",
            holder(&directory),
            root.display()
        )),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("lock {}", root.display()))
        }
    }
}

/// Makes this process the only daemon that keeps its state in `directory`: the lock ends with it. Nothing is written for
/// it, so that a full disk does not matter.
///
/// # Errors
/// Another daemon has it.
pub(super) fn lock_state(directory: &Path) -> Result<File> {
    let place = directory.display();
    let opened = File::open(directory).with_context(|| format!("open {place}"))?;
    match opened.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!(
            "another lbd{} keeps its state in {place}: stop it first, or name another directory with --state-dir",
            holder(&opened)
        ),
        // NFS, for one, locks no directories; lbd has run there before it locked any.
        Err(TryLockError::Error(error)) => {
            warn!(directory = %place, %error, "cannot lock the state directory: nothing keeps a second lbd from it");
        }
    }
    Ok(opened)
}

/// Who holds the lock of a file, as words after "another lbd"; none if that cannot be told.
fn holder(file: &File) -> String {
    let found = file.metadata().ok().and_then(|metadata| {
        let locks = fs::read_to_string("/proc/locks").ok()?;
        holder_among(&locks, metadata.dev(), metadata.ino())
    });
    found.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

/// The process that holds a lock by flock(2) of this inode, by the text of /proc/locks (`proc_locks(5)`).
fn holder_among(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let file = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    locks.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let is_flock = fields.next()? == "FLOCK";
        let pid = fields.nth(2)?.parse().ok()?;
        (is_flock && fields.next()? == file).then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_before_the_oldest_are_refused_with_both_versions() {
        for release in ["5.10.0-30-amd64", "5.15", "6.1.0+", "10.0-rc1"] {
            assert!(kernel(release).is_ok(), "{release}");
        }
        for release in ["5.9.16", "4.19.0-27-amd64"] {
            let message = kernel(release).unwrap_err().to_string();
            assert!(
                message.contains(release) && message.contains("5.10"),
                "{message}"
            );
        }
        assert!(kernel("unknown").is_err());
    }

    #[test]
    fn a_state_directory_has_one_daemon_and_the_second_hears_whose_it_is() {
        let directory = tempfile::TempDir::new().unwrap();
        let first = lock_state(directory.path()).unwrap();
        let refused = lock_state(directory.path()).unwrap_err().to_string();
        for words in [directory.path().to_str().unwrap(), "stop it", "--state-dir"] {
            assert!(refused.contains(words), "{refused}\nlacks: {words}");
        }
        drop(first);
        let _second = lock_state(directory.path()).unwrap();
        let entries = fs::read_dir(directory.path()).unwrap();
        assert_eq!(entries.count(), 0, "nothing is written for it");
    }

    #[test]
    fn who_holds_a_lock_is_found_by_device_and_inode() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fe:00:77 0 EOF\n\
            2: FLOCK  ADVISORY  WRITE 12 fe:00:78 0 EOF\n\
            2: -> FLOCK  ADVISORY  WRITE 13 fe:01:77 0 EOF\n\
            3: FLOCK  ADVISORY  WRITE 14 fe:01:77 0 EOF\n";
        let device = rustix::fs::makedev(0xfe, 0x00);
        assert_eq!(holder_among(locks, device, 78), Some(12));
        assert_eq!(holder_among(locks, device, 77), None, "not by flock");
        let device = rustix::fs::makedev(0xfe, 0x01);
        assert_eq!(holder_among(locks, device, 77), Some(14), "not who waits");
        assert_eq!(holder_among("", device, 77), None);
    }

    #[test]
    fn missing_capabilities_are_named() {
        assert_eq!(
            missing_capabilities(0),
            ["CAP_NET_ADMIN", "CAP_BPF", "CAP_PERFMON"]
        );
        assert_eq!(missing_capabilities(1 << 12 | 1 << 39), ["CAP_PERFMON"]);
        assert_eq!(missing_capabilities(1 << 12 | 1 << 21), Vec::<&str>::new());
        assert_eq!(
            effective_capabilities("Name:\tlbd\nCapEff:\t0000000000001000\n"),
            Some(1 << 12)
        );
    }
}
