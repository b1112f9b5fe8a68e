//! The kernel's side of routes, links and neighbours: questions over a netlink socket.

use std::{collections::BTreeSet, fmt, io, net::IpAddr};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{
        InfoData, InfoVlan, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkLayerType,
        LinkMessage, LinkXdp, VlanProtocol, XdpAttached,
    },
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
    },
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia},
};
use rtnetlink::{Error, Handle, RouteMessageBuilder};
use rustix::io::Errno;

use super::{
    Link, NeighborError, VlanLink, Xdp,
    resolve::{Neighbor, NeighborKey, Neighbors, Route},
};

mod events;
mod question;

use self::question::ANSWER_TIMEOUT;
pub(super) use events::{Change, Events};

/// A socket for questions. Each answer is what the kernel holds at that moment.
pub(super) struct Netlink {
    handle: Handle,
}

impl fmt::Debug for Netlink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Netlink").finish_non_exhaustive()
    }
}

impl Netlink {
    /// Opens a socket in the calling thread's network namespace; it stays there. Must be called within a
    /// Tokio runtime.
    pub(super) fn open() -> Result<Self, NeighborError> {
        let (connection, netlink) = Self::connect()?;
        // Ends with the handle.
        #[cfg_attr(
            not(test),
            expect(unused_variables, reason = "tests end it, to see what follows")
        )]
        let task = tokio::spawn(connection);
        #[cfg(test)]
        LAST_OPENED.set(Some(task.abort_handle()));
        Ok(netlink)
    }

    /// The socket, and the task that serves it.
    fn connect() -> Result<(impl Future<Output = ()> + Send + use<>, Self), NeighborError> {
        let (mut connection, handle, _no_events) =
            rtnetlink::new_connection().map_err(NeighborError::Open)?;
        // A list without an end is one whose socket has failed.
        connection.set_forward_done(true);
        Ok((connection, Self { handle }))
    }

    /// For what is done once, elsewhere in this module.
    pub(super) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// All interfaces, by index.
    pub(super) async fn links(&self) -> Result<Vec<Link>, NeighborError> {
        let mut wanted = LinkMessage::default();
        let filter = LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]);
        wanted.attributes.push(filter);
        let question = RouteNetlinkMessage::GetLink(wanted);
        let mut links = Vec::new();
        for message in self.list("list the interfaces", question).await? {
            if let RouteNetlinkMessage::NewLink(message) = message {
                links.push(link(&message));
            }
        }
        links.sort_by_key(|link| link.index);
        Ok(links)
    }

    /// The addresses of all interfaces: where they end here, not the far end of a point-to-point link.
    pub(super) async fn addresses(&self) -> Result<BTreeSet<IpAddr>, NeighborError> {
        let question = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let mut addresses = BTreeSet::new();
        for message in self.list("list the addresses", question).await? {
            if let RouteNetlinkMessage::NewAddress(message) = message {
                addresses.extend(address(&message));
            }
        }
        Ok(addresses)
    }

    /// The neighbours whose MAC addresses are known, of both IP versions. Some may be missing: the kernel does not tell
    /// when others come or go meanwhile.
    pub(super) async fn neighbors(&self) -> Result<Neighbors, NeighborError> {
        let question = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        let mut neighbors = Neighbors::new();
        for message in self.list("list the neighbours", question).await? {
            if let RouteNetlinkMessage::NewNeighbour(message) = message
                && let Some(key) = neighbor_key(&message)
                && let Some(neighbor) = neighbor(&message)
            {
                neighbors.insert(key, neighbor);
            }
        }
        Ok(neighbors)
    }

    /// One neighbour, if its MAC address is known: listing all takes as long as there are neighbours.
    pub(super) async fn neighbor(
        &self,
        (interface, address): NeighborKey,
    ) -> Result<Option<Neighbor>, NeighborError> {
        let action = format!("ask for the neighbour {address} on interface {interface}");
        let (family, destination) = match address {
            IpAddr::V4(address) => (AddressFamily::Inet, NeighbourAddress::Inet(address)),
            IpAddr::V6(address) => (AddressFamily::Inet6, NeighbourAddress::Inet6(address)),
        };
        let mut wanted = NeighbourMessage::default();
        wanted.header.family = family;
        wanted.header.ifindex = interface;
        let destination = NeighbourAttribute::Destination(destination);
        wanted.attributes.push(destination);
        let question = RouteNetlinkMessage::GetNeighbour(wanted);
        match self.one(&action, question).await {
            Ok(RouteNetlinkMessage::NewNeighbour(message)) => Ok(neighbor(&message)),
            Ok(other) => Err(no_answer(action, format!("it makes no sense: {other:?}"))),
            Err(NeighborError::Refused { source, .. }) if says_no_neighbor(&source) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the kernel does with packets to `destination`.
    pub(super) async fn route(&self, destination: IpAddr) -> Result<Route, NeighborError> {
        #[cfg(test)]
        ROUTES_ASKED.set(ROUTES_ASKED.get() + 1);
        let prefix_length = if destination.is_ipv4() { 32 } else { 128 };
        let action = format!("ask for the route to {destination}");
        let wanted = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(destination, prefix_length)
            .map_err(|error| no_answer(&*action, error))?
            .build();
        let question = RouteNetlinkMessage::GetRoute(wanted);
        match self.one(&action, question).await {
            Ok(RouteNetlinkMessage::NewRoute(message)) => Ok(route(&message)),
            Ok(other) => Err(no_answer(action, format!("it makes no sense: {other:?}"))),
            Err(NeighborError::Refused { source, .. }) if says_no_route(&source) => {
                Ok(Route::Refused)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks the kernel to find out, or to confirm, the MAC address of a neighbour: what it does by itself
    /// before it sends a packet. The answer comes as an event. Needs `CAP_NET_ADMIN`.
    pub(super) async fn solicit(&self, neighbor: NeighborKey) -> Result<(), NeighborError> {
        let (interface, address) = neighbor;
        let request = self
            .handle
            .neighbours()
            .add(interface, address)
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace();
        let action = || format!("look for the neighbour {address} on interface {interface}");
        tokio::time::timeout(ANSWER_TIMEOUT, request.execute())
            .await
            .map_err(|_| no_answer(action(), "no answer"))?
            .map_err(|error| refused(action(), error))
    }
}

pub(super) fn refused(action: String, error: Error) -> NeighborError {
    if let Error::NetlinkError(message) = error {
        let source = message.to_io();
        NeighborError::Refused { action, source }
    } else {
        no_answer(action, error)
    }
}

fn no_answer(action: impl Into<String>, why: impl fmt::Display) -> NeighborError {
    let (action, why) = (action.into(), why.to_string());
    NeighborError::NoAnswer { action, why }
}

/// Whether the kernel refused to answer because there is no route, one of type unreachable, prohibit or blackhole (in
/// this order), or nothing of this IP version.
fn says_no_route(error: &io::Error) -> bool {
    let no_route = [
        Errno::NETUNREACH,
        Errno::HOSTUNREACH,
        Errno::ACCESS,
        Errno::INVAL,
        Errno::OPNOTSUPP,
        Errno::AFNOSUPPORT,
    ];
    Errno::from_io_error(error).is_some_and(|errno| no_route.contains(&errno))
}

/// Whether the kernel has no such neighbour, no such interface any more, or nothing of this IP version.
fn says_no_neighbor(error: &io::Error) -> bool {
    let nobody = [
        Errno::NOENT,
        Errno::NODEV,
        Errno::OPNOTSUPP,
        Errno::AFNOSUPPORT,
    ];
    Errno::from_io_error(error).is_some_and(|errno| nobody.contains(&errno))
}

fn address(message: &AddressMessage) -> Option<IpAddr> {
    let mut found = None;
    for attribute in &message.attributes {
        if let AddressAttribute::Local(address) = attribute {
            return Some(*address);
        } else if let AddressAttribute::Address(address) = attribute {
            found = Some(*address);
        }
    }
    found
}

fn link(message: &LinkMessage) -> Link {
    let header = &message.header;
    let mut link = Link {
        index: header.index,
        name: String::new(),
        mac: None,
        up: header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
        mtu: 0,
        kind: None,
        vlan: None,
        xdp: None,
    };
    let mut parent = None;
    let mut details: &[LinkInfo] = &[];
    let ethernet = header.link_layer_type == LinkLayerType::Ether;
    for attribute in &message.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            link.name.clone_from(name);
        } else if let LinkAttribute::Mtu(mtu) = attribute {
            link.mtu = *mtu;
        } else if let LinkAttribute::Address(address) = attribute
            && ethernet
        {
            link.mac = address.as_slice().try_into().ok();
        } else if let LinkAttribute::Xdp(attributes) = attribute {
            link.xdp = attributes.iter().find_map(xdp);
        } else if let LinkAttribute::Link(index) = attribute {
            parent = Some(*index);
        } else if let LinkAttribute::LinkInfo(attributes) = attribute {
            details = attributes;
        }
    }
    for detail in details {
        if let LinkInfo::Kind(kind) = detail {
            link.kind = Some(kind.to_string());
        } else if let LinkInfo::Data(InfoData::Vlan(attributes)) = detail {
            link.vlan = parent.and_then(|parent| vlan(parent, attributes));
        }
    }
    link
}

fn vlan(parent: u32, attributes: &[InfoVlan]) -> Option<VlanLink> {
    let mut number = None;
    let mut is_provider = false;
    for attribute in attributes {
        if let InfoVlan::Id(id) = attribute {
            number = Some(*id);
        } else if let InfoVlan::Protocol(protocol) = attribute {
            is_provider = *protocol == VlanProtocol::Ieee8021Ad;
        }
    }
    number.map(|id| VlanLink {
        parent,
        id,
        is_provider,
    })
}

fn xdp(attribute: &LinkXdp) -> Option<Xdp> {
    if let LinkXdp::Attached(XdpAttached::Driver | XdpAttached::Hardware) = attribute {
        Some(Xdp::Native)
    } else if let LinkXdp::Attached(XdpAttached::SocketBuffer) = attribute {
        Some(Xdp::Generic)
    } else {
        None
    }
}

fn route(message: &RouteMessage) -> Route {
    if matches!(message.header.kind, RouteType::Local | RouteType::Anycast) {
        return Route::Local;
    }
    let mut egress = None;
    let mut gateway = None;
    let mut source = None;
    let mut is_encapsulated = false;
    for attribute in &message.attributes {
        if let RouteAttribute::Oif(index) = attribute {
            egress = Some(*index);
        } else if let RouteAttribute::EncapType(_) = attribute {
            is_encapsulated = true;
        } else if let RouteAttribute::Gateway(RouteAddress::Inet(address))
        | RouteAttribute::Via(RouteVia::Inet(address)) = attribute
        {
            gateway = Some(IpAddr::V4(*address));
        } else if let RouteAttribute::Gateway(RouteAddress::Inet6(address))
        | RouteAttribute::Via(RouteVia::Inet6(address)) = attribute
        {
            gateway = Some(IpAddr::V6(*address));
        } else if let RouteAttribute::PrefSource(RouteAddress::Inet(address)) = attribute {
            source = Some(IpAddr::V4(*address));
        } else if let RouteAttribute::PrefSource(RouteAddress::Inet6(address)) = attribute {
            source = Some(IpAddr::V6(*address));
        }
    }
    match (message.header.kind, egress) {
        (RouteType::Unicast, Some(interface)) if is_encapsulated => {
            Route::Encapsulated { interface }
        }
        (RouteType::Unicast, Some(interface)) => Route::Through {
            interface,
            gateway,
            source,
        },
        _ => Route::Refused,
    }
}

/// Which neighbour `message` is about; `None` if it is no neighbour of IP (a bridge's forwarding entry).
fn neighbor_key(message: &NeighbourMessage) -> Option<NeighborKey> {
    let address = message.attributes.iter().find_map(|attribute| {
        if let NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) = attribute {
            Some(IpAddr::V4(*address))
        } else if let NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) = attribute
        {
            Some(IpAddr::V6(*address))
        } else {
            None
        }
    })?;
    Some((message.header.ifindex, address))
}

/// The neighbour, if its MAC address is known and believed.
fn neighbor(message: &NeighbourMessage) -> Option<Neighbor> {
    let state = message.header.state;
    let known = [
        NeighbourState::Reachable,
        NeighbourState::Stale,
        NeighbourState::Delay,
        NeighbourState::Probe,
        NeighbourState::Permanent,
        NeighbourState::Noarp,
    ];
    if !known.contains(&state) {
        return None;
    }
    let mac = message.attributes.iter().find_map(|attribute| {
        if let NeighbourAttribute::LinkLayerAddress(address) = attribute {
            address.as_slice().try_into().ok()
        } else {
            None
        }
    })?;
    Some(Neighbor {
        mac,
        stale: state == NeighbourState::Stale,
    })
}

#[cfg(test)]
std::thread_local! {
    /// How often routes were asked for on this thread: each test has its own.
    pub(super) static ROUTES_ASKED: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    /// Ends the task of the socket for questions that was last opened on this thread.
    pub(super) static LAST_OPENED: std::cell::Cell<Option<tokio::task::AbortHandle>> =
        const { std::cell::Cell::new(None) };
}

#[cfg(test)]
mod tests;
