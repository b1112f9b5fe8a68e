//! Who may do what on the control socket: decided by the peer's credentials, as the kernel attests them.

use std::{collections::BTreeSet, fmt, fs};

use tokio::net::unix::UCred;
use tracing::warn;

use super::protocol::{ErrorCode, RpcError};

/// Lists users by name, uid and primary gid (passwd(5)).
const PASSWD: &str = "/etc/passwd";
/// Lists groups with their members (group(5)).
const GROUP: &str = "/etc/group";

/// What a peer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Nothing.
    None,
    /// Ask.
    Read,
    /// Ask and change.
    Change,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user when it connected.
    pub uid: u32,
    /// Its effective group then.
    pub gid: u32,
    /// Its process when it connected, if that is in this PID namespace.
    pub pid: Option<i32>,
    /// What it may do; decided when it connects.
    pub right: Right,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}", self.uid)?;
        self.pid.map_or(Ok(()), |pid| write!(f, ", pid {pid}"))
    }
}

/// A group that has rights here.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    name: String,
    /// Absent if this host has no such group.
    gid: Option<u32>,
}

/// Who may do what: root, the daemon's own user and the members of a group may change, the members of a
/// second group may read.
///
/// Membership is the peer's primary group, or what `/etc/passwd` and `/etc/group` say when it connects;
/// groups from other sources count only as primary groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    own_uid: u32,
    group: Option<Group>,
    read_only_group: Option<Group>,
}

impl Access {
    /// Rights for the members of `group` and `read_only_group`. A group that this host does not have gives
    /// nobody a right; that is logged as a warning.
    #[must_use]
    pub fn new(group: Option<&str>, read_only_group: Option<&str>) -> Self {
        let groups = read_or_warn(GROUP);
        let find = |name: &str| {
            let gid = gid_of(&groups, name);
            if gid.is_none() {
                warn!(
                    group = name,
                    "no such group in {GROUP}: nobody gets rights by it; create it with `groupadd {name}`"
                );
            }
            Group {
                name: name.to_owned(),
                gid,
            }
        };
        Self {
            own_uid: rustix::process::geteuid().as_raw(),
            group: group.map(find),
            read_only_group: read_only_group.map(find),
        }
    }

    /// The group that the socket belongs to, if there is one.
    #[must_use]
    pub fn gid(&self) -> Option<u32> {
        self.group.as_ref()?.gid
    }

    /// The mode of the socket. With a second group everybody may connect, as a file has only one group: who
    /// has no right is then refused by its credentials.
    #[must_use]
    pub fn socket_mode(&self) -> u32 {
        let second = self.read_only_group.as_ref().and_then(|group| group.gid);
        if second.is_some() { 0o666 } else { 0o660 }
    }

    /// The peer with these credentials, with the rights it has now.
    #[must_use]
    pub fn peer(&self, credentials: UCred) -> Peer {
        let right = self.right(credentials.uid(), || {
            let mut gids = gids_of(
                &read_or_warn(PASSWD),
                &read_or_warn(GROUP),
                credentials.uid(),
            );
            gids.insert(credentials.gid());
            gids
        });
        Peer {
            uid: credentials.uid(),
            gid: credentials.gid(),
            pid: credentials.pid(),
            right,
        }
    }

    /// The right of user `uid`; `gids` are its groups, asked for if they matter.
    fn right(&self, uid: u32, gids: impl FnOnce() -> BTreeSet<u32>) -> Right {
        if uid == 0 || uid == self.own_uid {
            return Right::Change;
        }
        let gids = gids();
        let in_group = |group: &Option<Group>| {
            let gid = group.as_ref().and_then(|group| group.gid);
            gid.is_some_and(|gid| gids.contains(&gid))
        };
        if in_group(&self.group) {
            Right::Change
        } else if in_group(&self.read_only_group) {
            Right::Read
        } else {
            Right::None
        }
    }

    /// Whether `peer` may do what needs `needed`; `what` names that.
    ///
    /// # Errors
    /// [`ErrorCode::NotAllowed`] with who could.
    pub fn check(&self, peer: Peer, needed: Right, what: &str) -> Result<(), RpcError> {
        if peer.right >= needed {
            return Ok(());
        }
        let name = |group: &Option<Group>| Some(format!("group `{}`", group.as_ref()?.name));
        let readers = match needed {
            Right::Change => None,
            Right::Read | Right::None => name(&self.read_only_group),
        };
        let may: Vec<String> = name(&self.group).into_iter().chain(readers).collect();
        let who = if may.is_empty() {
            "root".to_owned()
        } else {
            format!("root or a member of {}", may.join(" or "))
        };
        let message = format!("uid {} may not {what}: it takes {who}", peer.uid);
        Err(RpcError::new(ErrorCode::NotAllowed, message))
    }
}

/// The file's text, or nothing and a warning: then nobody is a member of anything.
fn read_or_warn(path: &str) -> String {
    match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            warn!(path, %error, "cannot read who is in which group: only root has rights");
            String::new()
        }
    }
}

/// The gid of the group `name` in a text like `/etc/group`.
fn gid_of(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// The gids of all groups of user `uid`, by texts like `/etc/passwd` and `/etc/group`.
fn gids_of(passwd: &str, groups: &str, uid: u32) -> BTreeSet<u32> {
    let mut names = BTreeSet::new();
    let mut gids = BTreeSet::new();
    for line in passwd.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(user), Some(gid)) = (fields.next(), fields.nth(1), fields.next())
            && user.parse() == Ok(uid)
        {
            names.insert(name);
            gids.extend(gid.parse::<u32>());
        }
    }
    for line in groups.lines() {
        let mut fields = line.split(':').skip(2);
        if let (Some(gid), Some(members)) = (fields.next(), fields.next())
            && members
                .split(',')
                .any(|member| names.contains(member.trim()))
        {
            gids.extend(gid.parse::<u32>());
        }
    }
    gids
}

#[cfg(test)]
mod tests;
