//! What the kernel tells by itself of routes, links and neighbours.

use std::{fmt, future, io};

use futures::{FutureExt, StreamExt, channel::mpsc::UnboundedReceiver};
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::{
    Handle, MulticastGroup,
    packet_core::{NetlinkMessage, NetlinkPayload},
    sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE},
};
use rustix::io::Errno;

use super::{neighbor_key, no_answer};
use crate::neighbor::{NeighborError, resolve::NeighborKey};

/// A socket that the kernel tells of changes.
pub(in crate::neighbor) struct Events {
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    /// A socket of its own for nexthop objects: netlink-packet-route cannot read what is told of them.
    nexthops: Option<TokioSocket>,
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
    /// A link, an address, a route, a nexthop object or a rule; or so much that events were lost.
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
            nexthops: None,
            _handle: handle,
        })
    }

    /// Listens also to changes of nexthop objects (`ip nexthop`): the kernel does not tell of the routes that go with
    /// one that is deleted.
    pub(in crate::neighbor) fn with_nexthops(mut self) -> Result<Self, NeighborError> {
        let open = || {
            let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
            socket.socket_mut().bind_auto()?;
            let group = MulticastGroup::Nexthop as u32;
            socket.socket_mut().add_membership(group)?;
            Ok(socket)
        };
        self.nexthops = Some(open().map_err(NeighborError::Open)?);
        Ok(self)
    }

    /// Waits for a change. Loses nothing when cancelled.
    pub(in crate::neighbor) async fn next(&mut self) -> Result<Change, NeighborError> {
        let failed = |why: &dyn fmt::Display| no_answer("listen to netlink events", why);
        loop {
            tokio::select! {
                message = self.messages.next() => match message {
                    Some((message, _)) => {
                        if let Some(change) = change(&message) {
                            return Ok(change);
                        }
                    }
                    None => return Err(failed(&"the socket is closed")),
                },
                told = nexthop(self.nexthops.as_ref()) => {
                    return told.map(|()| Change::Anything).map_err(|error| failed(&error));
                }
            }
        }
    }

    /// A change that has been told but not waited for.
    pub(in crate::neighbor) fn waiting(&mut self) -> Option<Change> {
        self.next().now_or_never()?.ok()
    }

    /// Forgets the changes that have been told but not waited for.
    pub(in crate::neighbor) fn drain(&mut self) {
        while self.waiting().is_some() {}
    }
}

/// Waits until a nexthop object comes, goes or changes; for ever without a socket.
async fn nexthop(socket: Option<&TokioSocket>) -> io::Result<()> {
    let Some(socket) = socket else {
        return future::pending().await;
    };
    match socket.recv_from_full().await {
        // So many that some were lost.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => Ok(()),
        told => told.map(drop),
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
