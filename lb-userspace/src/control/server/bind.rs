//! Puts the socket in its place, without taking that of a daemon that lives.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

use crate::control::access::Access;

/// Why the socket could not be put in its place.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another daemon answers there.
    #[error(
        "another daemon listens on {}: stop it, or choose another path for this one",
        .0.display()
    )]
    InUse(PathBuf),
    /// Something that is no socket has the path.
    #[error("{} is there and is no socket: remove it, or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// The system refused a step.
    #[error("cannot {action} {}", path.display())]
    Refused {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Listens on `path` for those that `access` lets in: makes the directory, replaces the socket file of a
/// daemon that is gone, sets mode and group.
///
/// # Errors
/// See [`BindError`]. What is at `path` stays as it was, unless it was a socket nobody answered on.
pub async fn bind(path: &Path, access: &Access) -> Result<UnixListener, BindError> {
    let refused = |action, path: &Path| {
        let path = path.to_owned();
        move |source| BindError::Refused {
            action,
            path,
            source,
        }
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(refused("make the directory", parent))?;
    }
    if is_stale(path).await? {
        fs::remove_file(path).map_err(refused("remove the stale socket", path))?;
    }
    let listener = UnixListener::bind(path).map_err(refused("listen on", path))?;
    if let Some(gid) = access.gid() {
        chown(path, None, Some(gid)).map_err(refused("set the group of", path))?;
    }
    let mode = fs::Permissions::from_mode(access.socket_mode());
    fs::set_permissions(path, mode).map_err(refused("set the mode of", path))?;
    Ok(listener)
}

/// Whether there is a socket file that nobody answers on.
async fn is_stale(path: &Path) -> Result<bool, BindError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(BindError::NotASocket(path.to_owned()));
        }
        // What else is wrong with the path, binding to it will tell.
        Ok(_) | Err(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        // Also a full backlog or a lack of rights means that somebody is there.
        Ok(_) | Err(_) => Err(BindError::InUse(path.to_owned())),
    }
}

#[cfg(test)]
mod tests;
