//! Everything that can happen to the daemon.

use std::io;

use super::strays::Findings;
use crate::{
    control::server::Request,
    health::{Observation, Target, agent::Answer},
    neighbor::{Link, NextHopChanges},
};

/// One thing that happened. Closed: whatever is added must be decided about in [`Core::take`](super::core::Core).
#[derive(Debug)]
pub(super) enum Event {
    /// A client asks for something.
    Call(Box<Request>),
    /// A probe has ended.
    Observed(Observation),
    /// An agent was asked what its backend can take.
    Asked(Target, Answer),
    /// Next hops have changed.
    NextHops(NextHopChanges),
    /// Interfaces have come, gone or changed.
    Interfaces(Vec<Link>),
    /// The flow tables have been looked at; what was found, if all was seen.
    Looked(Option<Findings>),
    /// Packets that were under way have been waited for.
    Waited(io::Result<()>),
    /// Something is due: a removal, a retry, or the periodic full pass.
    Tick,
    /// The operator wants the file to be applied (SIGHUP).
    Reload,
    /// The operator wants the daemon to end (SIGTERM, SIGINT).
    Stop,
}
