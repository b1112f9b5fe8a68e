//! Files that are replaced whole: a crash at any moment leaves the old one or the new one.

use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use super::StateError;

const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;

/// Replaces the file `name` in `directory`, which is made if it is not there, by `text`. On return it is on the disk.
///
/// # Errors
/// The file system refused; what was there before is still there.
pub(super) fn replace(directory: &Path, name: &str, text: &[u8]) -> Result<(), StateError> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(directory)
        .map_err(refused("make the state directory", directory))?;
    let path = directory.join(name);
    let next = directory.join(format!(".{name}.next"));
    write_synced(&next, text).map_err(refused("write", &next))?;
    std::fs::rename(&next, &path).map_err(refused("replace", &path))?;
    // The new name itself is on the disk only when the directory is.
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(refused("sync", directory))
}

/// Writes a file of its own: one left by a crash is taken away, never written through.
fn write_synced(path: &Path, text: &[u8]) -> io::Result<()> {
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
    file.sync_all()
}

pub(super) fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Io {
        action,
        path,
        source,
    }
}
