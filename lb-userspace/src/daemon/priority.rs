//! Which thread comes first: that of the core, by which a backend's failure becomes a table in the kernel. While
//! hundreds of probes are due it would otherwise wait its turn among the threads that serve them, and among all else
//! that the host does.

use rustix::{io, process::setpriority_process};
use tracing::debug;

/// The nice value of the core's thread; about ten times the weight of an ordinary one (sched(7)).
const CORE: i32 = -10;
/// That of all others.
const ORDINARY: i32 = 0;

/// Has this thread, and those that it starts, come before others. Lacking the right to (`CAP_SYS_NICE`), it stays what it
/// is: the core is then late on a busy host. The unit gives all threads this value, and forbids the call.
pub(super) fn come_first() {
    if let Err(error) = set(CORE) {
        debug!(%error, "the core has no priority over other threads");
    }
}

/// Has this thread come after the core's, whoever has started it; that takes no right.
pub(super) fn come_after() {
    if let Err(error) = set(ORDINARY) {
        debug!(%error, "a thread has the core's priority");
    }
}

/// Of Linux' threads each has its own nice value (setpriority(2), "C library/kernel differences").
fn set(nice: i32) -> io::Result<()> {
    setpriority_process(None, nice)
}
