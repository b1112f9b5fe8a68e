//! What the kernel tells by itself of routes, links and neighbours.

use std::fmt;

use futures::{FutureExt, StreamExt, channel::mpsc::UnboundedReceiver};
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::{
    Handle, MulticastGroup,
    packet_core::{NetlinkMessage, NetlinkPayload},
    sys::SocketAddr,
};

use super::{neighbor_key, no_answer};
use crate::neighbor::{NeighborError, resolve::NeighborKey};

/// A socket that the kernel tells of changes.
pub(in crate::neighbor) struct Events {
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    /// Dropped after `messages`: that wakes the connection's task, which then ends.
    _handle: Handle,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

/// Something that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::neighbor) enum Change {
    /// A neighbour.
    Neighbor(NeighborKey),
    /// A link, an address, a route or a rule; or so much that events were lost.
    Anything,
}

impl Events {
    /// Listens in the calling thread's network namespace. Must be called within a Tokio runtime.
    pub(in crate::neighbor) fn listen(groups: &[MulticastGroup]) -> Result<Self, NeighborError> {
        let (connection, handle, messages) =
            rtnetlink::new_multicast_connection(groups).map_err(NeighborError::Open)?;
        tokio::spawn(connection);
        Ok(Self {
            messages,
            _handle: handle,
        })
    }

    /// Waits for a change. Loses nothing when cancelled.
    pub(in crate::neighbor) async fn next(&mut self) -> Result<Change, NeighborError> {
        while let Some((message, _)) = self.messages.next().await {
            if let Some(change) = change(&message) {
                return Ok(change);
            }
        }
        let action = "listen to netlink events";
        Err(no_answer(action, "the socket is closed"))
    }

    /// A change that has been told but not waited for.
    pub(in crate::neighbor) fn waiting(&mut self) -> Option<Change> {
        self.next().now_or_never()?.ok()
    }

    /// Forgets the changes that have been told but not waited for.
    pub(in crate::neighbor) fn drain(&mut self) {
        while let Some(Some(_)) = self.messages.next().now_or_never() {}
    }
}

fn change(message: &NetlinkMessage<RouteNetlinkMessage>) -> Option<Change> {
    if let NetlinkPayload::InnerMessage(
        RouteNetlinkMessage::NewNeighbour(message) | RouteNetlinkMessage::DelNeighbour(message),
    ) = &message.payload
    {
        neighbor_key(message).map(Change::Neighbor)
    } else {
        Some(Change::Anything)
    }
}
