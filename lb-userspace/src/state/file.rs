//! Files that are replaced whole, of which a crash at any moment leaves the old one or the new one; and files that grow.

use std::{
    fs::{DirBuilder, File, Metadata, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    time::SystemTime,
};

use super::StateError;

const FILE_MODE: u32 = 0o640;
/// The mode of the state directory: its files tell who is served by what.
pub(crate) const DIRECTORY_MODE: u32 = 0o750;

/// Replaces the file `name` in `directory`, which is made if it is not there, by `text`. On return it is on the disk;
/// the answer is the new file, open to be written on.
///
/// # Errors
/// The file system refused; what was there before is still there.
pub(super) fn replace(directory: &Path, name: &str, text: &[u8]) -> Result<File, StateError> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(directory)
        .map_err(refused("make the state directory", directory))?;
    let path = directory.join(name);
    let next = directory.join(format!(".{name}.next"));
    let file = write_synced(&next, text)
        .inspect_err(|_| {
            // On a full disk a part of it would take what room there is from others.
            let _ = std::fs::remove_file(&next);
        })
        .map_err(refused("write", &next))?;
    std::fs::rename(&next, &path).map_err(refused("replace", &path))?;
    // The new name itself is on the disk only when the directory is.
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(refused("sync", directory))?;
    Ok(file)
}

/// Writes a file of its own: one left by a crash is taken away, never written through.
fn write_synced(path: &Path, text: &[u8]) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)?;
    // The mode above is subject to the umask; this one is not.
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    file.write_all(text)?;
    file.sync_all()?;
    Ok(file)
}

/// Which file it is, whatever its name, and when it was last written: who edits it in its place is noticed by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    /// `None` where the file system keeps no such time.
    written: Option<SystemTime>,
}

impl Identity {
    /// That of an open file.
    ///
    /// # Errors
    /// The file system refused.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(Self::from)
    }

    /// That of what stands at `path`, if anything does.
    ///
    /// # Errors
    /// The file system refused.
    pub(super) fn at(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(metadata.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl From<Metadata> for Identity {
    fn from(metadata: Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            written: metadata.modified().ok(),
        }
    }
}

/// A file that grows by whole texts.
#[derive(Debug)]
pub(super) struct Appendable {
    file: File,
    identity: Identity,
    length: u64,
    /// Whether the system has failed to bring it to the disk: what of it is there, nobody knows.
    is_uncertain: bool,
}

impl Appendable {
    /// Goes on at the end of a file of `length` bytes.
    ///
    /// # Errors
    /// The file system refused.
    pub(super) fn new(file: File, length: u64) -> io::Result<Self> {
        let found = Identity::of(&file)?;
        Ok(Self {
            identity: Identity {
                bytes: length,
                ..found
            },
            file,
            length,
            is_uncertain: false,
        })
    }

    /// How many bytes were appended, and were there before.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    pub(super) const fn identity(&self) -> Identity {
        self.identity
    }

    /// Appends `text`. On return it is on the disk.
    ///
    /// # Errors
    /// The file system refused; a part of the text may be there until it is [taken back](Self::take_back).
    pub(super) fn append(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.write_all_at(text, self.length)?;
        self.file
            .sync_data()
            .inspect_err(|_| self.is_uncertain = true)?;
        self.identify(self.length + text.len() as u64)?;
        self.length += text.len() as u64;
        Ok(())
    }

    /// Looks at the file, which was written here and ought to have so many bytes: what others have added shows by that.
    fn identify(&mut self, bytes: u64) -> io::Result<()> {
        let found = Identity::of(&self.file)?;
        self.identity = Identity { bytes, ..found };
        Ok(())
    }

    /// Writes to `file` from now on; answers what it wrote to.
    #[cfg(test)]
    pub(super) fn exchange(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }

    /// Makes the file what it was before an [`append`](Self::append) that failed.
    ///
    /// # Errors
    /// It cannot be known that it is.
    pub(super) fn take_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.sync_data()?;
        self.identify(self.length)?;
        // A later success says nothing of what an earlier failure has lost.
        if self.is_uncertain {
            return Err(io::Error::other("it may not be on the disk as it was"));
        }
        Ok(())
    }
}

pub(super) fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Io {
        action,
        path,
        source,
    }
}
