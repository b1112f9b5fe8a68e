//! The guest's initial file system: this program as its first process, the modules that the rest of the file
//! system needs, and the job. A `newc` archive, as described in the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{image::Image, job::Job};
use crate::shell;

/// Where the job stands in the guest.
pub(super) const JOB: &str = "/job.json";
/// Where the modules stand, named so that they sort into the order in which they are loaded.
pub(super) const MODULES: &str = "/modules";

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// An archive that is being written.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

/// The archive for one job on one kernel.
///
/// # Errors
/// A file could not be read, or the dynamic linker does not say what this program needs.
pub(super) fn build(image: &Image, job: &Job) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    let program = std::env::current_exe().context("looking for this program's file")?;
    let mut files = vec![(PathBuf::from("/init"), read(&program)?)];
    for library in libraries(&program)? {
        let bytes = read(&library)?;
        files.push((library, bytes));
    }
    for (number, module) in image.boot_modules()?.into_iter().enumerate() {
        files.push((Path::new(MODULES).join(format!("{number:02}.ko")), module));
    }
    files.push((JOB.into(), serde_json::to_vec(job)?));

    let mut directories: Vec<PathBuf> = ["/proc", "/sys", "/dev", "/host", "/memory", "/root"]
        .map(PathBuf::from)
        .into();
    for (path, _) in &files {
        let above = path.ancestors().skip(1);
        directories.extend(above.filter(|it| *it != Path::new("/")).map(Path::to_owned));
    }
    directories.sort();
    directories.dedup();
    for directory in directories {
        archive.add(&directory, DIRECTORY, &[]);
    }
    for (path, bytes) in &files {
        archive.add(path, PROGRAM, bytes);
    }
    Ok(archive.finish())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

/// The shared libraries that a program needs, the dynamic linker among them, where it expects them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let listed = shell::output(Command::new("ldd").arg(program))
        .with_context(|| format!("asking ldd what {} needs", program.display()))?;
    Ok(library_paths(&listed).map(PathBuf::from).collect())
}

/// The paths in lines such as `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f...)`.
fn library_paths(listed: &str) -> impl Iterator<Item = &str> {
    listed
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

impl Archive {
    fn add(&mut self, path: &Path, mode: u32, content: &[u8]) {
        self.entries += 1;
        let name = path.display().to_string();
        self.entry(name.trim_start_matches('/'), mode, content);
    }

    /// A header of 13 numbers in 8 hexadecimal digits after the magic; name and content end at multiples of 4.
    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        let (inode, links, nothing) = (self.entries as usize, 1, 0);
        let header = [
            inode,
            mode as usize,
            nothing,
            nothing,
            links,
            nothing,
            content.len(),
            nothing,
            nothing,
            nothing,
            nothing,
            name.len() + 1,
            nothing,
        ];
        self.bytes.extend(b"070701");
        for number in header {
            self.bytes.extend(format!("{number:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        let end = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(end, 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_header_a_name_and_its_content_each_padded() {
        let mut archive = Archive::default();
        archive.add(Path::new("/init"), PROGRAM, b"hello");
        let bytes = archive.finish();
        let header = std::str::from_utf8(&bytes[..110]).unwrap();
        assert!(header.starts_with("07070100000001000081ed"), "{header}");
        assert_eq!(&header[54..62], "00000005", "the size of the content");
        assert_eq!(
            &header[94..102],
            "00000005",
            "the length of the name and its end"
        );
        assert_eq!(&bytes[110..124], b"init\0\0hello\0\0\0");
        assert!(bytes.len().is_multiple_of(4));
    }

    #[test]
    fn libraries_are_those_with_a_path() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                      \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let paths: Vec<&str> = library_paths(listed).collect();
        let wanted = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(paths, wanted);
    }
}
